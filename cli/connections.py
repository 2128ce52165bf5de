"""Who of several workers gets the next connection.

The first process accepts every connection and gives it to the ready worker that has the fewest, so that
workers are loaded alike and one that is still loading is asked nothing
(docs/decisions/0010-one-process-hands-out-connections.md).
"""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from cli.worker_channel import CONNECTION, Ear

_BACKLOG = 2048
# Accepted in one go, before the workers are listened to again.
_AT_ONCE = 128
# How long nothing is accepted when there is no descriptor left for it.
_PAUSE_S = 0.05


@dataclass(eq=False, slots=True)
class Worker:
    """A running worker. started, heard: time.monotonic seconds. given, ended: connections so far.

    untaken: those of them that it has not taken yet; should it die, another gets them.
    """

    number: int
    process: asyncio.subprocess.Process
    channel: socket.socket
    started: float
    heard: float
    up: bool = False
    ready: bool = False
    given: int = 0
    ended: int = 0
    untaken: deque[socket.socket] = field(default_factory=deque)
    ear: Ear = field(default_factory=Ear)

    @property
    def connections(self) -> int:
        return self.given - self.ended

    def order(self, order: bytes, connection: socket.socket | None = None) -> bool:
        """Whether it could be told, without waiting."""
        descriptors = [] if connection is None else [connection.fileno()]
        try:
            return socket.send_fds(self.channel, [order], descriptors) == 1
        except OSError:
            return False

    def has_taken(self, count: int) -> None:
        """So many connections, since it began."""
        while self.untaken and self.given - len(self.untaken) < count:
            self.untaken.popleft().close()

    def close(self) -> None:
        """Neither listen nor speak to it any more."""
        if self.channel.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.channel)
            self.channel.close()


class Connections:
    """Accepts on the service's port while there is a worker to give to.

    only_ready: give to workers that are ready. While the service starts, every worker that is up gets some,
    to answer that it is not ready.
    """

    def __init__(self, listener: socket.socket, workers: Mapping[int, Worker]) -> None:
        self._listener = listener
        self._workers = workers
        self._accepting = False
        self._turn = 0
        self.only_ready = False
        listener.setblocking(False)
        listener.listen(_BACKLOG)

    def resume(self) -> None:
        """Accept again: somebody is there to give to."""
        if not self._accepting and self._listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
            self._accepting = True

    def take_back(self, worker: Worker) -> None:
        """Give what a dead worker has not taken to the others."""
        for connection in worker.untaken:
            self._give(connection, self._takers())
        worker.untaken.clear()

    def close(self) -> None:
        """Give away what has arrived, then close the port."""
        self._accept()
        self._pause()
        self._listener.close()

    def _pause(self) -> None:
        if self._accepting:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._accepting = False

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            takers = self._takers()
            if not takers:
                self._pause()  # until a worker is up; connections wait in the kernel's queue
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._pause()
                asyncio.get_running_loop().call_later(_PAUSE_S, self.resume)
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._give(connection, takers)

    def _takers(self) -> list[Worker]:
        """Whom the next connection may be given to, the best first; of equals, each in its turn."""
        among = [worker for worker in self._workers.values() if worker.up]
        if self.only_ready:
            among = [worker for worker in among if worker.ready]
        count = len(self._workers)
        return sorted(among, key=lambda worker: (worker.connections, (worker.number - self._turn) % count))

    def _give(self, connection: socket.socket, takers: list[Worker]) -> None:
        for worker in takers:
            if worker.order(CONNECTION, connection):
                worker.given += 1
                worker.untaken.append(connection)
                self._turn = worker.number + 1
                return
        connection.close()  # nobody can be told: every channel is full, or every worker gone
