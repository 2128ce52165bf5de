"""A long run of mixed traffic, with reloads every minute and faults thrown in, sampled all the while."""

import asyncio
import json
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil

from benchmarks.reliability.load import Lines, Tally, at_rate, post
from benchmarks.reliability.overload import descriptors, family, memory_mb

RELOAD_EVERY_S = 60.0
FAULT_EVERY_S = 20.0
SAMPLE_EVERY_S = 1.0
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """at: seconds since the run began. p50_s, p99_s: of what was accepted just before, NaN if nothing."""

    at: float
    rss_mb: float
    descriptors: int
    p50_s: float
    p99_s: float


@dataclass(slots=True)
class Soak:
    """What was seen. faults, reloads: how often each was done. failures: what did not end as it should."""

    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    faults: dict[str, int] = field(default_factory=dict)
    reloads: int = 0
    failures: list[str] = field(default_factory=list)


class Run:
    """One soak of the service at this address, the first process of which is `pid`."""

    def __init__(self, url: str, pid: int, window: list[list[float]], per_s: float) -> None:
        self._url = url
        host, port = url.removeprefix("http://").split(":")
        self._host, self._port = host, int(port)
        self._pid = pid
        self._window = window
        self._per_s = per_s
        self._random = random.Random(0)
        self._began = 0.0
        self.soak = Soak()

    async def run(self, seconds: float) -> Soak:
        """Blocks for so long, and a moment more."""
        self._began = time.monotonic()
        lines = Lines(self._host, self._port, 200)
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=_ANSWER_S) as client,
            _every(SAMPLE_EVERY_S, lambda: self._sample(lines)),
            _every(RELOAD_EVERY_S, lambda: self._reload(client)),
            _every(FAULT_EVERY_S, lambda: self._fault(client)),
            _every(5.0, lambda: self._look_around(client)),
        ):
            await at_rate(lines, self._mixed(), self._per_s, seconds)
            await lines.settle(_ANSWER_S)
        self._take(lines)
        lines.close()
        self.soak.seconds = seconds
        return self.soak

    def _mixed(self) -> list[bytes]:
        """Single windows mostly, batches, named assets, explanations, and now and then what is refused."""
        one = {"values": self._window}

        def of(body: object, timeout_s: float | None = None) -> bytes:
            return post("/classify", json.dumps(body).encode(), timeout_s)

        requests = [of({"window": self._window})] * 12
        requests += [of({"windows": [{**one, "asset": f"P-{k}"}]}) for k in range(4)]
        requests += [of({"windows": [one] * 32, "explain": True}, 5.0), of({"windows": [one] * 64}, 5.0)]
        requests += [of({"windows": [{"values": [[1.0]]}]}), post("/classify", b"{")]
        self._random.shuffle(requests)
        return requests

    async def _look_around(self, client: httpx.AsyncClient) -> None:
        for path in ("/metrics", "/models", "/livez", "/readyz"):
            answer = await client.get(path)
            if answer.status_code != 200:
                self.soak.failures.append(f"{self._now:.0f} s: {path} answered {answer.status_code}")

    async def _reload(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/models/reload")
        if answer.status_code == 200:
            self.soak.reloads += 1
        else:
            self.soak.failures.append(f"{self._now:.0f} s: the reload answered {answer.status_code}")

    async def _sample(self, lines: Lines) -> None:
        seconds = self._take(lines)
        p50, p99 = np.percentile(seconds, [50, 99]) if seconds else (float("nan"), float("nan"))
        with suppress(psutil.NoSuchProcess):  # a worker that is just being killed
            self.soak.samples.append(
                Sample(self._now, memory_mb(self._pid), descriptors(self._pid), float(p50), float(p99))
            )

    def _take(self, lines: Lines) -> list[float]:
        """What the connections counted, added up here; times are not kept."""
        tally, lines.tally = lines.tally, Tally()
        seconds = tally.seconds
        tally.seconds, tally.since_due, tally.refused_seconds = [], [], []
        self.soak.tally.add(tally)
        return seconds

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _fault(self, client: httpx.AsyncClient) -> None:
        faults: dict[str, Callable[[], Awaitable[None]]] = {
            "client that leaves in mid-batch": self._leave,
            "head that never ends": self._slow_head,
            "body that never ends": self._slow_body,
            "200 idle connections": self._idle,
            "burst beyond the capacity": self._burst,
            "asset commissioned and forgotten": lambda: self._commission(client),
            "killed worker": self._kill,
        }
        names = list(faults)
        name = names[sum(self.soak.faults.values()) % len(names)]
        self.soak.faults[name] = self.soak.faults.get(name, 0) + 1
        await faults[name]()

    async def _leave(self) -> None:
        body = json.dumps({"windows": [{"values": self._window}] * 256}).encode()
        for _ in range(10):
            _, writer = await asyncio.open_connection(self._host, self._port)
            writer.write(post("/classify", body))
            await writer.drain()
            writer.transport.abort()

    async def _slow_head(self) -> None:
        await self._send_some(b"POST /classify HTTP/1.1\r\nHost")

    async def _slow_body(self) -> None:
        await self._send_some(post("/classify", b" " * 1000)[:-900])

    async def _send_some(self, start: bytes) -> None:
        connections = [await asyncio.open_connection(self._host, self._port) for _ in range(10)]
        for _, writer in connections:
            writer.write(start)
        await asyncio.sleep(5)
        for _, writer in connections:
            writer.transport.abort()

    async def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(200):
            connection = socket.socket()
            connection.setblocking(False)
            await loop.sock_connect(connection, (self._host, self._port))
            connections.append(connection)
        await asyncio.sleep(5)
        for connection in connections:
            connection.close()

    async def _burst(self) -> None:
        lines = Lines(self._host, self._port, 500)
        await at_rate(lines, self._mixed(), 10 * self._per_s, 1.0)
        await lines.settle(_ANSWER_S)
        lost = lines.tally.unanswered
        if lost:
            self.soak.failures.append(f"{self._now:.0f} s: {lost} requests of a burst were not answered")
        lines.close()

    async def _commission(self, client: httpx.AsyncClient) -> None:
        put = await client.put("/assets/soaked/baseline", json={"values": self._window * 40})
        if put.status_code in (200, 201):
            await client.delete("/assets/soaked/baseline")
        elif put.status_code != 422:
            self.soak.failures.append(f"{self._now:.0f} s: commissioning answered {put.status_code}")

    async def _kill(self) -> None:
        """One of several workers; the requests that it was answering are lost with it."""
        workers = [each for each in family(self._pid)[1:] if "cli.worker" in each.cmdline()]
        if len(workers) > 1:
            self._random.choice(workers).send_signal(signal.SIGKILL)


@asynccontextmanager
async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something again and again, first after so many seconds."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            with suppress(OSError, httpx.HTTPError):  # the service is being hurt; it shows in the figures
                await do()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
