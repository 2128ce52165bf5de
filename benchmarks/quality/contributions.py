"""Whether contributions name the sensor that a fault was put into."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import Detector, Options, Window
from detector.windows import Floats
from history.faults import FAULTS

# Standard deviations of normal operation.
FAULT_SIZE = (1.5, 6.0)
# Share of faults that are older than the window.
ACTIVE_FROM_START = 0.4
SWAP = "swap"


@dataclass(frozen=True, slots=True)
class Hits:
    """Of so many windows with a fault in one sensor: how often it contributed most, or was among the first
    three. A window that could not be judged is no hit."""

    windows: int
    first: int
    among_three: int

    def __add__(self, other: "Hits") -> "Hits":
        return Hits(
            self.windows + other.windows, self.first + other.first, self.among_three + other.among_three
        )


def measure(
    detector: Detector, windows: Sequence[Window], draws: int, rng: np.random.Generator
) -> dict[str, Hits]:
    """Hits by kind of fault. windows: full, of normal operation. draws: faults of each kind put into each."""
    hits = {}
    for kind in FAULTS:
        faulty, guilty = [], []
        for window in windows:
            for _ in range(draws):
                values, sensors = with_fault(detector, window, kind, rng)
                faulty.append(Window(values, window.baseline))
                guilty.append({detector.sensors[sensor] for sensor in sensors.tolist()})
        named = [
            [item.sensor for item in verdict.contributions or ()]
            for verdict in detector.judge(faulty, Options(explain=True))
        ]
        hits[kind] = count(named, guilty)
    return hits


def count(named: Sequence[Sequence[str]], guilty: Sequence[set[str]]) -> Hits:
    """named: sensors of each window, largest contribution first. guilty: those that are faulty."""
    pairs = list(zip(named, guilty, strict=True))
    return Hits(
        len(pairs),
        sum(bool(faulty & set(order[:1])) for order, faulty in pairs),
        sum(bool(faulty & set(order[:3])) for order, faulty in pairs),
    )


def with_fault(
    detector: Detector, window: Window, kind: str, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.intp]]:
    """The window with a fault in one of the sensors that are judged, and the sensors that it hit.

    A swap hits two: the partner shows a foreign course as well. Sizes are in the deviations of the window's
    own baseline.
    """
    baseline, manifest = window.baseline, detector.manifest
    center = manifest.center if baseline is None else baseline.center
    scale = manifest.scale if baseline is None else baseline.scale
    judged = np.array([sensor.scored for sensor in manifest.sensors])
    if baseline is not None:
        judged &= ~baseline.left_out
    alive = np.flatnonzero(judged & np.isfinite(window.values).any(axis=0))
    sensors = rng.choice(alive, 2 if kind == SWAP else 1, replace=False)
    steps = len(window.values)
    start = 0 if rng.random() < ACTIVE_FROM_START else int(rng.integers(1, steps - 2))
    deviations = (window.values - center) / scale
    FAULTS[kind].inject(deviations, start, sensors, float(rng.uniform(*FAULT_SIZE)), rng)
    return deviations * scale + center, sensors
