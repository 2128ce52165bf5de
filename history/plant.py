"""A plant that runs: machines of one type, each at its own operating point, with faults when they are due.

What is normal comes from the type's twin, what is not from the library of faults; a machine's labels say
which of both a row is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from history.faults import FAULTS
from history.recording import NORMAL
from history.schedule import Episode
from history.twin import LEAST_VARIANCE, Twin, stationary_variance

Floats = NDArray[np.float64]

# Steps that are simulated at a time. Always the same, as the last digits of a product depend on its size.
BLOCK_STEPS = 256
# Steps before a fault that it may look back on: a stuck sensor repeats the last of them.
CONTEXT_STEPS = 32
# A machine's readings scatter more or less than those of its type, by at most this factor.
SCALE_FACTOR = 1.4
# Share of the type's range at either end in which no machine is operated.
RANGE_MARGIN = 0.2
# How far a sensor's operating point lies from where the machine's load would put it, share of its range.
PLAY = 0.1
# Largest eigenvalue of a machine's dynamics: disturbances are forgotten within some 7 steps. A twin that was
# fitted over several states of operation wanders between them for minutes; a machine here holds its operating
# point, and what is slow is the season.
LONGEST_MEMORY = 0.5
# Rows from which the direction of the load is found.
_LOAD_ROWS = 4000


@dataclass(frozen=True)
class MachineType:
    """What machines of one type have in common.

    scale: float64 (sensors,), standard deviation of each sensor within one machine, engineering units, > 0.
    low, high: (sensors,), the range in which the centres of the machines' readings lie.
    """

    twin: Twin
    scale: Floats
    low: Floats
    high: Floats

    @cached_property
    def load(self) -> Floats:
        """Whether each sensor rises (1) or falls (-1) with the load: (sensors,).

        As the sensors move together anyway: the signs of the first principal component of their correlation.
        """
        rows = self.twin.simulate(_LOAD_ROWS, np.random.default_rng(0))
        spread = rows.std(axis=0)
        rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        direction = np.linalg.eigh(rows.T @ rows)[1][:, -1]
        direction *= np.sign(direction[np.argmax(np.abs(direction))])
        return np.where(direction >= 0, 1.0, -1.0)


@dataclass(frozen=True, slots=True)
class Season:
    """A slow wave of the load. steps: of one period, 0 for none. size: of its crest, standard deviations."""

    steps: float
    size: float

    def wave(self, first: int, steps: int, phase: float) -> Floats:
        """The load from step `first` on: (steps,). phase: share of a period, 0..1."""
        if not self.steps:
            return np.zeros(steps)
        turns = np.arange(first, first + steps) / self.steps + phase
        return np.asarray(self.size * np.sin(2 * np.pi * turns))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Readings with the truth about them.

    values: float64 (rows, sensors), engineering units. faults: per row the fault that it shows, or None.
    """

    values: Floats
    faults: tuple[Episode | None, ...]

    @property
    def labels(self) -> list[str]:
        """Per row `normal`, or the kind of fault."""
        return [NORMAL if fault is None else fault.kind for fault in self.faults]


class Machine:
    """One machine of a plant. The same type, name, seed, lead and episodes give the same rows, however many
    are taken at a time.

    lead: float64 (rows, sensors), its normal operation directly before the stream begins.
    """

    def __init__(
        self,
        kind: MachineType,
        asset: str,
        seed: int,
        lead_rows: int,
        episodes: Iterator[Episode],
        season: Season,
    ) -> None:
        """lead_rows: >= 0. episodes: of this machine, in order, without overlap."""
        self.asset = asset
        self._seed = [seed, *asset.encode()]
        rng = np.random.default_rng(self._seed)
        self._type = kind
        width = len(kind.scale)
        # One load for the machine, around which each sensor has some play.
        load = rng.uniform(RANGE_MARGIN, 1.0 - RANGE_MARGIN)
        place = np.clip(load + rng.normal(0.0, PLAY, width), 0.0, 1.0)
        self._scale = kind.scale * SCALE_FACTOR ** rng.uniform(-1.0, 1.0, width)
        self._center = kind.low + place * (kind.high - kind.low)
        self._digits = [3 - int(np.floor(np.log10(scale))) for scale in self._scale]
        self._season = season
        self._phase = rng.uniform(0.0, 1.0)
        self._course = _Course(kind.twin, rng)
        # Steps of normal operation that were drawn, counted from the beginning of the stream.
        self._drawn = -(lead_rows + CONTEXT_STEPS)
        self._recent = self._normal(CONTEXT_STEPS)
        self._values = np.empty((0, width))
        self._faults: list[Episode | None] = []
        self._episodes = episodes
        self._next: Episode | None = None
        self.lead = self.take(lead_rows).values
        self._next = next(self._episodes, None)

    def take(self, steps: int) -> Rows:
        """The next rows of the stream."""
        while len(self._values) < steps:
            self._extend(steps - len(self._values))
        values, self._values = self._values[:steps], self._values[steps:]
        faults, self._faults = self._faults[:steps], self._faults[steps:]
        return Rows(values, tuple(faults))

    def _extend(self, steps: int) -> None:
        """Draw normal operation up to the next fault, `steps` of it at most; or a whole fault."""
        episode = self._next
        if episode is None or episode.start > self._drawn:
            free = steps if episode is None else min(steps, episode.start - self._drawn)
            normal = self._normal(free)
            self._append(normal, normal, None)
            return
        normal = self._normal(episode.steps)
        window = np.concatenate((self._recent, normal))
        rng = np.random.default_rng([*self._seed, episode.start])
        sensors = np.array(episode.sensors, np.intp)
        FAULTS[episode.kind].inject(window, len(self._recent), sensors, episode.size, rng)
        self._append(normal, window[len(self._recent) :], episode)
        self._next = next(self._episodes, None)

    def _append(self, normal: Floats, shown: Floats, fault: Episode | None) -> None:
        """normal, shown: (steps, sensors), standardised."""
        self._recent = np.concatenate((self._recent, normal))[-CONTEXT_STEPS:]
        values = self._center + self._scale * shown
        # To a thousandth of the deviation: short to write, exact when read back, and nothing is lost.
        for sensor, digits in enumerate(self._digits):
            values[:, sensor] = np.round(values[:, sensor], digits)
        self._values = np.concatenate((self._values, values))
        self._faults += [fault] * len(values)

    def _normal(self, steps: int) -> Floats:
        load = self._season.wave(self._drawn, steps, self._phase)
        self._drawn += steps
        return np.asarray(self._course.take(steps) + load[:, None] * self._type.load)


class _Course:
    """Endless normal operation by a twin, each sensor in its own standard deviations."""

    def __init__(self, twin: Twin, rng: np.random.Generator) -> None:
        self._rng = rng
        twin = _steadied(twin)
        self._lags = len(twin.transition)
        # Oldest first, so that the last rows, flattened, are the state.
        self._weights = np.ascontiguousarray(np.concatenate(twin.transition[::-1], axis=1))
        self._cholesky = np.ascontiguousarray(np.ascontiguousarray(twin.noise_cholesky).T)
        novelty = twin.noise_cholesky @ twin.noise_cholesky.T
        variance = stationary_variance(twin.transition, novelty)
        self._deviation = np.sqrt(np.maximum(variance, LEAST_VARIANCE))
        # The twin's own run-up, so that the course begins in the middle of operation.
        self._state = (twin.simulate(self._lags, rng) - twin.center) / twin.scale
        self._waiting = np.empty((0, len(twin.sensors)))

    def take(self, steps: int) -> Floats:
        """(steps, sensors)."""
        while len(self._waiting) < steps:
            self._waiting = np.concatenate((self._waiting, self._block()))
        taken, self._waiting = self._waiting[:steps], self._waiting[steps:]
        return taken

    def _block(self) -> Floats:
        lags = self._lags
        novelty = self._rng.standard_normal((BLOCK_STEPS, len(self._cholesky))) @ self._cholesky
        rows = np.concatenate((self._state, novelty))
        for step in range(lags, len(rows)):
            rows[step] += self._weights @ rows[step - lags : step].ravel()
        self._state = rows[-lags:]
        return np.asarray(rows[lags:] / self._deviation)


def _steadied(twin: Twin) -> Twin:
    """The twin with its memory cut to LONGEST_MEMORY.

    Multiplying transition[k] by r to the power k + 1 multiplies every eigenvalue of the dynamics by r.
    """
    lags, width = twin.transition.shape[:2]
    companion = np.eye(lags * width, k=-width)
    companion[:width] = np.concatenate(twin.transition, axis=1)
    radius = float(np.abs(np.linalg.eigvals(companion)).max())
    if radius <= LONGEST_MEMORY:
        return twin
    powers = (LONGEST_MEMORY / radius) ** np.arange(1, lags + 1)
    return replace(twin, transition=twin.transition * powers[:, None, None])
