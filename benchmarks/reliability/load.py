"""Requests sent at a rate, whatever the answers: a plant does not wait for its monitoring."""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import cast

import numpy as np

_NO_STATUS = 0
# Of kernel and client; a connection beyond would say more about this machine than about the service.
MOST_CONNECTIONS = 4000


@dataclass(slots=True)
class Tally:
    """What became of requests.

    sent: that were written. seconds: of each accepted (200), from when it was written to its answer's last
    byte. since_due: of the same, from when its time had come, so with the generator's own delay and its wait
    for a connection. refused_seconds: of each answered with anything else, since it was written. retry_after:
    of those refused, seconds. broken: connections that ended without an answer, by kind of error. unsent:
    requests whose time came when no connection was free, or that got none before the load ended. ended:
    when no more was written, time.monotonic, which all processes of one machine share.
    """

    sent: int = 0
    unsent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    since_due: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    retry_after: Counter[str] = field(default_factory=Counter)
    ended: float = 0.0

    @property
    def unanswered(self) -> int:
        return self.sent - sum(self.statuses.values())

    @property
    def accepted(self) -> int:
        return self.statuses[200]

    def percentile(self, percent: float) -> float:
        """Of the accepted, seconds. NaN when there are none."""
        return float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")

    def add(self, other: "Tally") -> None:
        self.sent += other.sent
        self.unsent += other.unsent
        self.statuses += other.statuses
        self.broken += other.broken
        self.retry_after += other.retry_after
        self.seconds += other.seconds
        self.since_due += other.since_due
        self.refused_seconds += other.refused_seconds
        self.ended = max(self.ended, other.ended)


def post(
    path: str, body: bytes, timeout_s: float | None = None, content_type: str = "application/json"
) -> bytes:
    """A request as it goes over the wire."""
    patience = f"Request-Timeout: {timeout_s:g}\r\n" if timeout_s is not None else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{patience}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Line(asyncio.Protocol):
    """One kept connection: one request at a time. Understands answers that have a length, as all here do."""

    def __init__(self, pool: "Lines") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._started: float | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent
        self._pool.is_free(self)

    def ask(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._started, self._due = time.monotonic(), due
        self._pool.tally.sent += 1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        fields = {
            name.lower(): value
            for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])
        }
        if len(rest) < int(fields.get(b"content-length", 0)):
            return
        self._buffer = b""
        self._answered(int(head[9:12]), fields)

    def _answered(self, status: int, fields: dict[bytes, bytes]) -> None:
        if self._started is None:
            return  # a refusal of the connection itself; that it is lost comes next
        tally, now = self._pool.tally, time.monotonic()
        tally.statuses[status] += 1
        if status == 200:
            tally.seconds.append(now - self._started)
            tally.since_due.append(now - self._due)
        else:
            tally.refused_seconds.append(now - self._started)
        if status == 429:
            tally.retry_after[fields.get(b"retry-after", b"").decode()] += 1
        self._started = None
        if fields.get(b"connection", b"") != b"close":
            self._pool.is_free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._started is not None:
            self._pool.tally.broken[type(error).__name__ if error else "closed"] += 1
        self._pool.is_lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Lines:
    """Connections to one service. One is opened when a request finds none free, up to a limit."""

    def __init__(self, host: str, port: int, most: int = MOST_CONNECTIONS) -> None:
        self._host, self._port, self._most = host, port, most
        self.tally = Tally()
        self._free: list[Line] = []
        self._open: set[Line] = set()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return len(self._open)

    @property
    def busy(self) -> int:
        """Connections that wait for an answer, or for being opened."""
        return len(self._open) - len(self._free) + len(self._opening)

    def ask(self, request: bytes, due: float | None = None) -> None:
        """Send now, over a free connection or one that is opened for it. due: when it should have been."""
        due = time.monotonic() if due is None else due
        if self._free:
            self._free.pop().ask(request, due)
        elif len(self._open) + len(self._opening) < self._most:
            self._waiting.append((request, due))
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.tally.unsent += 1

    def is_free(self, line: Line) -> None:
        self._open.add(line)
        if self._waiting:
            line.ask(*self._waiting.popleft())
        else:
            self._free.append(line)

    def is_lost(self, line: Line) -> None:
        self._open.discard(line)
        if line in self._free:
            self._free.remove(line)

    async def settle(self, seconds: float) -> None:
        """Wait for what is under way, but no longer."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.busy:
            await asyncio.sleep(0.01)

    def end(self) -> None:
        """No more is sent: what still waits for a connection never is."""
        self.tally.unsent += len(self._waiting)
        self._waiting.clear()
        self.tally.ended = time.monotonic()

    def close(self) -> None:
        for line in list(self._open):
            line.close()

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: Line(self), self._host, self._port)
        except OSError as error:
            self.tally.broken[type(error).__name__] += 1
            if self._waiting:
                self._waiting.popleft()
                self.tally.unsent += 1


async def at_rate(lines: Lines, requests: list[bytes], per_s: float, seconds: float) -> None:
    """Send these requests in turn, so many a second, each at its time; then no more."""
    began = time.monotonic()
    due = 0
    while (now := time.monotonic() - began) < seconds:
        wanted = int(now * per_s)
        for number in range(due, wanted):
            lines.ask(requests[number % len(requests)], began + number / per_s)
        due = max(due, wanted)
        await asyncio.sleep(0.002)
    lines.end()


async def at_most(lines: Lines, requests: list[bytes], callers: int, seconds: float) -> None:
    """So many callers, each of which asks again once it has its answer: finds what the service can do."""
    limit = time.monotonic() + seconds
    asked = 0
    while time.monotonic() < limit:
        for _ in range(callers - lines.busy):
            lines.ask(requests[asked % len(requests)])
            asked += 1
        await asyncio.sleep(0.001)
