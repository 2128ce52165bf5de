"""Loads: what is asked of the generator, and what it measured."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed import generator
from benchmarks.speed.processes import stop_with_parent

# Beyond the time that the load itself takes.
_GRACE_S = 20.0
# From starting several generators to the moment at which all begin.
_TOGETHER_S = 0.6


class LoadFailed(Exception):
    """A server did not answer every request with 200."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is posted. bodies: taken in turn, so that no server can answer from memory."""

    path: str
    bodies: Sequence[bytes]
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Load:
    """rate: requests/s for an open loop, else each connection sends as soon as it is answered. warm_s: before
    what is counted. count: so many requests in place of so many seconds, all of them counted."""

    connections: int
    seconds: float
    warm_s: float = 0.5
    rate: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a load measured: percentiles of latency in milliseconds, nearest rank; rate in requests/s.

    busy: share of its core that the generator used, spinning for a paced load included.
    """

    requests: int
    seconds: float
    rate: float
    p50: float
    p90: float
    p99: float
    p999: float
    longest: float
    busy: float
    histogram: dict[str, int]


def run(port: int, question: Question, load: Load, cores: Sequence[int]) -> Told:
    """One generator. Raises LoadFailed."""
    return run_together(port, question, load, [list(cores)])[0]


def run_together(port: int, question: Question, load: Load, cores: Sequence[Sequence[int]]) -> list[Told]:
    """A generator for each set of cores, all beginning at the same moment. Raises LoadFailed."""
    start = time.monotonic() + (_TOGETHER_S if len(cores) > 1 else 0.0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-load-")))
        bodies = []
        for number, body in enumerate(question.bodies):
            (folder / str(number)).write_bytes(body)
            bodies.append(str(folder / str(number)))
        order = {
            "port": port,
            "path": question.path,
            "media_type": question.media_type,
            "bodies": bodies,
            "start": start,
            **asdict(load),
            **({"warm_s": 0.0} if load.count else {}),
        }
        running = [stack.enter_context(_generator()) for _ in cores]
        for process, own in zip(running, cores, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(order | {"cores": list(own)}).encode())
            process.stdin.close()
            process.stdin = None
        limit = load.warm_s + (load.seconds if load.count is None else 300.0) + _GRACE_S
        return [_told(process, limit) for process in running]


class _Generator(subprocess.Popen[bytes]):
    """Killed when its block is left early."""

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)


def _generator() -> _Generator:
    return _Generator(
        [sys.executable, generator.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=stop_with_parent,
    )


def _told(process: _Generator, limit: float) -> Told:
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"the load did not end within {limit:.0f} s") from None
    told = json.loads(out) if out else {"error": f"the generator ended with code {process.returncode}"}
    if "error" in told:
        raise LoadFailed(told["error"])
    return Told(**told)
