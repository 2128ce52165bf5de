"""One trial of tuning: a short fit, and how well it ranks rows of recordings that it was not trained on."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from detector.artefact import Artefact
from detector.baseline import measure
from detector.detector import Detector, Window, in_batches
from detector.errors import BaselineRefused
from detector.onnx_runtime import MODEL_FILE, OnnxRuntime
from detector.windows import segments, window_ends, windows_ending_at
from evaluation.ranking import roc_auc
from history import spool
from history.faults import FAULTS
from history.recording import ANOMALOUS, NORMAL, UNLABELLED, Recording
from training.calibrate import calibrate
from training.dataset import (
    MOST_READINGS,
    Experiment,
    Population,
    all_sensors,
    prepare,
    survey,
    thinned,
)
from training.errors import Interrupted, NotEnoughData
from training.export import export_onnx
from training.fit import Fitting, OnStep, begin
from training.pipeline import About, draft
from training.recipe import Recipe
from training.rehearsal import Network, Rehearsal
from training.split import Split, split

# Of the recordings that train, so many are kept for validation.
VALIDATION_SHARE = 0.3
# Enough to bring two scores onto one scale, which is all that a trial needs.
MOST_CALIBRATION_RECORDINGS = 4
MOST_CALIBRATION_WINDOWS = 4000
MOST_VALIDATION_WINDOWS = 4000
# Rows of an injected fault, and of normal operation before the next one.
FAULTY_ROWS, NORMAL_ROWS = 60, 120
# Standard deviations: faults that are neither plain nor hopeless tell recipes apart.
FAULT_SIZE = (1.5, 6.0)
# The head has learnt something by these shares of the steps; only then is it fair to give a trial up.
RUNGS = (0.55, 0.7, 0.85, 1.0)

RECORDED, INJECTED = "recorded faults", "injected faults"


@dataclass(frozen=True, slots=True)
class Ground:
    """What all trials of a study share.

    parts: `train` trains, `calibration` brings scores onto one scale, `test` validates. sensors: of all.
    faults: RECORDED or INJECTED, in the validation recordings. longest_window: rows before it is full are
    judged in no trial, so that all judge the same rows. whole: training and validation recordings together;
    they say only which sensors wander too far to be judged.
    """

    parts: Split
    sensors: tuple[str, ...]
    faults: str
    longest_window: int
    whole: tuple[Recording, ...]


def lay_ground(recordings: Sequence[Recording], recipe: Recipe, test: Sequence[Recording] = ()) -> Ground:
    """Divide recordings for tuning. What `train` would report on validates nothing.

    test: recordings to stay out altogether, with whatever shares rows with them. Raises NotEnoughData.
    """
    sensors = all_sensors(recordings)
    if not sensors:
        raise NotEnoughData("no sensors in the given files")
    apart = recipe.model_copy(update={"calibration_folds": 0})
    outer = split([r.select(sensors) for r in recordings], apart, [r.select(sensors) for r in test])
    calibration = outer.calibration[:MOST_CALIBRATION_RECORDINGS]
    # With folds a training keeps nothing apart: what calibration has no use for here is learnt from, too.
    crossed = outer.by == "experiment" and recipe.calibration_folds > 1
    rest = outer.calibration[MOST_CALIBRATION_RECORDINGS:] if crossed else ()
    learnt = (*outer.train, *rest)
    inner = split(
        learnt,
        apart.model_copy(update={"calibration_share": VALIDATION_SHARE, "test_share": 1e-9}),
        calibration if rest else (),
    )
    validation = [recording for recording in inner.calibration if _has_both(recording)]
    faults = RECORDED if validation else INJECTED
    if not validation:
        rng = np.random.default_rng([recipe.seed, 5])
        validation = [with_faults(r, recipe, rng) for r in inner.calibration]
        validation = [recording for recording in validation if _has_both(recording)]
    if not validation:
        raise NotEnoughData("no recording of normal operation is left to validate on: give more, or longer")
    runs = [
        max(
            run.stop - run.start for run in segments(r.timestamps, len(r), r.period_s, recipe.max_gap_periods)
        )
        for r in (*inner.train, *calibration, *validation)
    ]
    return Ground(
        Split(inner.train, calibration, tuple(validation), inner.by),
        sensors,
        faults,
        min(runs) // 4,
        learnt,
    )


def with_faults(recording: Recording, recipe: Recipe, rng: np.random.Generator) -> Recording:
    """A copy with faults of all kinds in turn in its normal rows, behind those of its baseline, and labelled.

    Sizes in deviations of the recording's own normal rows. Faults recorded in it stay and are unlabelled, and
    so are rows right after a fault, whose windows still hold it.
    """
    values, rows = spool.concatenate([recording.values]), len(recording)
    normal = np.ones(rows, np.bool_) if recording.labels is None else recording.labels == NORMAL
    labels = spool.keep(np.where(normal, NORMAL, UNLABELLED).astype(f"<U{len(ANOMALOUS)}"))
    if not normal.any():
        return replace(recording, labels=labels)
    share = min(1.0, MOST_READINGS / values.size)
    center, scale, _ = measure(values[thinned(np.flatnonzero(normal), share, recipe)])
    kinds = rng.permutation(list(FAULTS)).tolist()
    first = recipe.baseline_rows + NORMAL_ROWS
    while first + FAULTY_ROWS <= rows:
        part = slice(first, first + FAULTY_ROWS)
        alive = np.flatnonzero(np.isfinite(values[part]).all(axis=0))
        if normal[part].all() and len(alive):
            deviations = (values[part] - center) / scale
            hit = rng.choice(alive, int(rng.integers(1, min(3, len(alive)) + 1)), replace=False)
            kinds = [*kinds[1:], kinds[0]]
            FAULTS[kinds[0]].inject(deviations, 0, hit, float(rng.uniform(*FAULT_SIZE)), rng)
            values[part] = deviations * scale + center
            labels[part] = ANOMALOUS
            labels[part.stop : part.stop + NORMAL_ROWS // 2] = UNLABELLED
        first += FAULTY_ROWS + NORMAL_ROWS
    return replace(recording, values=values, labels=labels)


def run_trial(
    ground: Ground,
    recipe: Recipe,
    on_step: OnStep | None = None,
    on_rung: Callable[[int, float], None] = lambda step, objective: None,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Mean over validation recordings of the ROC AUC of the combined score; larger is better.

    on_rung: called with (steps done, objective so far); may raise to give the trial up.
    Raises NotEnoughData when the data does not hold a window of this recipe, Interrupted.
    """
    keras.backend.clear_session()
    # With fewer recordings another sensor may seem to drift, and the trial would not be of what `train` does.
    population = replace(survey(ground.parts.train, recipe), drifting=survey(ground.whole, recipe).drifting)
    experiments = [prepare(recording, population, recipe) for recording in ground.parts.train]
    held_out = [prepare(recording, population, recipe) for recording in ground.parts.calibration]
    fitting = begin(experiments, population, recipe, np.random.default_rng([recipe.seed, 2]))
    objective = 0.0
    for rung in RUNGS:
        fitting.run(round(rung * recipe.steps), on_step, stop)
        if stop():
            raise Interrupted(fitting.step, recipe.steps, None)
        objective = _objective(fitting, ground, population, experiments, held_out, recipe)
        on_rung(fitting.step, objective)
    return objective


def _objective(
    fitting: Fitting,
    ground: Ground,
    population: Population,
    experiments: Sequence[Experiment],
    held_out: Sequence[Experiment],
    recipe: Recipe,
) -> float:
    parts = ground.parts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_onnx(fitting.network, population.center, population.scale, folder / MODEL_FILE)
        runtime = OnnxRuntime(folder)
        manifest = draft(
            About("trial"), parts, population, experiments, recipe, fitting.network.count_params()
        )
        network = Network(runtime, fitting.operation, experiments)
        rehearsal = Rehearsal(network, held_out, MOST_CALIBRATION_WINDOWS)
        manifest, operation = calibrate(manifest, network, [rehearsal], recipe, "")
        detector = Detector(Artefact(folder, manifest, ""), runtime, operation)
        baseline_rows = recipe.baseline_rows if population.per_asset else 0
        aucs = [_auc(detector, recording, baseline_rows, ground) for recording in parts.test]
    known = [auc for auc in aucs if auc is not None]
    if not known:
        raise NotEnoughData("no validation recording has normal and faulty rows behind its baseline")
    return float(np.mean(known))


def _auc(detector: Detector, recording: Recording, baseline_rows: int, ground: Ground) -> float | None:
    """ROC AUC over labelled rows behind a full longest window; None unless there are rows of both kinds."""
    shape = detector.manifest.window
    stamps = recording.timestamps
    runs = segments(stamps, len(recording), shape.period_s, shape.max_gap_periods)
    ends = window_ends(runs, ground.longest_window)
    baseline = None
    if baseline_rows:
        rows = np.flatnonzero(np.asarray(recording.labels) == NORMAL)[:baseline_rows]
        try:
            baseline = detector.commission(recording.values[rows], None if stamps is None else stamps[rows])
        except BaselineRefused:
            return None
        ends = ends[ends > rows[-1]]
    stride = -(-len(recording) * len(ground.parts.test) // MOST_VALIDATION_WINDOWS)
    ends = ends[::stride]
    labels = np.asarray(recording.labels)[ends]
    ends, labels = ends[labels != UNLABELLED], labels[labels != UNLABELLED]
    truth = labels != NORMAL
    if truth.all() or not truth.any():
        return None
    cut = windows_ending_at(recording.values, runs, ends, shape.steps)
    windows = [Window(values, baseline) for values in cut]
    scores = np.concatenate([detector.score(part).combined for part in in_batches(windows)])
    # A window that cannot be scored at all is taken for the least strange.
    return roc_auc(truth, np.nan_to_num(scores, nan=-np.inf))


def _has_both(recording: Recording) -> bool:
    if recording.labels is None:
        return False
    faulty = ~np.isin(recording.labels, [NORMAL, UNLABELLED])
    return bool(faulty.any() and (recording.labels == NORMAL).any())
