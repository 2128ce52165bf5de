"""What is wrong with the readings of a window, before anything is said about the machine."""

from dataclasses import dataclass

import numpy as np

from detector.manifest import Manifest
from detector.windows import Bools, Floats

# A window is judged only if at least this share of its readings, and of its sensors, is alive.
LEAST_OBSERVED = 0.5
# Equal readings in a row, in multiples of the longest such run seen in normal operation.
FLATLINE_FACTOR = 1.5
# Distance outside the 0.1 to 99.9 % range of normal operation, in multiples of that range's width.
RANGE_MARGIN = 1.0

_SENSOR_ISSUES = ("missing", "gaps", "flatline", "out_of_range", "drifting")


@dataclass(frozen=True, slots=True)
class Issue:
    """sensor: whose readings, or None for the window as a whole.

    issue: `missing` (no reading at all), `gaps` (some missing), `flatline`, `out_of_range`,
    `drifting` (left out of the judgement), `time_gap` (steps before a silence were dropped),
    `longer_than_model` (only the newest steps were judged).
    """

    sensor: str | None
    issue: str


@dataclass(frozen=True, slots=True)
class Quality:
    """observed: share of readings present, 0..1, over the sensors that are judged.

    steps: how many steps were judged. judgeable: False when too little is alive for a verdict.
    stuck: whether a sensor that is judged repeats itself for longer than normal operation ever showed.
    mostly_stuck: not judgeable for that reason alone, while some sensor is alive: enough for an alarm, too
        little for `normal`.
    """

    observed: float
    steps: int
    issues: tuple[Issue, ...]
    judgeable: bool
    stuck: bool = False
    mostly_stuck: bool = False


def flat_tail(values: Floats) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Consecutive equal readings at the end of each sensor, steps; missing readings are passed over.

    values: (steps, sensors), NaN missing. Returns (sensors,); 0 where nothing was observed.
    """
    newest_first = values[::-1]
    observed = np.isfinite(newest_first)
    newest = newest_first[observed.argmax(axis=0), np.arange(values.shape[1])]
    unbroken = np.logical_and.accumulate((newest_first == newest) | ~observed)
    return np.asarray((unbroken & observed).sum(axis=0))


def allowed_range(manifest: Manifest) -> tuple[Floats, Floats]:
    """Lowest and highest reading of each sensor that is in range, engineering units, (sensors,) each."""
    low = np.array([sensor.quantiles[0] for sensor in manifest.sensors])
    high = np.array([sensor.quantiles[-1] for sensor in manifest.sensors])
    margin = np.maximum(RANGE_MARGIN * (high - low), 3 * manifest.scale)
    return low - margin, high + margin


class QualityRules:
    """The model's own idea of healthy readings, from its manifest."""

    def __init__(self, manifest: Manifest) -> None:
        sensors = manifest.sensors
        self._names = manifest.sensor_names
        self._minimum_steps = manifest.window.minimum_steps
        self._flat_limit = np.array(
            [
                np.inf
                if sensor.noise == 0 and sensor.longest_flat >= manifest.window.steps
                else max(4.0, np.ceil(FLATLINE_FACTOR * sensor.longest_flat) + 1)
                for sensor in sensors
            ]
        )
        self._low, self._high = allowed_range(manifest)

    def inspect(
        self,
        values: Floats,
        left_out: Bools,
        shift: Floats | None = None,
        notes: tuple[Issue, ...] = (),
    ) -> Quality:
        """Judge the readings of one window.

        values: (steps, sensors), engineering units, NaN missing.
        left_out: bool (sensors,); sensors that are reported but not judged.
        shift: (sensors,), how far the asset's own centre lies from the model's; moves the allowed range.
        notes: issues already known of the window, e.g. that steps were dropped.
        """
        observed = np.isfinite(values)
        share = observed.mean(axis=0)
        flat = (flat_tail(values) >= self._flat_limit) & (share > 0)
        moved = values if shift is None else values - shift
        with np.errstate(invalid="ignore"):
            outside = ((moved < self._low) | (moved > self._high)).any(axis=0)

        found = np.stack([share == 0, (share > 0) & (share < 1), flat, outside, left_out], axis=1)
        issues = [
            *notes,
            *(
                Issue(self._names[sensor], _SENSOR_ISSUES[kind])
                for sensor, kind in np.argwhere(found).tolist()
            ),
        ]

        judged = ~left_out
        observed_share = float(share[judged].mean()) if judged.any() else 0.0
        alive = (share > 0) & ~flat & judged
        seen = (share > 0) & judged
        least = LEAST_OBSERVED * judged.sum()
        enough = len(values) >= self._minimum_steps and observed_share >= LEAST_OBSERVED and judged.any()
        judgeable = bool(enough and alive.sum() >= least)
        return Quality(
            observed_share,
            len(values),
            tuple(issues),
            judgeable,
            stuck=bool((flat & judged).any()),
            mostly_stuck=bool(enough and not judgeable and seen.sum() >= least and alive.any()),
        )
