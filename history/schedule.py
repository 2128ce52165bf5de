"""When which fault is in which machine of a simulated plant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from types import MappingProxyType
from typing import Protocol

import numpy as np

from history.errors import HistoryError
from history.faults import FAULTS

# Sizes from which a made-up schedule draws, standard deviations of normal operation. Swapped and stuck
# sensors have none.
SIZES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "shift": (4.0, 7.0),
        "ramp": (5.0, 8.0),
        "spike": (5.0, 8.0),
        "stuck": (1.0, 1.0),
        "noise": (3.0, 5.0),
        "swap": (1.0, 1.0),
        "scale": (2.0, 4.0),
        "mode": (3.0, 5.0),
    }
)
# How many sensors such a fault hits; one unless named here, and 0 stands for all of them.
_SENSORS_HIT = {"swap": 2, "mode": 0}
# Lengths and rests differ by up to this share, so that nobody can set a clock by the faults.
_UNEVEN = 0.25


class BadSchedule(HistoryError):
    """Faults that cannot be as they are planned."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault in one machine.

    kind: a name in history.faults.FAULTS. sensors: indices, in the order of the readings. size: standard
    deviations of normal operation. start: step, 0 being the first of the stream. steps: how long, at least 1.
    """

    asset: str
    kind: str
    sensors: tuple[int, ...]
    size: float
    start: int
    steps: int

    @property
    def end(self) -> int:
        """The first step that is normal again."""
        return self.start + self.steps


@dataclass(frozen=True, slots=True)
class Timing:
    """Steps: before the first fault, of a fault, and between the end of one and the start of the next."""

    first: int
    fault: int
    rest: int


class Schedule(Protocol):
    """Which faults there will be. The same schedule gives the same episodes whenever it is asked."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of fault that may occur."""
        ...

    def of(self, asset: str) -> Iterator[Episode]:
        """Episodes of one machine, in order, without overlap; endless or not."""
        ...


class Rounds:
    """One fault after another, without end, going round the machines.

    Each machine in turn has a fault. Each kind comes once before any comes again: in the order given at
    first, then shuffled. That order, sensors, size, length and rest are drawn from the seed.
    """

    def __init__(
        self, assets: Sequence[str], sensors: Sequence[int], kinds: Sequence[str], timing: Timing, seed: int
    ) -> None:
        """assets: machines that have faults. sensors: indices of those that may be hit, at least one."""
        self.kinds = tuple(kinds)
        self._assets = tuple(assets)
        self._sensors = np.array(sensors, np.intp)
        self._timing = timing
        self._seed = seed

    def of(self, asset: str) -> Iterator[Episode]:
        if asset in self._assets and self.kinds:
            yield from (episode for episode in self.episodes() if episode.asset == asset)

    def episodes(self) -> Iterator[Episode]:
        """Those of all machines, in order."""
        rng = np.random.default_rng([self._seed, *b"schedule"])
        start, deck = self._timing.first, list(self.kinds)
        for asset in cycle(self._assets):
            deck = deck or rng.permutation(np.array(self.kinds)).tolist()
            kind = deck.pop(0)
            wanted = _SENSORS_HIT.get(kind, 1) or len(self._sensors)
            hit = np.sort(rng.choice(self._sensors, min(wanted, len(self._sensors)), replace=False))
            size = round(float(rng.uniform(*SIZES[kind])), 1)
            steps = _about(self._timing.fault, rng)
            yield Episode(asset, kind, tuple(hit.tolist()), size, start, steps)
            start += steps + _about(self._timing.rest, rng)


class Fixed:
    """Episodes that somebody chose."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        """Raises BadSchedule when two overlap in one machine, or one is of no known kind."""
        for episode in episodes:
            if episode.kind not in FAULTS:
                raise BadSchedule(
                    f"no kind of fault is called {episode.kind!r}; there are: {', '.join(FAULTS)}",
                    place="schedule",
                )
        self._episodes = sorted(episodes, key=lambda episode: episode.start)
        for asset in {episode.asset for episode in episodes}:
            for one, other in pairwise(self.of(asset)):
                if other.start < one.end:
                    raise BadSchedule(
                        f"{one.kind} until step {one.end} and {other.kind} from step {other.start} overlap; "
                        "a machine has one fault at a time",
                        place=asset,
                    )
        self.kinds = tuple(kind for kind in FAULTS if any(e.kind == kind for e in episodes))

    def of(self, asset: str) -> Iterator[Episode]:
        return (episode for episode in self._episodes if episode.asset == asset)


def _about(steps: int, rng: np.random.Generator) -> int:
    return max(1, round(steps * rng.uniform(1 - _UNEVEN, 1 + _UNEVEN)))
