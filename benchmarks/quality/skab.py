"""Skoltech Anomaly Benchmark: 34 experiments on a water circulation loop, 8 sensors, 1 Hz."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import contributions, datasets, figures, gaps
from benchmarks.quality.contributions import Hits
from benchmarks.quality.figures import Figures
from benchmarks.quality.gaps import Held
from benchmarks.quality.protocol import NO_TEST, Protocol, Work, recipe
from detector import Detector, Window
from detector.windows import segments, window_ends, windows_ending_at
from history.recording import NORMAL, Recording
from training.recipe import Recipe
from training.split import rows_of, split

# What the leaderboard trains on, and what an asset is commissioned from here.
BASELINE_ROWS = 400
FOLDS = 5
# Rows at which windows end that faults are put into: behind the baseline, ahead of the fault.
HELD_OUT_ROWS = (430, 560)
HELD_OUT_STRIDE = 10


@dataclass(frozen=True, slots=True)
class Unlabelled:
    figures: Figures
    contributions: dict[str, Hits]
    gaps: dict[str, Held]


def folds(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """The recordings in FOLDS parts; those that share rows are in the same one. Always the same parts."""
    fixed = recipe(calibration_folds=FOLDS, test_share=NO_TEST, seed=0)
    return [list(fold) for fold in split(recordings, fixed).folds]


def _unlabelled_recipe(part: str) -> Recipe:
    return recipe(baseline="asset", baseline_rows=BASELINE_ROWS, test_share=NO_TEST)


def _labelled_recipe(part: str) -> Recipe:
    return recipe(baseline="asset", baseline_rows=BASELINE_ROWS, test_share=NO_TEST)


def _measure_unlabelled(work: Work, part: str, chosen: Recipe) -> Unlabelled:
    recordings = datasets.skab(work.data)
    first = [datasets.unlabelled(rows_of(r, slice(0, BASELINE_ROWS))) for r in recordings]
    detector = work.train(first, chosen)
    measured = figures.measure(detector, recordings, BASELINE_ROWS, work.report)
    work.report(("stage", "Putting faults in"))
    cut = [_windows(detector, recording) for recording in recordings]
    normal, faulty = ([window for windows in cut for window in windows[kind]] for kind in (0, 1))
    hits = contributions.measure(detector, normal, 1, np.random.default_rng([chosen.seed, 8]))
    work.report(("stage", "Making gaps"))
    held = gaps.measure(detector, normal, faulty, np.random.default_rng([chosen.seed, 9]))
    return Unlabelled(measured, hits, held)


def _measure_fold(work: Work, part: str, chosen: Recipe) -> Figures:
    parts = folds(datasets.skab(work.data))
    held_out = parts.pop(int(part.removeprefix("fold-")) - 1)
    detector = work.train([recording for fold in parts for recording in fold], chosen)
    return figures.measure(detector, held_out, BASELINE_ROWS, work.report)


def _measure_folder(work: Work, part: str, chosen: Recipe) -> Figures:
    recordings = datasets.skab(work.data)
    held_out = [recording for recording in recordings if recording.name.startswith(f"{part}/")]
    detector = work.train([r for r in recordings if r not in held_out], chosen)
    return figures.measure(detector, held_out, BASELINE_ROWS, work.report)


def _windows(detector: Detector, recording: Recording) -> tuple[list[Window], list[Window]]:
    """Full windows that the network has not seen, judged by the asset's baseline: of normal operation ahead
    of the fault, and such as end in it."""
    values, stamps, shape = recording.values, recording.timestamps, detector.manifest.window
    rows = slice(0, BASELINE_ROWS)
    baseline = detector.commission(values[rows], None if stamps is None else stamps[rows])
    runs = segments(stamps, len(values), shape.period_s, shape.max_gap_periods)
    ends = window_ends(runs, shape.steps)
    normal = np.asarray(recording.labels) == NORMAL
    faulty = ends[(ends >= BASELINE_ROWS) & ~normal[ends]][::HELD_OUT_STRIDE]
    ahead = ends[(ends >= HELD_OUT_ROWS[0]) & (ends < HELD_OUT_ROWS[1])][::HELD_OUT_STRIDE]
    whole = [normal[end + 1 - shape.steps : end + 1].all() for end in ahead.tolist()]
    ahead = ahead[np.array(whole, np.bool_)]

    def cut(at: NDArray[np.intp]) -> list[Window]:
        return [Window(window, baseline) for window in windows_ending_at(values, runs, at, shape.steps)]

    return cut(ahead), cut(faulty)


UNLABELLED = Protocol("skab-unlabelled", datasets.SKAB, ("",), 160, _unlabelled_recipe, _measure_unlabelled)
FIVE_FOLD = Protocol(
    "skab-labelled-5fold",
    datasets.SKAB,
    tuple(f"fold-{number}" for number in range(1, FOLDS + 1)),
    105,
    _labelled_recipe,
    _measure_fold,
)
LEAVE_FOLDER_OUT = Protocol(
    "skab-labelled-leave-folder-out",
    datasets.SKAB,
    datasets.SKAB_FOLDERS,
    110,
    _labelled_recipe,
    _measure_folder,
)
