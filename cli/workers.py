"""The first process of a service of several workers: starts them, watches them, and ends them."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from cli.connections import Connections, Worker
from cli.console import fail, note, say, warn
from cli.worker_channel import ALL_READY, UNREADY, Assignment, Word, assign
from service.http.keys import read_keys
from service.measuring.ledger import LedgerFiles
from service.settings import Settings

_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.1, 30.0
# A worker that lived so long did not fall over something at its start.
_GOOD_LIFE_S = 60.0
# Beyond the time for answering what is under way, for closing models and state.
_END_S = 3.0
_WATCH_S = 1.0


class Supervisor:
    """All workers of one service. `run` returns the exit code."""

    def __init__(self, settings: Settings, listener: socket.socket, url: str) -> None:
        self._settings = settings
        self._url = url
        self._files = LedgerFiles.create(settings.workers)
        self._workers: dict[int, Worker] = {}
        self._connections = Connections(listener, self._workers)
        self._all_ready = False
        self._announcement = ""
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._failed = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._signalled, sig)
        keeping = [asyncio.create_task(self._keep(n)) for n in range(self._settings.workers)]
        watching = asyncio.create_task(self._watch())
        await self._stopping.wait()
        await self._stop()
        _, late = await asyncio.wait(keeping, timeout=self._settings.shutdown_timeout_s + _END_S)
        if late:
            warn("workers that did not end in time are killed")
            self._failed = True
            self._kill_all()
        await asyncio.gather(*keeping)
        watching.cancel()
        return 1 if self._failed else 0

    def _signalled(self, sig: int) -> None:
        if self._stopping.is_set() and sig == signal.SIGINT:
            self._kill_all()
        if self._stopping.is_set() or sig == signal.SIGINT or self._settings.drain_s == 0:
            self._hurried.set()
        self._stopping.set()

    async def _stop(self) -> None:
        """Unready first; then nothing more is accepted; then the workers are told to finish."""
        for worker in self._workers.values():
            worker.order(UNREADY)
        if not self._failed:
            await _within(self._hurried.wait(), self._settings.drain_s)
        self._connections.close()
        for worker in list(self._workers.values()):
            self._dismiss(worker)

    async def _keep(self, number: int) -> None:
        """Have this worker running until the service stops."""
        pause_s = _FIRST_RESTART_S
        while not self._stopping.is_set():
            worker = await self._start(number)
            code = await worker.process.wait()
            self._hear(worker)  # what it said last, and why
            worker.close()
            self._workers.pop(number)
            self._connections.take_back(worker)
            how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
            if self._stopping.is_set():
                self._failed |= code != 0
                return
            if not self._all_ready:
                self._fail(f"worker {number + 1} ended at its start with {how}")
                return
            if time.monotonic() - worker.started > _GOOD_LIFE_S:
                pause_s = _FIRST_RESTART_S
            warn(f"worker {number + 1} ended with {how}; it is started anew in {pause_s:g} s")
            await _within(self._stopping.wait(), pause_s)
            pause_s = min(2 * pause_s, _LONGEST_RESTART_S)

    async def _start(self, number: int) -> Worker:
        mine, its = socket.socketpair()
        path = os.pathsep.join(filter(None, sys.path))
        with its:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "cli.worker", str(its.fileno())),
                pass_fds=[its.fileno(), *self._files.descriptors],
                env={**os.environ, "PYTHONPATH": path},
                # Ctrl-C in a terminal reaches this process only, which then stops them in order.
                process_group=0,
            )
        now = time.monotonic()
        worker = self._workers[number] = Worker(number, process, mine, started=now, heard=now)
        with suppress(OSError):  # it has ended already; `wait` will tell
            announcing = number == 0 and not self._all_ready
            assign(mine, Assignment(number, announcing, self._url, _share_of(self._settings), self._files))
        mine.setblocking(False)
        asyncio.get_running_loop().add_reader(mine, self._hear, worker)
        if self._all_ready:
            worker.order(ALL_READY)
        if self._stopping.is_set():
            self._dismiss(worker)
        return worker

    def _dismiss(self, worker: Worker) -> None:
        """Give it nothing more. It answers what it has, and ends."""
        worker.up = worker.ready = False
        with suppress(OSError):
            worker.channel.shutdown(socket.SHUT_WR)  # what it says to the end is still listened to

    def _hear(self, worker: Worker) -> None:
        while worker.channel.fileno() >= 0:
            try:
                data = worker.channel.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                worker.close()
                return
            worker.heard = time.monotonic()
            for word in worker.ear.words(data):
                self._heed(worker, word)

    def _heed(self, worker: Worker, word: Word) -> None:
        worker.ended = max(worker.ended, word.closed)
        worker.has_taken(word.taken)
        if word.kind == "failed":
            if self._all_ready:
                warn(f"worker {worker.number + 1}: {word.text}")
            else:
                self._fail(word.text)
        elif word.kind == "hanging":
            self._kill(worker, "a model hangs")
        elif self._stopping.is_set():
            return
        elif word.kind == "up":
            worker.up = True
            self._connections.resume()
        elif word.kind == "leaving":
            self._dismiss(worker)
        elif word.kind == "ready":
            self._is_ready(worker, word)

    def _is_ready(self, worker: Worker, word: Word) -> None:
        if not word.answers and not self._all_ready:
            say(word.text)
            self._fail(f"worker {worker.number + 1} has no default model to answer with")
            return
        worker.ready = True
        self._announcement = word.text or self._announcement
        if self._all_ready:
            note(f"worker {worker.number + 1} is ready again")
            self._connections.resume()
        elif sum(each.ready for each in self._workers.values()) == self._settings.workers:
            self._all_ready = self._connections.only_ready = True
            for each in self._workers.values():
                each.order(ALL_READY)
            say(self._announcement)

    def _fail(self, message: str) -> None:
        """End the whole service; the first reason is the one that is told."""
        if not self._failed and not self._stopping.is_set():
            fail(message)
        self._failed = True
        self._stopping.set()

    async def _watch(self) -> None:
        """A worker that says nothing any more is of no use to anybody."""
        while True:
            await asyncio.sleep(_WATCH_S)
            silent_since = time.monotonic() - self._settings.hang_after_s
            for worker in list(self._workers.values()):
                if worker.ready and worker.heard < silent_since:
                    self._kill(worker, f"silent for {self._settings.hang_after_s:g} s")

    def _kill(self, worker: Worker, reason: str) -> None:
        if worker.process.returncode is None:
            warn(f"worker {worker.number + 1} is killed: {reason}")
            worker.ready = worker.up = False
            worker.process.kill()

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.kill()


def supervise(settings: Settings, listener: socket.socket, url: str) -> int:
    """Serve with several workers until SIGTERM or SIGINT. Returns the exit code. Raises KeysUnreadable."""
    if settings.keys_file is not None:
        read_keys(settings.keys_file)  # told once, before anything is started
    note(f"listening on {url}, {settings.workers} workers load models from {settings.models}")

    async def run() -> int:
        return await Supervisor(settings, listener, url).run()

    return asyncio.run(run())


def _share_of(settings: Settings) -> dict[str, object]:
    """The settings of one worker: what bounds the memory of the service is shared out."""
    share = max(settings.max_bodies_mb / settings.workers, settings.max_body_mb)
    return settings.model_copy(update={"max_bodies_mb": share}).model_dump(mode="json")


async def _within(waiting: Coroutine[Any, Any, object], seconds: float) -> None:
    """Wait for something, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
