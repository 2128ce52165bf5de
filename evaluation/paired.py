"""Two detectors on the same recordings: is the difference more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
SEED = 0
LEVEL = 0.95
# With fewer files than this an interval says next to nothing, and none is given.
LEAST_FILES = 5


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences of one figure, file by file, over the files where both have it.

    differences: second less first. mean: of them, None without any file. low, high: percentile bootstrap
    interval of the mean at LEVEL, resampling whole files (Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, 13.3); None with fewer than LEAST_FILES. higher, lower, equal: numbers of files.
    """

    differences: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    higher: int
    lower: int
    equal: int


def paired(first: Sequence[float | None], second: Sequence[float | None]) -> Paired:
    """first, second: a figure of each, in the same order of files. The same resamples whatever the figure."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    change = np.array([b - a for a, b in both], np.float64)
    low = high = None
    if len(change) >= LEAST_FILES:
        drawn = np.random.default_rng(SEED).integers(len(change), size=(RESAMPLES, len(change)))
        tail = (1.0 - LEVEL) / 2
        low, high = np.quantile(change[drawn].mean(axis=1), [tail, 1.0 - tail]).tolist()
    return Paired(
        differences=tuple(change.tolist()),
        mean=float(change.mean()) if len(change) else None,
        low=low,
        high=high,
        higher=int((change > 0).sum()),
        lower=int((change < 0).sum()),
        equal=int((change == 0).sum()),
    )
