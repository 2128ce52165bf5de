"""Server processes: started on a core, waited for, weighed, and stopped with all that they started."""

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)
# Often enough to tell, seldom enough not to cost a server that starts.
_READY_POLL_S = 0.025
_STOP_S = 5.0
# Without a proxy: nothing here leaves the loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(Exception):
    """A server did not become ready, or ended."""


def stop_with_parent() -> None:
    """In a child before it runs: it is killed when the benchmark is, however that ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Whatever a server leaves behind becomes a child of this process, where it can be found and ended."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def free_ports(count: int) -> list[int]:
    """Ports on the loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started. ready: path that answers 200 once it serves. port: where it listens."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    port: int
    ready: str
    stop: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready. start_s: from starting the process to the first 200 of its ready path."""

    process: psutil.Process
    port: int
    start_s: float

    def memory_mb(self) -> float:
        """Resident memory of the process and all below it, megabytes (10⁶ bytes). Pages that they share
        count for each."""
        total = 0
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    def get(self, path: str) -> bytes:
        with _DIRECT.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def post(self, path: str, body: bytes, media_type: str) -> bytes:
        """Raises ServerFailed with what it answered in place of 200."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, headers={"Content-Type": media_type}
        )
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                found: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise ServerFailed(f"{error.code}: {error.read()[:300].decode(errors='replace')}") from None
        except OSError as error:
            raise ServerFailed(str(error)) from None
        return found


@contextmanager
def running(command: Command, cores: Sequence[int], limit_s: float = 60.0) -> Iterator[Running]:
    """The server while the block runs, all its processes bound to the cores. Raises ServerFailed."""
    log = command.folder / "server.log"

    def bind() -> None:
        os.sched_setaffinity(0, cores)
        stop_with_parent()

    with log.open("wb") as out:
        began = time.monotonic()
        started = subprocess.Popen(
            command.words,
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=bind,  # noqa: PLW1509 - there are no threads here
        )
        try:
            _wait_until_ready(started, command, began + limit_s, log)
            yield Running(psutil.Process(started.pid), command.port, time.monotonic() - began)
        finally:
            _stop(started, command.stop)


def _wait_until_ready(started: subprocess.Popen[bytes], command: Command, limit: float, log: Path) -> None:
    url = f"http://127.0.0.1:{command.port}{command.ready}"
    while time.monotonic() < limit:
        if started.poll() is not None:
            raise ServerFailed(f"it ended with code {started.returncode}: {_end_of(log)}")
        with suppress(OSError), _DIRECT.open(url, timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(_READY_POLL_S)
    raise ServerFailed(f"it was not ready in time: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-800:] or "it said nothing"


def _stop(started: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Ends the process and everything below it, asked first, then killed."""
    below = _below(started.pid)
    if started.poll() is None:
        started.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            started.wait(_STOP_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(started.pid, signal.SIGKILL)
    for process in below:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    started.wait()
    psutil.wait_procs(below, timeout=2)
    _reap()


def _below(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    return []


def _reap() -> None:
    """Take leave of orphans that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
