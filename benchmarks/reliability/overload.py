"""Five times as much as the service can do: what is answered, how late, and how soon it is itself again."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.reliability.generator import generating
from benchmarks.reliability.load import Lines, Tally

TIMES = 5
_CALLERS = 16
_MEGABYTE = 1e6
# From shortly before the overload ends, somebody asks so often, whatever became of the last request.
_PROBE_EVERY_S = 0.02
_PROBE_BEFORE_S, _PROBE_AFTER_S = 0.5, 5.0
_ROW = 10


@dataclass(frozen=True, slots=True)
class Probe:
    """A single request. asked: time.monotonic, seconds. held_back: see `held_back_s`, by then."""

    asked: float
    accepted: bool
    held_back: float = 0.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """seconds: how long after an overload requests are still refused. held_back_s: of these, summed over the
    service's threads, when they could have run and the machine had no processor for them."""

    seconds: float
    held_back_s: float

    @property
    def own_s(self) -> float:
        """What the service itself took, whatever else the machine did; `seconds` on a quiet one."""
        return max(self.seconds - self.held_back_s, 0.0)


@dataclass(frozen=True, slots=True)
class Overload:
    """capacity: accepted requests per second when nobody is made to wait in vain. seconds: of overload.

    rss_mb: resident memory in its course. recovered: see `recovery`.
    """

    capacity: float
    calm: Tally
    seconds: float
    tally: Tally
    rss_mb: tuple[float, ...]
    recovered: Recovery | None

    @property
    def times(self) -> float:
        """What was sent, as a multiple of the capacity."""
        return self.tally.sent / self.seconds / self.capacity


async def overload(
    host: str,
    port: int,
    pid: int,
    requests: list[bytes],
    seconds: float,
    measure_s: float = 3.0,
    core: int | None = None,
) -> Overload:
    """Loads the service at this address, the first process of which is `pid`. core: of the generator."""
    with generating(host, port, requests, core) as generator:
        await generator.most(_CALLERS, 1.0)  # to be warm
        calm = await generator.most(_CALLERS, measure_s)
        capacity = calm.accepted / measure_s
        rss: list[float] = []
        sampling = asyncio.create_task(_sample(pid, rss))
        probing = asyncio.create_task(_probe(host, port, requests[0], seconds, pid))
        tally = await generator.at_rate(TIMES * capacity, seconds)
        sampling.cancel()
        probes = await probing
    return Overload(capacity, calm, seconds, tally, tuple(rss), recovery(probes, tally.ended))


def recovery(probes: Sequence[Probe], ended: float) -> Recovery | None:
    """How long after an overload requests are still refused; None if until the last probe.

    ended: when the last request of the overload was written, time.monotonic: from then on no more comes than
        the service can do, and what still waits in its sockets is its own to clear. What had come due and was
        never written is not waited for.

    It is the time from there until the first of ten probes in a row is asked that are all accepted. A probe
    asks over a connection of its own at its time, so a late answer to one does not delay the next. At most a
    probe's interval (20 ms) too long.
    """
    after = [probe for probe in probes if probe.asked >= ended]
    for first in range(len(after) - _ROW + 1):
        if all(probe.accepted for probe in after[first : first + _ROW]):
            held_back_s = after[first].held_back - after[0].held_back
            return Recovery(after[first].asked - ended, held_back_s)
    return None


async def _probe(host: str, port: int, request: bytes, seconds: float, pid: int) -> list[Probe]:
    """Single requests about the end of an overload that begins now."""
    await asyncio.sleep(max(seconds - _PROBE_BEFORE_S, 0.0))
    asking: list[asyncio.Task[Probe]] = []
    limit = time.monotonic() + _PROBE_BEFORE_S + _PROBE_AFTER_S
    while time.monotonic() < limit:
        asking.append(asyncio.create_task(_ask_once(host, port, request, held_back_s(pid))))
        await asyncio.sleep(_PROBE_EVERY_S)
    return list(await asyncio.gather(*asking))


async def _ask_once(host: str, port: int, request: bytes, held_back: float) -> Probe:
    lines = Lines(host, port, 1)
    asked = time.monotonic()
    lines.ask(request)
    await lines.settle(30.0)
    lines.close()
    return Probe(asked, lines.tally.accepted == 1, held_back)


async def _sample(pid: int, rss: list[float]) -> None:
    while True:
        rss.append(memory_mb(pid))
        await asyncio.sleep(0.5)


def held_back_s(pid: int) -> float:
    """Since a process began, for how long its threads could have run and had no processor, seconds, summed.

    0 where the system does not tell (it needs Linux' /proc).
    """
    nanoseconds = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # it has just ended
            nanoseconds += int(thread.read_text().split()[1])
    return nanoseconds / 1e9


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
