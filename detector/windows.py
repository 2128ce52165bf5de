"""Windows of readings: cutting them from a recording, and stacking them into a batch.

Training, evaluation, commissioning and serving all cut and stack here, so that a model is always
served what it was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.errors import ShapeMismatch

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int32]
# Of either precision: training works in float32, everything else in float64.
Readings = TypeVar("Readings", Floats, Singles)

# A pace further off than this factor is another sampling period, not jitter.
PERIOD_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of equal width, right-padded to a common length.

    readings: float64 (windows, steps, sensors), engineering units, oldest step first. Float64 because a
        totaliser's nine digits less its baseline would cancel in float32.
    observed: bool, same shape; False marks a missing or padded reading, whose value is never used.
    lengths: int32 (windows,), steps given of each window, 1..steps.
    center, scale: float64 (1 or windows, sensors); readings are standardised as (reading - center) / scale.
    complete: known to have every reading observed. Most batches are, and are scored without a mask; False
        is never wrong.
    """

    readings: Floats
    observed: Bools
    lengths: Ints
    center: Floats
    scale: Floats
    complete: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> Bools | None:
        """Which readings are observed, (windows, steps, sensors); None for all of them."""
        return None if self.complete else self.observed


def stack(windows: Sequence[Floats], center: Floats, scale: Floats, steps: int | None = None) -> Batch:
    """Pad windows of (steps_i, sensors) to one batch; NaN and infinities mark missing readings.

    center, scale: (sensors,) or (1, sensors) for all windows, or (windows, sensors).
    steps: padded length; that of the longest window unless given.
    Raises ShapeMismatch when a window is not (at least 1, sensors), or longer than `steps`.
    """
    sensors = center.shape[-1]
    lengths = np.fromiter((len(w) for w in windows), np.int32, len(windows))
    longest = int(lengths.max(initial=0)) if steps is None else steps
    for index, window in enumerate(windows):
        if window.ndim != 2 or window.shape[1] != sensors or not 1 <= len(window) <= longest:
            raise ShapeMismatch(
                f"window {index} has shape {window.shape}, expected (1..{longest}, {sensors})"
            )
    readings = pad(windows, longest) if len(windows) else np.empty((0, longest, sensors))
    observed = np.isfinite(readings)
    complete = bool(observed.all())
    if not complete:
        readings = np.where(observed, readings, 0.0)
    if center.ndim == 1:
        center, scale = center[None], scale[None]
    return Batch(readings, observed, lengths, center, scale, complete)


def pad(windows: Sequence[Floats], steps: int | None = None) -> Floats:
    """At least one window of (steps_i, sensors) as (windows, steps, sensors), NaN after each one's last step.

    steps: those of the longest window unless given.
    """
    lengths = {len(window) for window in windows}
    longest = max(lengths) if steps is None else steps
    if lengths == {longest}:
        return np.array(windows, np.float64, order="C")
    padded = np.full((len(windows), longest, windows[0].shape[1]), np.nan)
    for index, window in enumerate(windows):
        padded[index, : len(window)] = window
    return padded


def same_period(given_s: float, expected_s: float) -> bool:
    """Whether two sampling periods differ by jitter only, and not by more than PERIOD_FACTOR."""
    return expected_s / PERIOD_FACTOR <= given_s <= expected_s * PERIOD_FACTOR


def segments(
    timestamps: Floats | None, rows: int, period_s: float | None, max_gap_periods: float
) -> list[slice]:
    """Runs of rows that may share a window: no gap longer than `max_gap_periods` periods, no backward step.

    timestamps: float64 (rows,), seconds; None means evenly sampled without gaps.
    """
    if timestamps is None or rows == 0:
        return [slice(0, rows)] if rows else []
    steps = np.diff(timestamps)
    breaks = steps <= 0
    if period_s is not None:
        breaks |= steps > max_gap_periods * period_s
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), rows]
    return [slice(a, b) for a, b in pairwise(edges)]


def window_ends(runs: Sequence[slice], minimum_steps: int, stride: int = 1) -> NDArray[np.intp]:
    """Rows at which a window may end: at least `minimum_steps` rows into their run, every `stride` rows."""
    ends = [np.arange(run.start + minimum_steps - 1, run.stop, stride) for run in runs]
    return np.concatenate(ends) if ends else np.empty(0, np.intp)


def windows_ending_at(
    values: Readings, runs: Sequence[slice], ends: NDArray[np.intp], steps: int
) -> list[Readings]:
    """The windows (views, at most `steps` rows) of `values` (rows, sensors) that end at the given rows.

    A window starts where its run starts, if that is later than `steps` rows before its end.
    """
    starts = np.array([run.start for run in runs], np.intp)
    run_start = starts[np.searchsorted(starts, ends, side="right") - 1]
    first = np.maximum(ends - steps + 1, run_start)
    return [values[a : b + 1] for a, b in zip(first.tolist(), ends.tolist(), strict=True)]
