"""Jobs in processes of their own, a few at a time."""

import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

Report = Callable[[tuple[Any, ...]], None]


@dataclass(frozen=True, slots=True)
class Job:
    """work: picklable; hears what happens in it is told by what it passes to its argument.

    log: where the process's standard error goes, which libraries write to behind Python's back.
    """

    name: str
    work: Callable[[Report], None]
    log: Path


class Watch(Protocol):
    """Whoever wants to know how jobs are getting on."""

    def started(self, name: str) -> None: ...

    def heard(self, name: str, message: tuple[Any, ...]) -> None: ...

    def ended(self, name: str, error: str | None) -> None: ...


@dataclass(slots=True)
class _Running:
    job: Job
    process: SpawnProcess
    connection: Connection
    error: str | None = None
    open: bool = True

    def hear(self, watch: Watch) -> None:
        """Take in whatever was sent so far."""
        try:
            while self.open and self.connection.poll():
                message = self.connection.recv()
                if message[0] == "failed":
                    self.error = message[1]
                else:
                    watch.heard(self.job.name, message)
        except (EOFError, OSError):
            self.open = False


def run(jobs: Sequence[Job], workers: int, watch: Watch) -> dict[str, str]:
    """Run all jobs in their order, `workers` at a time, each in a fresh process. Returns errors by name.

    A job that fails, or whose process dies, stops no other. When this is interrupted, so are the jobs.
    """
    waiting, running = deque(jobs), list[_Running]()
    errors: dict[str, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start(waiting.popleft()))
                watch.started(running[-1].job.name)
            wait([r.process.sentinel for r in running] + [r.connection for r in running if r.open])
            for item in list(running):
                over = not item.process.is_alive()
                item.hear(watch)
                if over:
                    running.remove(item)
                    if item.process.exitcode and item.error is None:
                        item.error = f"its process ended with {item.process.exitcode}\n{_tail(item.job.log)}"
                    if item.error is not None:
                        errors[item.job.name] = item.error
                    watch.ended(item.job.name, item.error)
    finally:
        for item in running:
            item.process.kill()
        for item in running:
            item.process.join()
    return errors


def _start(job: Job) -> _Running:
    # Not forked: TensorFlow's threads do not survive it, and each job begins alike, whatever ran before.
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, there), daemon=True)
    process.start()
    there.close()
    return _Running(job, process, here)


def _work(job: Job, connection: Connection) -> None:
    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
    try:
        job.work(connection.send)
    except Exception:
        with suppress(OSError):
            connection.send(("failed", traceback.format_exc()))
        sys.exit(1)


def _tail(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    return ""
