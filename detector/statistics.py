"""What the readings of a window look like, sensor by sensor: where they lie, how they scatter and move."""

from dataclasses import dataclass

import numpy as np

from detector.windows import Bools, Floats, Singles

# Readings that never move still have a logarithm: a thirtieth of a standard deviation.
FLOOR = 1e-3


@dataclass(frozen=True, slots=True)
class WindowStatistics:
    """Of standardised readings; float64 (windows, sensors), NaN where too little was observed.

    level: mean. scatter: log of the variance. roughness: log of the mean squared change from one step to the
    next; a stuck sensor has the least that can be.
    """

    level: Floats
    scatter: Floats
    roughness: Floats


def levels(standardised: Singles, observed: Bools) -> Floats:
    """Mean of each sensor over its observed readings, (windows, sensors); NaN where it has none.

    standardised: float32 (windows, steps, sensors), 0 where not observed.
    """
    count = observed.sum(axis=1)
    total = standardised.sum(axis=1, dtype=np.float64)
    return np.asarray(total / np.where(count, count, np.nan))


def window_statistics(standardised: Singles, observed: Bools) -> WindowStatistics:
    """Statistics of each window and sensor.

    standardised: float32 (windows, steps, sensors), 0 where not observed. observed: bool, same shape.
    """
    level = levels(standardised, observed)
    count = observed.sum(axis=1)
    away = np.where(observed, standardised - np.nan_to_num(level)[:, None], 0.0)
    variance = np.square(away).sum(axis=1) / np.maximum(count, 1)
    pairs = observed[:, 1:] & observed[:, :-1]
    change = np.where(pairs, np.diff(standardised.astype(np.float64), axis=1), 0.0)
    moved = pairs.sum(axis=1)
    squared_change = np.square(change).sum(axis=1) / np.maximum(moved, 1)
    return WindowStatistics(
        level,
        np.where(count > 1, np.log(variance + FLOOR), np.nan),
        np.where(moved > 0, np.log(squared_change + FLOOR), np.nan),
    )
