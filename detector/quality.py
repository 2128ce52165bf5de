"""What is wrong with the readings of a window, before anything is said about the machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from detector.manifest import Manifest
from detector.windows import Bools, Floats, pad

# A window is judged only if at least this share of its readings, and of its sensors, is alive.
LEAST_OBSERVED = 0.5
# Equal readings in a row, in multiples of the longest such run seen in normal operation.
FLATLINE_FACTOR = 1.5
# Shorter runs than this are never a flatline.
_LEAST_FLAT = 4
# Distance outside the 0.1 to 99.9 % range of normal operation, in multiples of that range's width.
RANGE_MARGIN = 1.0

# Kinds of sound windows, by steps and sensors left out, of which it is kept what is said of them.
_MOST_USUAL = 100
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


class Quality(Struct, frozen=True):
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


def flat_tail(values: Floats) -> NDArray[np.intp]:
    """Consecutive equal readings at the end of each sensor, steps; missing readings are passed over.

    values: (windows, sensors, steps), NaN missing. Returns (windows, sensors); 0 where nothing was observed.
    """
    tail = np.ones(values.shape[:2], np.intp)
    unsure = np.ones(values.shape[:2], np.bool_)
    if values.shape[2] > 1:  # nearly all sensors moved with their last step, and need no second look
        with np.errstate(invalid="ignore"):
            unsure = ~(np.abs(values[..., -1] - values[..., -2]) > 0)
    if unsure.any():
        newest_first = values[unsure][:, ::-1]
        observed = np.isfinite(newest_first)
        newest = newest_first[np.arange(len(newest_first)), observed.argmax(axis=1)]
        unbroken = np.logical_and.accumulate((newest_first == newest[:, None]) | ~observed, axis=1)
        tail[unsure] = (unbroken & observed).sum(axis=1)
    return tail


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
        self._issues = [[Issue(name, kind) for kind in _SENSOR_ISSUES] for name in manifest.sensor_names]
        self._minimum_steps = manifest.window.minimum_steps
        self._flat_limit = np.array(
            [
                np.inf
                if sensor.noise == 0 and sensor.longest_flat >= manifest.window.steps
                else max(_LEAST_FLAT, np.ceil(FLATLINE_FACTOR * sensor.longest_flat) + 1)
                for sensor in sensors
            ]
        )
        self._low, self._high = allowed_range(manifest)
        self._never_flat = np.isinf(self._flat_limit)
        self._usual: dict[tuple[int, bytes], Quality] = {}
        # The limits once for each step of a window: compared row by row it would take twice as long. No
        # infinity is in range.
        self._low_by_step, self._high_by_step = (
            np.tile(np.nan_to_num(limit), (manifest.window.steps, 1)) for limit in (self._low, self._high)
        )

    def inspect(
        self,
        windows: Sequence[Floats],
        left_out: Bools,
        shift: Floats | None = None,
        notes: Sequence[tuple[Issue, ...]] | None = None,
        padded: Floats | None = None,
    ) -> list[Quality]:
        """Judge the readings of windows, all at once: window by window it would cost several times as much.

        Most windows are sound, which is seen at a glance; only the others are looked at closely.

        windows: each (steps, sensors), engineering units, NaN missing.
        left_out: bool (1 or windows, sensors); sensors that are reported but not judged.
        shift: (windows, sensors), how far each asset's own centre lies from the model's; moves the allowed
            range.
        notes: issues already known of each window, e.g. that steps were dropped.
        padded: what `pad` makes of the windows, where that is known.
        """
        values = pad(windows) if padded is None else padded
        notes = [()] * len(windows) if notes is None else notes
        found = self._of_sound(values.shape[1], left_out, notes)
        if others := self._unsound(values, shift):
            closely = self._of_others(
                [windows[index] for index in others],
                left_out if len(left_out) == 1 else left_out[others],
                None if shift is None else shift[others],
                [notes[index] for index in others],
            )
            for index, quality in zip(others, closely, strict=True):
                found[index] = quality
        return found

    def _unsound(self, values: Floats, shift: Floats | None) -> list[int]:
        """Which windows are not such that every reading is there and in range, and no sensor is flat."""
        count, steps, _ = values.shape
        if not self._minimum_steps <= steps <= len(self._low_by_step):
            return list(range(count))
        moved = np.logical_or.reduce(values[:, -_LEAST_FLAT:-1] != values[:, -1:], axis=1)
        moved |= self._never_flat
        if shift is not None:
            values = values - shift[:, None]
        in_range = (values >= self._low_by_step[:steps]) & (values <= self._high_by_step[:steps])
        if in_range.all() and moved.all():
            return []
        sound = in_range.reshape(count, -1).all(axis=1) & moved.all(axis=1)
        return np.flatnonzero(~sound).tolist()

    def _of_sound(self, steps: int, left_out: Bools, notes: Sequence[tuple[Issue, ...]]) -> list[Quality]:
        """What is said of sound windows: nothing but what is known of them and of their sensors already."""
        raw, sensors = left_out.tobytes(), left_out.shape[1]
        usual = [self._usual_of(steps, raw[at : at + sensors]) for at in range(0, len(raw), sensors)]
        if len(usual) == 1:
            usual *= len(notes)
        return [
            replace(quality, issues=known + quality.issues) if known else quality
            for quality, known in zip(usual, notes, strict=True)
        ]

    def _usual_of(self, steps: int, left_out: bytes) -> Quality:
        """left_out: a byte for each sensor, 0 where it is judged."""
        if (known := self._usual.get((steps, left_out))) is not None:
            return known
        drifting = tuple(issues[-1] for issues, out in zip(self._issues, left_out, strict=True) if out)
        judged = len(drifting) < len(left_out)
        quality = Quality(float(judged), steps, drifting, judgeable=judged)
        if len(self._usual) < _MOST_USUAL:
            self._usual[steps, left_out] = quality
        return quality

    def _of_others(
        self,
        windows: Sequence[Floats],
        left_out: Bools,
        shift: Floats | None,
        notes: Sequence[tuple[Issue, ...]],
    ) -> list[Quality]:
        """As `inspect`, of any windows."""
        # By sensor, then step: along the steps numbers lie side by side, which is several times as fast.
        values = np.ascontiguousarray(pad(windows).transpose(0, 2, 1))
        steps = np.array([len(window) for window in windows])
        present = np.isfinite(values)
        share = (
            np.ones(values.shape[:2])
            if present.all()
            else present.sum(axis=2) / np.maximum(steps, 1)[:, None]
        )
        seen, gaps = share > 0, (share > 0) & (share < 1)
        flat = (flat_tail(values) >= self._flat_limit) & seen
        # Of the extremes, as of every reading; missing ones are passed over, and where all are it is NaN.
        least, most = np.fmin.reduce(values, axis=2), np.fmax.reduce(values, axis=2)
        if shift is not None:
            least, most = least - shift, most - shift
        outside = (least < self._low) | (most > self._high)

        judged = ~left_out & np.ones(share.shape, np.bool_)
        count = judged.sum(axis=1)
        observed = np.where(judged, share, 0.0).sum(axis=1) / np.maximum(count, 1)
        alive = (seen & ~flat & judged).sum(axis=1)
        enough = (steps >= self._minimum_steps) & (observed >= LEAST_OBSERVED) & (count > 0)
        judgeable = enough & (alive >= LEAST_OBSERVED * count)
        stuck: Bools = np.asarray((flat & judged).any(axis=1))
        mostly_stuck = (
            enough & ~judgeable & ((seen & judged).sum(axis=1) >= LEAST_OBSERVED * count) & (alive > 0)
        )

        issues = [list(each) for each in notes]
        found = np.stack([~seen, gaps, flat, outside, ~judged], axis=2)
        for window, sensor, kind in np.argwhere(found).tolist():
            issues[window].append(self._issues[sensor][kind])
        return [
            Quality(share, length, tuple(known), fit, stuck=frozen, mostly_stuck=mostly)
            for share, length, known, fit, frozen, mostly in zip(
                observed.tolist(),
                steps.tolist(),
                issues,
                judgeable.tolist(),
                stuck.tolist(),
                mostly_stuck.tolist(),
                strict=True,
            )
        ]
