"""How windows of normal operation are moved in training, where only a few of them were seen."""

import numpy as np
from numpy.typing import NDArray

from detector.windows import Floats, Singles
from training.covariance import linearly_shrunk
from training.operation import mean_and_sd

# Even with many windows no two days are alike: standard deviations.
LEAST_OFFSET = 0.3
# Standardised levels of normal operation spread by 1 at most; more is a machine that never settled.
MOST_SPREAD = 1.0
# Enough windows for a deviation.
MOST_WINDOWS = 1000


def window_levels(rows: Singles, ends: NDArray[np.intp], steps: int, stride: int = 1) -> Floats:
    """Mean of each sensor over each window, (windows, sensors), NaN where not observed.

    rows: float32 (rows, sensors), standardised, NaN missing. ends: last row of each window of normal
    operation. steps: of a window. stride: at least so many windows are passed over from one to the next.
    """
    some = ends[:: max(stride, -(-len(ends) // MOST_WINDOWS))]
    windows = rows[some[:, None] + np.arange(1 - steps, 1)]
    seen = np.isfinite(windows)
    count = seen.sum(axis=1)
    return np.asarray(np.where(seen, windows, 0.0).sum(axis=1) / np.where(count, count, np.nan))


def offset_deviations(rows: Singles, ends: NDArray[np.intp], steps: int) -> Floats:
    """Standard deviation of each sensor's random offset, (sensors,), >= LEAST_OFFSET.

    rows, ends, steps: as in `window_levels`.
    The bandwidth of a smooth density that is estimated from as many levels as there are windows that share no
    step (normal reference rule: Silverman 1986, Density Estimation, 3.4.2): drawing a window and moving it is
    drawing from that density. Few windows, or levels that wander widely, leave wide gaps.
    """
    level = window_levels(rows, ends, steps)
    _, spread = mean_and_sd(level, 0.0)
    independent = max(len(ends) // steps, 1)
    bandwidth = 1.06 * np.minimum(spread, MOST_SPREAD) * independent**-0.2
    return np.where(np.isfinite(level).any(axis=0), np.maximum(bandwidth, LEAST_OFFSET), LEAST_OFFSET)


def offset_mixing(rows: Singles, ends: NDArray[np.intp], steps: int) -> Floats:
    """What correlates offsets as the levels of windows are, (sensors, sensors): z @ it has unit variances and
    those correlations, where z is standard normal.

    rows, ends, steps: as in `window_levels`. The density's kernel has the shape of the data (Silverman 1986,
    4.2.1): windows are moved to where normal operation may lie, and sensors that go together still do. From
    windows that share no step; of few of them little is believed, and offsets are nearly independent.
    """
    level = window_levels(rows, ends, steps, stride=steps)
    if len(level) < 2:
        return np.eye(level.shape[1])
    mean, _ = mean_and_sd(level, 0.0)
    covariance = linearly_shrunk(np.where(np.isfinite(level), level - mean, 0.0))
    deviations = np.sqrt(covariance.diagonal())
    still = deviations == 0
    scale = np.where(still, 1.0, deviations)
    correlations = covariance / np.outer(scale, scale) + np.diag(still.astype(np.float64))
    variances, axes = np.linalg.eigh(correlations)
    return np.asarray((axes * np.sqrt(np.maximum(variances, 0.0))).T)
