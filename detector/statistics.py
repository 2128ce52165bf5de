"""What the readings of a window look like, sensor by sensor: where they lie, how they scatter and move."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def sum_over_steps(values: NDArray[Any]) -> Floats:
    """float64 (windows, sensors) from (windows, steps, sensors).

    As a product with ones: NumPy's own reduction across rows this short takes three times as long.
    """
    return np.asarray(_alike(values.shape[1], 1.0) @ values)


def mean_over_steps(values: NDArray[Any]) -> Floats:
    """float64 (windows, sensors) from (windows, at least 1 step, sensors)."""
    steps = values.shape[1]
    return np.asarray(_alike(steps, 1.0 / steps) @ values)


@lru_cache(16)
def _alike(count: int, each: float) -> Floats:
    weights = np.full(count, each)
    weights.flags.writeable = False
    return weights


def levels(standardised: Singles, observed: Bools | None) -> Floats:
    """Mean of each sensor over its observed readings, (windows, sensors); NaN where it has none.

    standardised: float32 (windows, steps, sensors), 0 where not observed. observed: None for all of them.
    """
    if observed is None:
        return mean_over_steps(standardised)
    count = sum_over_steps(observed)
    return np.asarray(sum_over_steps(standardised) / np.where(count, count, np.nan))


def window_statistics(
    standardised: Singles, observed: Bools | None, level: Floats | None = None
) -> WindowStatistics:
    """Statistics of each window and sensor.

    standardised: float32 (windows, steps, sensors), 0 where not observed. observed: bool, same shape, or None
    for all of them. level: what `levels` says of them, where that is known.
    """
    if level is None:
        level = levels(standardised, observed)
    values = standardised.astype(np.float64)
    if observed is None and values.shape[1] > 1:
        variance = mean_over_steps(np.square(values - level[:, None]))
        squared_change = mean_over_steps(np.square(values[:, 1:] - values[:, :-1]))
        return WindowStatistics(level, np.log(variance + FLOOR), np.log(squared_change + FLOOR))
    if observed is None:
        observed = np.ones(values.shape, np.bool_)
    pairs = observed[:, 1:] & observed[:, :-1]
    away = np.where(observed, values - np.nan_to_num(level)[:, None], 0.0)
    change = np.where(pairs, values[:, 1:] - values[:, :-1], 0.0)
    count, moved = sum_over_steps(observed), sum_over_steps(pairs)
    variance = sum_over_steps(np.square(away)) / np.maximum(count, 1)
    squared_change = sum_over_steps(np.square(change)) / np.maximum(moved, 1)
    return WindowStatistics(
        level,
        np.where(count > 1, np.log(variance + FLOOR), np.nan),
        np.where(moved > 0, np.log(squared_change + FLOOR), np.nan),
    )
