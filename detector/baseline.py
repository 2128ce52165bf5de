"""An asset's own normal operation, so that one model can judge machines at different operating points."""

from dataclasses import dataclass

import numpy as np

from detector.errors import BaselineRefused
from detector.manifest import Level
from detector.windows import Bools, Floats

# A sensor that wanders further than this over normal operation, in its own standard deviations, causes more
# false alarms than it finds faults (docs/decisions/0005). Noise gives about 0, a random walk 1.5, a ramp 2.8.
DRIFT_LIMIT = 1.5
# So does one of an asset whose own model does not drift, but only when it does little else than climb: less
# drift widens its scale instead (docs/decisions/0005).
ASSET_DRIFT_LIMIT = 2.5
# The least rows from which a centre and a scale are worth estimating.
LEAST_ROWS = 30
# An asset's scale is never below this share of what is usual within an asset: a calm commissioning hour must
# not turn ordinary noise into alarms.
SCALE_FLOOR = 0.1
# The squares of larger readings may sum to no number any more; the scale would be wrong in silence.
LARGEST_READING = 1e150


@dataclass(frozen=True, slots=True)
class Baseline:
    """center, scale, drift: float64 (sensors,); drift in standard deviations; scale is > 0, the standard
        deviation widened by the drift.

    left_out: bool (sensors,), too drifting on this asset to be judged.
    classifier, reconstruction: level of the raw scores on this asset's own normal windows, or None before
        the model has scored them.
    rows: readings per sensor that it was made from.
    """

    center: Floats
    scale: Floats
    drift: Floats
    left_out: Bools
    rows: int
    classifier: Level | None = None
    reconstruction: Level | None = None


def drift(values: Floats, scale: Floats) -> Floats:
    """How far each sensor wandered: mean of its last fifth less that of its first, in units of `scale`.

    values: (rows, sensors), NaN missing. scale: (sensors,), its standard deviation over the same rows.
    Returns (sensors,), absolute: near 0 for noise about a constant, 2.8 for a straight ramp.
    """
    rows = len(values)
    fifth = max(rows // 5, 1)
    with np.errstate(invalid="ignore"):
        moved = np.abs(_nanmean(values[-fifth:]) - _nanmean(values[:fifth]))
    return np.nan_to_num(moved / scale)


def measure(values: Floats, usual_scale: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Centre, scale and drift of each sensor over rows of normal operation.

    values: (rows, sensors), engineering units, NaN missing.
    usual_scale: (sensors,); floors the scale at SCALE_FLOOR of it.
    Returns three float64 (sensors,). A sensor never observed gives centre NaN.
    """
    center = _nanmean(values)
    scale = np.sqrt(_nanmean(np.square(values - center)))
    moved = drift(values, np.where(scale > 0, scale, np.inf))
    if usual_scale is not None:
        scale = np.maximum(scale, SCALE_FLOOR * usual_scale)
    return center, np.where(scale > 0, scale, fallback_scale(center)), moved


def fallback_scale(center: Floats) -> Floats:
    """A scale for sensors that never moved: 1 % of their value, or 1 where that is 0."""
    size = np.abs(np.nan_to_num(center)) * 0.01
    return np.where(size > 0, size, 1.0)


def commission(values: Floats, model_center: Floats, usual_scale: Floats) -> Baseline:
    """The baseline of an asset from rows of its known-normal operation, still without score levels.

    model_center: (sensors,); kept for sensors that were never observed. usual_scale: (sensors,), the
    standard deviation that is usual within one asset.
    Raises BaselineRefused when there are fewer than LEAST_ROWS rows with readings, or one is beyond
    LARGEST_READING.
    """
    usable = np.isfinite(values).any(axis=1)
    if usable.sum() < LEAST_ROWS:
        raise BaselineRefused(f"{int(usable.sum())} rows with readings, expected at least {LEAST_ROWS}")
    if (np.abs(values) > LARGEST_READING).any():
        raise BaselineRefused(
            f"a reading is beyond ±{LARGEST_READING:g}, of which no mean and deviation can be computed"
        )
    center, scale, moved = measure(values, usual_scale)
    # Where the sensor stood is known no better than it wandered.
    scale = scale * np.sqrt(1.0 + np.square(moved))
    unseen = ~np.isfinite(center)
    return Baseline(
        center=np.where(unseen, model_center, center),
        scale=np.where(unseen, usual_scale, scale),
        drift=moved,
        left_out=moved > ASSET_DRIFT_LIMIT,
        rows=int(usable.sum()),
    )


def _nanmean(values: Floats) -> Floats:
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.asarray(total / np.where(count, count, np.nan))
