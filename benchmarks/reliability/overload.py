"""Five times as much as the service can do: what is answered, how late, and how soon it is itself again."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.reliability.load import Lines, Tally, at_most, at_rate

TIMES = 5
_CALLERS = 16
_SETTLE_S = 60.0
_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Overload:
    """capacity: accepted requests per second when nobody is made to wait in vain. seconds: of overload.

    rss_mb: resident memory in its course. recovered_s: from the end of the overload until requests, one after
    the other, are accepted again without exception; None when they were not within five seconds.
    """

    capacity: float
    calm: Tally
    seconds: float
    tally: Tally
    rss_mb: tuple[float, ...]
    recovered_s: float | None

    @property
    def times(self) -> float:
        """What was sent, as a multiple of the capacity."""
        return self.tally.sent / self.seconds / self.capacity


async def overload(
    host: str, port: int, pid: int, requests: list[bytes], seconds: float, measure_s: float = 3.0
) -> Overload:
    """Loads the service at this address, the first process of which is `pid`."""
    calm = Lines(host, port)
    await at_most(calm, requests, _CALLERS, 1.0)  # to be warm
    calm.tally = Tally()
    await at_most(calm, requests, _CALLERS, measure_s)
    await calm.settle(_SETTLE_S)
    capacity = calm.tally.accepted / measure_s
    calm.close()

    lines = Lines(host, port)
    rss: list[float] = []
    sampling = asyncio.create_task(_sample(pid, rss))
    await at_rate(lines, requests, TIMES * capacity, seconds)
    ended = time.monotonic()
    recovered = await _recovery(host, port, requests, ended)
    await lines.settle(_SETTLE_S)
    sampling.cancel()
    lines.close()
    return Overload(capacity, calm.tally, seconds, lines.tally, tuple(rss), recovered)


async def _recovery(host: str, port: int, requests: list[bytes], since: float) -> float | None:
    """Seconds until the first of ten requests in a row that are accepted."""
    lines = Lines(host, port)
    first: float | None = None
    row = 0
    while time.monotonic() - since < 5.0 and row < 10:
        began, before = time.monotonic(), lines.tally.accepted
        lines.ask(requests[0])
        await lines.settle(5.0)
        if lines.tally.accepted > before:
            first = began - since if first is None else first
            row += 1
        else:
            first, row = None, 0
        await asyncio.sleep(0.05)
    lines.close()
    return first if row == 10 else None


async def _sample(pid: int, rss: list[float]) -> None:
    while True:
        rss.append(memory_mb(pid))
        await asyncio.sleep(0.5)


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, megabytes."""
    return sum(each.memory_info().rss for each in family(pid)) / _MEGABYTE


def descriptors(pid: int) -> int:
    """Open files of a process and its children."""
    return sum(each.num_fds() for each in family(pid))


def family(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def flat(rss_mb: tuple[float, ...]) -> float:
    """How much larger memory is in the last quarter than in the second, as a share of it."""
    quarter = max(len(rss_mb) // 4, 1)
    second, last = np.mean(rss_mb[quarter : 2 * quarter]), np.mean(rss_mb[-quarter:])
    return float(last / second - 1)
