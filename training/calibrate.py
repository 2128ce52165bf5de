"""What raw scores mean: typical errors, levels, p-values and probabilities, from recordings kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from detector.artefact import Artefact
from detector.baseline import LEAST_ROWS, Baseline
from detector.detector import Detector, Window, in_batches
from detector.errors import BaselineRefused
from detector.manifest import Calibration, Level, Manifest, NormalOperation, ProbabilityCalibration
from detector.operation import Operation, log_error
from detector.runtime import Runtime
from detector.scores import classifier_score, combine, sensor_errors, standardise_score
from detector.windows import Floats, window_ends, windows_ending_at
from training.dataset import NORMAL, Experiment, wholly_normal
from training.errors import NotEnoughData
from training.operation import SPREAD_FLOOR, mean_and_sd
from training.recipe import Recipe
from training.sampling import inject

# Enough windows for every figure below; more only costs time.
MOST_WINDOWS = 6000
# The stored table of normal scores: enough to resolve one false alarm in a thousand windows.
MOST_SCORES = 2000
DEFAULT_FALSE_ALARM_RATE = 0.02
# Keeps slopes finite where the calibration windows happen to be separable.
RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """One recording that the network has not seen.

    windows: full ones, behind the rows that its asset is commissioned from. state: of the row at which each
    ends; NORMAL means wholly normal. independent: normal windows that share no step. baseline: the asset's.
    """

    experiment: Experiment
    windows: list[Floats]
    state: NDArray[np.int64]
    independent: int
    baseline: Baseline | None

    @property
    def normal(self) -> list[Floats]:
        return [w for w, state in zip(self.windows, self.state.tolist(), strict=True) if state == NORMAL]


def calibrate(
    draft: Manifest,
    operation: Operation,
    runtime: Runtime,
    folder: Path,
    experiments: Sequence[Experiment],
    recipe: Recipe,
    split_by: str,
) -> tuple[Manifest, Operation]:
    """The manifest with its calibration, typical errors and default budget filled in, and the operation with
    its errors.

    draft: everything else already right. experiments: disjoint from those trained on and reported on.
    Raises NotEnoughData when they hold no window of normal operation.
    """
    per_asset = draft.recipe["baseline"] == "asset"
    cuts = [_cut(e, recipe, skip=recipe.baseline_rows if per_asset else 0) for e in experiments]
    if not any((cut.state == NORMAL).any() for cut in cuts):
        raise NotEnoughData(
            f"no window of {recipe.window_steps} normal steps is left to calibrate on: give more recordings"
            " of normal operation, or lower baseline_rows or window_steps"
        )
    typical, operation = _errors(Detector(Artefact(folder, draft, ""), runtime, operation), cuts)
    draft = msgspec.structs.replace(
        draft,
        sensors=[
            msgspec.structs.replace(sensor, typical_error=error)
            for sensor, error in zip(draft.sensors, typical.tolist(), strict=True)
        ],
    )
    detector = Detector(Artefact(folder, draft, ""), runtime, operation)
    by_model = _by_model(detector, cuts)
    commissioned = _commissioned(detector, experiments, recipe)
    by_asset = _by_asset(detector, commissioned) if commissioned else None
    serving = by_asset if per_asset and by_asset is not None else by_model
    held_out = (
        f"{len(experiments)} recordings that the network was not trained on"
        if split_by == "experiment"
        else "later stretches of the training recordings"
    )
    draft = msgspec.structs.replace(
        draft,
        calibration=msgspec.structs.replace(
            draft.calibration, model_baseline=by_model, asset_baseline=by_asset, held_out=held_out
        ),
        default_false_alarm_rate=recipe.default_false_alarm_rate
        or max(DEFAULT_FALSE_ALARM_RATE, serving.smallest_false_alarm_rate),
    )
    detector = Detector(Artefact(folder, draft, ""), runtime, operation)
    rng = np.random.default_rng([recipe.seed, 3])
    judged = commissioned if per_asset and commissioned else cuts
    probability = _probability(detector, judged, recipe.fault_size, rng)
    calibration = msgspec.structs.replace(draft.calibration, probability=probability)
    return msgspec.structs.replace(draft, calibration=calibration), operation


def empty_calibration(classifier_weight: float) -> Calibration:
    """What a draft manifest holds before it is calibrated."""
    nothing = NormalOperation(Level(0.0, 1.0), Level(0.0, 1.0), [0.0], 1)
    return Calibration(
        ProbabilityCalibration(0.0, 1.0, 0.0, 1.0, "injected", 0.5), classifier_weight, nothing, None, ""
    )


def _cut(experiment: Experiment, recipe: Recipe, skip: int) -> _HeldOut:
    """Full windows after the first `skip` normal rows, either wholly normal or ending in a fault."""
    steps = recipe.window_steps
    ends = window_ends(experiment.runs, steps)
    if skip:
        normal_rows = np.cumsum(experiment.state == NORMAL)
        ends = ends[normal_rows[ends] >= skip + steps]
    clean = wholly_normal(experiment.state, ends, steps)
    kept = clean | (experiment.state[ends] > NORMAL)
    ends, clean = ends[kept], clean[kept]
    stride = max(1, -(-len(ends) // MOST_WINDOWS))
    windows = windows_ending_at(experiment.recording.values, experiment.runs, ends[::stride], steps)
    state = np.where(clean, NORMAL, experiment.state[ends])[::stride]
    return _HeldOut(experiment, windows, state, int(clean.sum()) // steps, experiment.baseline)


def _errors(detector: Detector, cuts: Sequence[_HeldOut]) -> tuple[Floats, Operation]:
    """Mean squared error of each sensor over normal windows, (sensors,), never below a thousandth; and the
    operation with mean and deviation of its log."""
    parts: list[Floats] = []
    for cut in cuts:
        for part in in_batches([Window(w, cut.baseline) for w in cut.normal]):
            batch, outputs = detector.run(part)
            parts.append(sensor_errors(outputs.standardised, outputs.reconstruction, batch.observed))
    errors = np.concatenate(parts)
    typical, _ = mean_and_sd(errors, 1.0)
    mean, sd = mean_and_sd(log_error(errors), SPREAD_FLOOR)
    seen = np.isfinite(errors).any(axis=0)
    typical = np.maximum(np.where(seen, typical, 1.0), 1e-3)
    return typical, replace(detector.operation, log_error=mean, log_error_sd=sd)


def _by_model(detector: Detector, cuts: Sequence[_HeldOut]) -> NormalOperation:
    windows = [Window(w) for cut in cuts for w in cut.normal]
    classifier, reconstruction = detector.raw_scores(windows)
    return _table(
        detector,
        [(classifier, reconstruction)],
        [(_level(classifier), _level(reconstruction))],
        sum(cut.independent for cut in cuts),
    )


def _commissioned(detector: Detector, experiments: Sequence[Experiment], recipe: Recipe) -> list[_HeldOut]:
    """Recordings as a commissioned asset would be judged: baseline from the first normal rows, windows from
    the rest. Those that are too short for it are left out."""
    commissioned: list[_HeldOut] = []
    for experiment in experiments:
        rows = np.flatnonzero(experiment.state == NORMAL)[: recipe.baseline_rows]
        cut = _cut(experiment, recipe, skip=recipe.baseline_rows)
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


def _by_asset(detector: Detector, commissioned: Sequence[_HeldOut]) -> NormalOperation:
    raw = [detector.raw_scores([Window(w, cut.baseline) for w in cut.normal]) for cut in commissioned]
    baselines = [cut.baseline for cut in commissioned]
    levels = [(b.classifier, b.reconstruction) for b in baselines if b is not None]
    return _table(
        detector, raw, [(c, r) for c, r in levels if c and r], sum(cut.independent for cut in commissioned)
    )


def _table(
    detector: Detector,
    raw: Sequence[tuple[Floats, Floats]],
    levels: Sequence[tuple[Level, Level]],
    independent: int,
) -> NormalOperation:
    """Combined scores of all windows, each standardised by its own level; and the typical level."""
    combined = np.sort(
        np.concatenate(
            [
                combine(
                    standardise_score(classifier, np.array(own[0].mean), np.array(own[0].sd)),
                    standardise_score(reconstruction, np.array(own[1].mean), np.array(own[1].sd)),
                    detector.manifest.calibration.classifier_weight,
                )
                for (classifier, reconstruction), own in zip(raw, levels, strict=True)
            ]
        )
    )
    if len(combined) > MOST_SCORES:
        combined = np.quantile(combined, (np.arange(MOST_SCORES) + 0.5) / MOST_SCORES)
    mean_levels = [
        Level(float(np.mean([own[k].mean for own in levels])), float(np.mean([own[k].sd for own in levels])))
        for k in (0, 1)
    ]
    scores = [float(f"{score:.6g}") for score in combined.tolist()]
    return NormalOperation(mean_levels[0], mean_levels[1], scores, max(1, independent))


def _level(raw: Floats) -> Level:
    return Level(float(raw.mean()), max(float(raw.std()), 1e-3))


def _probability(
    detector: Detector, cuts: Sequence[_HeldOut], fault_size: tuple[float, float], rng: np.random.Generator
) -> ProbabilityCalibration:
    """Log-odds and temperature that minimise the log loss.

    Over recorded faults at the share in which they occur, else one injected fault for each normal window.
    """
    windows: list[Window] = []
    klass: list[int] = []
    recorded = any((cut.state > NORMAL).any() for cut in cuts)
    for cut in cuts:
        for values, state in zip(cut.windows, cut.state.tolist(), strict=True):
            windows.append(Window(values, cut.baseline))
            klass.append(state)
            if not recorded:
                faulty = _with_fault(detector, values, cut.baseline, fault_size, rng)
                windows.append(Window(faulty, cut.baseline))
                klass.append(len(detector.manifest.classes) - 1)
    picked = rng.permutation(len(windows))[:MOST_WINDOWS].tolist()
    scores = [detector.score(part) for part in in_batches([windows[i] for i in picked])]
    logits = np.concatenate([part.outputs.logits for part in scores]).astype(np.float64)
    reconstruction = np.concatenate([part.reconstruction for part in scores])
    truth = np.array(klass)[picked]
    intercept, classifier_slope, reconstruction_slope = _log_odds(
        np.stack([classifier_score(logits), reconstruction], axis=1), truth != NORMAL
    )
    return ProbabilityCalibration(
        intercept=intercept,
        classifier_slope=classifier_slope,
        reconstruction_slope=reconstruction_slope,
        temperature=_temperature(logits[truth != NORMAL, 1:], truth[truth != NORMAL] - 1),
        faults="recorded" if recorded else "injected",
        prior=float((truth != NORMAL).mean()),
    )


def _log_odds(scores: Floats, faulty: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Intercept and slopes (>= 0) of a logistic regression on the two scores (windows, 2)."""
    features = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    sign = np.where(faulty, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ weights)
        ridge = RIDGE * np.square(weights[1:])
        pull = -sign / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        gradient = (features * pull[:, None]).mean(axis=0)
        gradient[1:] += 2.0 * RIDGE * weights[1:]
        return float(np.logaddexp(0.0, -margin).mean() + ridge.sum()), gradient

    bounds = [(None, None), (0.0, None), (0.0, None)]
    best = minimize(loss, np.array([0.0, 0.5, 0.5]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(best[0]), float(best[1]), float(best[2])


def _temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Temperature of the softmax among faults, from windows with faults; 1 where there is one kind alone."""
    if logits.shape[1] < 2 or len(truth) == 0:
        return 1.0

    def log_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        peak = scaled.max(axis=1, keepdims=True)
        log_sum = peak[:, 0] + np.log(np.exp(scaled - peak).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(truth)), truth]).mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def _with_fault(
    detector: Detector,
    values: Floats,
    baseline: Baseline | None,
    size: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """A window in engineering units with one random fault put into it, in the asset's own deviations."""
    center = detector.manifest.center if baseline is None else baseline.center
    scale = detector.manifest.scale if baseline is None else baseline.scale
    standardised = ((values - center) / scale).astype(np.float32)
    observed = np.isfinite(standardised)
    judged = np.array([sensor.scored for sensor in detector.manifest.sensors])
    if baseline is not None:
        judged &= ~baseline.left_out
    standardised[~observed] = 0.0
    inject(standardised, observed & judged, size, rng)
    return np.where(observed, standardised * scale + center, np.nan)
