"""Faults that can be put into readings: for training, for tests, and for demonstrations.

All work in place, on standardised readings (steps, sensors), from step `start` on, and take their size in
standard deviations of normal operation. A missing reading stays missing, except under `swap`, where it
moves with its wire, and `stuck`, which repeats the last reading that was there.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Any float width: training works in float32, simulation in float64.
Readings = NDArray[np.floating[Any]]
Sensors = NDArray[np.intp]

# Share of the readings after the onset that a spiking sensor gets wrong.
SPIKE_SHARE = 0.05
# A spike is this many times the size: a single reading carries little evidence, and loose contacts jump far.
SPIKE_FACTOR = 2.0
# How much of each sensor becomes a mixture of the others in another operating mode, radians.
MODE_ROTATION = 0.6


class Fault(Protocol):
    """One way in which a plant or its instruments go wrong."""

    @property
    def name(self) -> str: ...

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        """Change `window` in place.

        window: (steps, sensors), standardised, oldest first. start: first faulty step, 0..steps - 1; 0 means
        that the fault is older than the window. sensors: indices of those hit, at least one, no repeats.
        size: standard deviations, > 0.
        """


class Shift:
    """A sudden step that stays: a valve shut, a sensor out of calibration, a leak that opens at once."""

    name = "shift"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        window[start:, sensors] += size * _signs(len(sensors), rng)


class Ramp:
    """A slow departure: fouling, wear, a leak that grows, a sensor that drifts.

    Reaches its size at the last step. A ramp that is older than the window has part of its way behind it.
    """

    name = "ramp"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        steps = len(window) - start
        first = rng.uniform(0.0, 0.8) if start == 0 else 1.0 / steps
        climb = np.linspace(first, 1.0, steps) if steps > 1 else np.ones(1)
        window[start:, sensors] += climb[:, None] * (size * _signs(len(sensors), rng))


class Spike:
    """A few isolated wild readings: a loose contact, interference, pressure hammer.

    One reading in twenty is hit, at least one, each by twice the size, up or down.
    """

    name = "spike"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        steps = len(window) - start
        count = max(1, round(SPIKE_SHARE * steps))
        for sensor in sensors:
            hit = start + rng.choice(steps, size=count, replace=False)
            window[hit, sensor] += SPIKE_FACTOR * size * _signs(count, rng)


class Stuck:
    """A sensor that repeats its last reading: frozen transmitter, dead bus node, a historian that fills in.

    Has no size: it repeats whatever was last read before the onset, or at it when the fault is older than
    the window.
    """

    name = "stuck"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        before = window[: max(start, 1), sensors]
        seen = np.isfinite(before)
        last = np.where(seen.any(axis=0), len(before) - 1 - np.argmax(seen[::-1], axis=0), len(before) - 1)
        window[start:, sensors] = before[last, np.arange(len(sensors))]


class Noise:
    """Readings that scatter: cavitation, a worn bearing, a broken shield, a failing amplifier."""

    name = "noise"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        window[start:, sensors] += rng.normal(0.0, size, (len(window) - start, len(sensors)))


class Swap:
    """Crossed wires or mistaken tags: each sensor keeps its level and spread and shows another's course.

    Several sensors pass their course on in a circle; a single one takes a partner at random. The only sensor
    of a window shows its own course backwards. Has no size.
    """

    name = "swap"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        if window.shape[1] == 1:
            window[start:] = window[start:][::-1].copy()
            return
        if len(sensors) == 1:
            partner = (sensors[0] + rng.integers(1, window.shape[1])) % window.shape[1]
            sensors = np.append(sensors, partner)
        window[start:, sensors] = window[start:, np.roll(sensors, 1)]


class Scale:
    """A changed gain: wrong range setting, damping added or lost, a loop tuned too sharp or too dull.

    Deviations from the window's own mean grow by the factor 1 + size, or shrink by it.
    """

    name = "scale"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        part = window[:, sensors]
        seen = np.isfinite(part)
        mean = np.where(seen, part, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        factor = (1.0 + size) ** _signs(len(sensors), rng)
        window[start:, sensors] = mean + (window[start:, sensors] - mean) * factor


class Mode:
    """Another operating point: a new recipe, set point or load, to which the sensors move together.

    Levels settle exponentially at points `size` away (root mean square over the sensors), and the sensors'
    correlation turns with them, each becoming partly a mixture of the others.
    """

    name = "mode"

    def inject(
        self, window: Readings, start: int, sensors: Sensors, size: float, rng: np.random.Generator
    ) -> None:
        steps, hit = len(window) - start, len(sensors)
        way = rng.standard_normal(hit)
        way *= size * np.sqrt(hit) / max(float(np.linalg.norm(way)), 1e-12)
        age = 0.0 if start else rng.uniform(0.0, 1.0) * steps
        settled = 1.0 - np.exp(-(np.arange(1, steps + 1) + age) / max(0.2 * steps, 1.0))
        part = window[start:, sensors]
        turned = np.where(np.isfinite(part), part, 0.0) @ _rotation(hit, rng).T
        window[start:, sensors] = part + settled[:, None] * (turned - np.nan_to_num(part) + way)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in (Shift(), Ramp(), Spike(), Stuck(), Noise(), Swap(), Scale(), Mode())}
)


def _signs(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.where(rng.integers(0, 2, count), 1.0, -1.0)


def _rotation(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation by MODE_ROTATION in random planes: orthogonal, so that the total variance stays.

    The Cayley transform of a random skew-symmetric matrix.
    """
    if size == 1:
        return np.eye(1)
    random = rng.standard_normal((size, size))
    skew = random - random.T
    skew *= np.tan(MODE_ROTATION / 2) / max(float(np.linalg.norm(skew, 2)), 1e-12)
    eye = np.eye(size)
    return np.asarray(np.linalg.solve(eye + skew, eye - skew))
