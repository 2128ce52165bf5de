"""Whether something grew during a run, with a bound that comes from the run itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Means of so many stretches of the run, in place of samples that each resemble the one before.
_STRETCHES = 12
_CONFIDENCE = 0.99
# Caches fill and pools grow at the beginning; of the run, this share is not looked at.
WARM_UP = 0.25


@dataclass(frozen=True, slots=True)
class Growth:
    """Slope of a straight line through a run, per hour, and how uncertain it is.

    mean: level of what was measured. per_hour: slope. bound: half of the 99 % interval of the slope, from how
    the means of twelve stretches scatter about the line; a slope within it is not told from none.
    """

    mean: float
    per_hour: float
    bound: float

    @property
    def grew(self) -> bool:
        return self.per_hour > self.bound


def growth(moments: Sequence[float], values: Sequence[float]) -> Growth:
    """moments: seconds, ascending. Raises ValueError when the run is too short to say anything."""
    times, levels = np.asarray(moments), np.asarray(values)
    late = times >= times[0] + WARM_UP * (times[-1] - times[0])
    times, levels = times[late] / 3600, levels[late]
    kept = np.isfinite(levels)
    times, levels = times[kept], levels[kept]
    if len(times) < 2 * _STRETCHES:
        raise ValueError(f"{len(times)} samples are too few: at least {2 * _STRETCHES} are needed")
    x = np.array([part.mean() for part in np.array_split(times, _STRETCHES)])
    y = np.array([part.mean() for part in np.array_split(levels, _STRETCHES)])
    line = stats.linregress(x, y)
    bound = float(stats.t.ppf((1 + _CONFIDENCE) / 2, _STRETCHES - 2) * line.stderr)
    return Growth(float(levels.mean()), float(line.slope), bound)
