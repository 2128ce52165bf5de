"""Recordings that a network has not seen, cut into windows as they will be judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.baseline import LEAST_ROWS, Baseline
from detector.detector import Detector
from detector.errors import BaselineRefused
from detector.windows import Floats, window_ends, windows_ending_at
from history.recording import UNLABELLED
from training.dataset import NORMAL, UNUSED, Experiment, commissioning_rows, wholly_normal
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One recording that the network has not seen.

    windows: full ones, behind the rows that its asset is commissioned from. state: of the row at which each
    ends; NORMAL means wholly normal, UNUSED labelled normal but not wholly so, as it is when a fault is just
    over. independent: normal windows that share no step. baseline: the asset's.
    labelled, faulty: rows behind those, all that have a label and those with a fault.
    """

    windows: list[Floats]
    state: NDArray[np.int64]
    independent: int
    baseline: Baseline | None
    labelled: int
    faulty: int

    @property
    def normal(self) -> list[Floats]:
        return [w for w, state in zip(self.windows, self.state.tolist(), strict=True) if state == NORMAL]


def cut_windows(experiment: Experiment, recipe: Recipe, skip: int, most_windows: int) -> HeldOut:
    """Full windows after the first `skip` normal rows, either wholly normal or ending in a labelled row."""
    steps = recipe.window_steps
    ends = window_ends(experiment.runs, steps)
    normal_rows = np.cumsum(experiment.state == NORMAL)
    if skip:
        ends = ends[normal_rows[ends] >= skip + steps]
    clean = wholly_normal(experiment.state, ends, steps)
    labels = experiment.recording.labels
    known = labels != UNLABELLED if labels is not None else np.zeros(len(experiment.state), np.bool_)
    kept = clean | known[ends]
    ends, clean = ends[kept], clean[kept]
    stride = max(1, -(-len(ends) // most_windows))
    windows = windows_ending_at(experiment.recording.values, experiment.runs, ends[::stride], steps)
    at_end = experiment.state[ends]
    state = np.where(clean | (at_end > NORMAL), at_end, UNUSED)[::stride]
    labelled = known & (normal_rows > skip)
    return HeldOut(
        windows,
        state,
        int(clean.sum()) // steps,
        experiment.baseline,
        int(labelled.sum()),
        int((labelled & (experiment.state > NORMAL)).sum()),
    )


def to_commission(experiment: Experiment, recipe: Recipe) -> int:
    """Normal rows of a recording that its asset is commissioned from."""
    return commissioning_rows(int((experiment.state == NORMAL).sum()), recipe)


def commission_recordings(
    detector: Detector, experiments: Sequence[Experiment], recipe: Recipe, most_windows: int
) -> list[HeldOut]:
    """Recordings as a commissioned asset would be judged: baseline from the first normal rows, windows from
    the rest. Those that are too short for it are left out."""
    commissioned: list[HeldOut] = []
    for experiment in experiments:
        skip = to_commission(experiment, recipe)
        rows = np.flatnonzero(experiment.state == NORMAL)[:skip]
        cut = cut_windows(experiment, recipe, skip, most_windows)
        if len(rows) < LEAST_ROWS or not cut.normal:
            continue
        stamps = experiment.recording.timestamps
        try:
            baseline = detector.commission(
                experiment.recording.values[rows], None if stamps is None else stamps[rows]
            )
        except BaselineRefused:
            continue
        commissioned.append(replace(cut, baseline=baseline))
    return commissioned
