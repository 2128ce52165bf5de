"""From recordings to standardised rows with a known state: the ground that windows are sampled from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.baseline import DRIFT_LIMIT, Baseline, commission, measure
from detector.errors import BaselineRefused
from detector.windows import Bools, Floats, Singles, segments
from history import spool
from history.recording import ANOMALOUS as ANOMALOUS_CLASS
from history.recording import NORMAL as NORMAL_CLASS
from history.recording import UNLABELLED, Recording
from training.errors import NotEnoughData
from training.recipe import Recipe

NORMAL = 0
UNUSED = -1
OTHER_CLASS = "other"
# Readings that statistics of normal operation are measured on; more only cost memory and time.
MOST_READINGS = 1 << 22
# Rows in succession that are measured, where not all are.
STRETCH_ROWS = 1000
# Most of a recording's normal rows that its asset is commissioned from: the rest shows how it is judged then.
COMMISSIONING_SHARE = 2 / 3
# Rows behind those whose mean is known well enough.
MOST_LATER_ROWS = 2000
# Recordings are machines of their own where their first rows foretell the mean of the later ones with less
# than this share of the squared error that the other recordings have.
OWN_ERROR_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Population:
    """What is known of the sensors before training, from training recordings only.

    center, scale: (sensors,), over all normal rows; the model's own baseline. asset_scale: (sensors,), the
    standard deviation that is usual within one recording. drift: (sensors,), upper quartile over recordings;
    drifting: bool (sensors,). period_s: sampling period, None where no recording has timestamps. per_asset:
    whether each recording is standardised by its own baseline. classes: `normal` first. measured_share: of
    the normal rows of each recording, what statistics are measured on.
    """

    sensors: tuple[str, ...]
    classes: tuple[str, ...]
    center: Floats
    scale: Floats
    asset_scale: Floats
    drift: Floats
    drifting: Bools
    period_s: float | None
    per_asset: bool
    measured_share: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """One recording, ready for the network.

    standardised: float32 (rows, sensors), by the asset's or the model's baseline; NaN missing or left out.
    state: int (rows,); NORMAL, the index of a fault's class, or UNUSED (unlabelled or recovering).
    runs: stretches of rows that may share a window. baseline: the asset's own, or None.
    measured: rows of normal operation that statistics are measured on, ascending.
    """

    recording: Recording
    baseline: Baseline | None
    standardised: Singles
    state: NDArray[np.int64]
    runs: tuple[slice, ...]
    measured: NDArray[np.intp]


def all_sensors(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Names of the sensors of all recordings, in order of first appearance."""
    return tuple(dict.fromkeys(name for recording in recordings for name in recording.sensors))


def all_classes(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """`normal`, then the classes of the labels. Injected faults are `anomalous` beside 0/1 labels or none,
    and `other` beside named faults, so that they never pass for one of those."""
    named = {
        str(label)
        for r in recordings
        if r.labels is not None
        for block in spool.blocks(len(r), r.labels.itemsize // 8)
        for label in np.unique(r.labels[block])
    }
    faults = sorted(named - {NORMAL_CLASS, UNLABELLED})
    if faults in ([], [ANOMALOUS_CLASS]):
        return (NORMAL_CLASS, ANOMALOUS_CLASS)
    return (NORMAL_CLASS, *faults, OTHER_CLASS)


def row_states(recording: Recording, classes: tuple[str, ...], recovery_rows: int) -> NDArray[np.int64]:
    """State of each row. Without labels every row counts as normal.

    Normal rows within `recovery_rows` after a fault are UNUSED: often labelled normal, often still disturbed.
    """
    rows = len(recording.values)
    if recording.labels is None:
        return np.zeros(rows, np.int64)
    state = np.full(rows, UNUSED, np.int64)
    for position, name in enumerate(classes):
        state[recording.labels == name] = position
    faulty = state > NORMAL
    last_fault = np.maximum.accumulate(np.where(faulty, np.arange(rows), -(recovery_rows + 1) - rows))
    recovering = (np.arange(rows) - last_fault <= recovery_rows) & ~faulty
    state[recovering] = UNUSED
    return state


def wholly_normal(state: NDArray[np.int64], ends: NDArray[np.intp], steps: int) -> Bools:
    """Whether all rows of the full window that ends at each of `ends` are NORMAL, (ends,)."""
    not_normal = np.concatenate([[0], np.cumsum(state != NORMAL)])
    return np.asarray(not_normal[ends + 1] - not_normal[ends + 1 - steps] == 0)


def survey(recordings: Sequence[Recording], recipe: Recipe) -> Population:
    """Look at the training recordings as a whole. Raises NotEnoughData."""
    classes = all_classes(recordings)
    recovery = _recovery_rows(recipe)
    share = min(1.0, MOST_READINGS / max(sum(r.values.size for r in recordings), 1))
    per_asset = _per_asset(recordings, classes, recipe)
    normals, firsts = [], []
    for recording in recordings:
        rows = np.flatnonzero(row_states(recording, classes, recovery) == NORMAL)
        if len(rows) >= recipe.least_steps:
            normals.append(recording.values[thinned(rows, share, recipe)])
            firsts.append(recording.values[rows[: recipe.baseline_rows]] if per_asset else normals[-1])
    if not normals:
        raise NotEnoughData("no recording for training holds a window of normal operation")
    center, scale, _ = measure(np.concatenate(normals))
    measured = [measure(rows) for rows in firsts]
    drift = np.quantile([moved for _, _, moved in measured], 0.75, axis=0)
    asset_scale = np.nanmedian([own for _, own, _ in measured], axis=0) if per_asset else scale
    drifting = drift > DRIFT_LIMIT
    if drifting.all():
        # Then nothing would be left to judge by, and the trend is the machine's normal operation.
        drifting = np.zeros_like(drifting)
    periods = [r.period_s for r in recordings if r.period_s is not None]
    return Population(
        sensors=recordings[0].sensors,
        classes=classes,
        center=np.nan_to_num(center),
        scale=np.where(np.isfinite(scale), scale, 1.0),
        asset_scale=np.where(np.isfinite(asset_scale), asset_scale, 1.0),
        drift=drift,
        drifting=drifting,
        period_s=float(np.median(periods)) if periods else None,
        per_asset=per_asset,
        measured_share=share,
    )


def prepare(recording: Recording, population: Population, recipe: Recipe) -> Experiment:
    """Standardise one recording and find the state of its rows."""
    state = row_states(recording, population.classes, _recovery_rows(recipe))
    baseline = own_baseline(recording, state, population, recipe)
    center = population.center if baseline is None else baseline.center
    scale = population.scale if baseline is None else baseline.scale
    left_out = population.drifting if baseline is None else population.drifting | baseline.left_out
    standardised = spool.empty(recording.values.shape, np.float32)
    for block in spool.blocks(*recording.values.shape):
        rows = ((recording.values[block] - center) / scale).astype(np.float32)
        rows[:, left_out] = np.nan
        rows[~np.isfinite(rows)] = np.nan
        standardised[block] = rows
    runs = segments(recording.timestamps, len(recording.values), population.period_s, recipe.max_gap_periods)
    measured = thinned(np.flatnonzero(state == NORMAL), population.measured_share, recipe)
    return Experiment(recording, baseline, standardised, spool.keep(state), tuple(runs), measured)


def thinned(rows: NDArray[np.intp], share: float, recipe: Recipe) -> NDArray[np.intp]:
    """Of these rows a share, in stretches of STRETCH_ROWS that are spread evenly; two windows at least."""
    kept = max(int(np.ceil(share * len(rows))), 2 * recipe.window_steps)
    if kept >= len(rows):
        return rows
    stretches = max(1, kept // STRETCH_ROWS)
    firsts = np.arange(stretches) * len(rows) // stretches
    return np.asarray(rows[(firsts[:, None] + np.arange(kept // stretches)).ravel()])


def own_baseline(
    recording: Recording, state: NDArray[np.int64], population: Population, recipe: Recipe
) -> Baseline | None:
    """The baseline of a recording's first normal rows, or None where the pooled one serves."""
    if not population.per_asset:
        return None
    rows = np.flatnonzero(state == NORMAL)[: recipe.baseline_rows]
    try:
        return commission(recording.values[rows], population.center, population.asset_scale)
    except BaselineRefused:
        return None


def commissioning_rows(normal_rows: int, recipe: Recipe) -> int:
    """Rows that an asset is commissioned from; of a short recording so many that a third is left to judge."""
    return min(recipe.baseline_rows, round(normal_rows * COMMISSIONING_SHARE))


def _recovery_rows(recipe: Recipe) -> int:
    return round(recipe.recovery_windows * recipe.window_steps)


def _per_asset(recordings: Sequence[Recording], classes: tuple[str, ...], recipe: Recipe) -> bool:
    if recipe.baseline != "auto":
        return recipe.baseline == "asset"
    first, rest, scales = [], [], []
    for recording in recordings:
        rows = np.flatnonzero(row_states(recording, classes, 0) == NORMAL)
        own = commissioning_rows(len(rows), recipe)
        if own < recipe.baseline_rows // 3:
            continue
        center, scale, _ = measure(recording.values[rows[:own]])
        later = rows[own :: max(1, -(-(len(rows) - own) // MOST_LATER_ROWS))]
        first.append(center)
        scales.append(scale)
        rest.append(measure(recording.values[later])[0])
    if len(first) < 3:
        return False
    return _differ(np.stack(first), np.stack(rest), np.stack(scales))


def _differ(first: Floats, rest: Floats, scales: Floats) -> bool:
    """Whether recordings differ as machines do, and not as the days of one machine do.

    first, rest: (recordings, sensors), means of the rows that an asset would be commissioned from, and of the
    later ones; NaN where never observed. scales: same shape, deviations of the first.
    Their centres must differ by more than one deviation; and the later rows must lie far nearer to the first
    ones than to the other recordings: a slow machine is elsewhere every day, and then its first rows tell
    nothing of its later ones.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.nanstd(first, axis=0) / np.nanmedian(scales, axis=0)
        others = (np.nansum(rest, axis=0) - np.nan_to_num(rest)) / (np.isfinite(rest).sum(axis=0) - 1)
        by_own = np.nansum(np.square(rest - first), axis=0)
        by_others = np.nansum(np.square(rest - others), axis=0)
        share = np.where(by_others > 0, by_own / by_others, np.nan)
    return bool(np.nanmedian(between) > 1.0 and np.nanmedian(share) < OWN_ERROR_SHARE)
