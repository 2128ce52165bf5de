"""How far windows of normal operation are moved in training, where only a few of them were seen."""

import numpy as np
from numpy.typing import NDArray

from detector.windows import Floats, Singles
from training.operation import mean_and_sd

# Even with many windows no two days are alike: standard deviations.
LEAST_OFFSET = 0.3
# Standardised levels of normal operation spread by 1 at most; more is a machine that never settled.
MOST_SPREAD = 1.0
# Enough windows for a deviation.
MOST_WINDOWS = 1000


def offset_deviations(rows: Singles, ends: NDArray[np.intp], steps: int) -> Floats:
    """Standard deviation of each sensor's random offset, (sensors,), >= LEAST_OFFSET.

    rows: float32 (rows, sensors), standardised, NaN missing. ends: (windows,), last row of each window of
    normal operation. steps: of a window.
    The bandwidth of a smooth density that is estimated from as many levels as there are windows that share no
    step (normal reference rule: Silverman 1986, Density Estimation, 3.4.2): drawing a window and moving it is
    drawing from that density. Few windows, or levels that wander widely, leave wide gaps.
    """
    some = ends[:: -(-len(ends) // MOST_WINDOWS)]
    windows = rows[some[:, None] + np.arange(1 - steps, 1)]
    seen = np.isfinite(windows)
    count = seen.sum(axis=1)
    level = np.where(seen, windows, 0.0).sum(axis=1) / np.where(count, count, np.nan)
    _, spread = mean_and_sd(level, 0.0)
    independent = max(len(ends) // steps, 1)
    bandwidth = 1.06 * np.minimum(spread, MOST_SPREAD) * independent**-0.2
    return np.where(count.any(axis=0), np.maximum(bandwidth, LEAST_OFFSET), LEAST_OFFSET)
