"""What raw scores mean: typical errors, levels, p-values and probabilities, from recordings kept apart."""

from collections.abc import Iterable, Sequence
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
from detector.scores import classifier_score, combine, sensor_errors, standardise_score
from detector.windows import Floats, window_ends, windows_ending_at
from training.dataset import NORMAL, Experiment, wholly_normal
from training.errors import NotEnoughData
from training.operation import SPREAD_FLOOR, mean_and_sd
from training.recipe import Recipe
from training.rehearsal import Rehearsal
from training.sampling import inject

# Enough windows for every figure below; more only costs time.
MOST_WINDOWS = 6000
# The stored table of normal scores: enough to resolve one false alarm in a thousand windows.
MOST_SCORES = 2000
DEFAULT_FALSE_ALARM_RATE = 0.05
# Most of a recording's normal rows that its asset is commissioned from: the rest shows how it is judged then.
COMMISSIONING_SHARE = 2 / 3
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


@dataclass(frozen=True, slots=True)
class _Scored:
    """Raw scores of the normal windows of one recording. independent: how many of them share no step."""

    classifier: Floats
    reconstruction: Floats
    level: tuple[Level, Level]
    independent: int


@dataclass(frozen=True, slots=True)
class _Cases:
    """Windows with and without faults, as the probabilities are fitted on them.

    logits: (windows, classes). reconstruction: (windows,), standardised. klass: (windows,).
    """

    logits: Floats
    reconstruction: Floats
    klass: NDArray[np.int64]
    recorded: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    """errors: (windows, sensors), of normal windows. by_model, by_asset: their scores by either baseline."""

    errors: Floats
    by_model: list[_Scored]
    by_asset: list[_Scored]
    cases: _Cases


def calibrate(
    draft: Manifest,
    operation: Operation,
    rehearsals: Iterable[Rehearsal],
    recipe: Recipe,
    held_out: str,
) -> tuple[Manifest, Operation]:
    """The manifest with its calibration, typical errors and default budget filled in, and the operation with
    its errors.

    draft: everything else already right. operation: of what the final network was trained on.
    rehearsals: networks with recordings that they were not trained on; the final network, or its stand-ins.
    held_out: what the normal windows come from, in words.
    Raises NotEnoughData when they hold no window of normal operation.
    """
    per_asset = draft.recipe["baseline"] == "asset"
    rng = np.random.default_rng([recipe.seed, 3])
    heard = [part for r in rehearsals if (part := _hear(r, draft, recipe, rng)) is not None]
    if not heard:
        raise NotEnoughData(
            f"no window of {recipe.window_steps} normal steps is left to calibrate on: give more recordings"
            " of normal operation, or lower baseline_rows or window_steps"
        )
    weight = draft.calibration.classifier_weight
    by_model = _table([scored for part in heard for scored in part.by_model], weight)
    by_asset = _table([scored for part in heard for scored in part.by_asset], weight)
    if by_model is None:
        raise AssertionError("a part that was heard has normal windows")
    serving = by_asset if per_asset and by_asset is not None else by_model
    calibration = msgspec.structs.replace(
        draft.calibration,
        probability=_probability([part.cases for part in heard]),
        model_baseline=by_model,
        asset_baseline=by_asset,
        held_out=held_out,
    )
    errors = np.concatenate([part.errors for part in heard])
    manifest = msgspec.structs.replace(
        _with_typical(draft, errors),
        calibration=calibration,
        default_false_alarm_rate=recipe.default_false_alarm_rate
        or max(DEFAULT_FALSE_ALARM_RATE, serving.smallest_false_alarm_rate),
    )
    return manifest, _with_errors(operation, errors)


def _hear(rehearsal: Rehearsal, draft: Manifest, recipe: Recipe, rng: np.random.Generator) -> _Heard | None:
    """What one network says of the recordings that it has not seen; None without a normal window of them."""
    per_asset = draft.recipe["baseline"] == "asset"
    cuts = [
        _cut(experiment, recipe, _commissioning_rows(experiment, recipe) if per_asset else 0)
        for experiment in rehearsal.held_out
    ]
    if not any((cut.state == NORMAL).any() for cut in cuts):
        return None

    def detector(manifest: Manifest, operation: Operation) -> Detector:
        return Detector(Artefact(Path(), manifest, ""), rehearsal.runtime, operation)

    errors = _errors(detector(draft, rehearsal.operation), cuts)
    draft, operation = _with_typical(draft, errors), _with_errors(rehearsal.operation, errors)
    by_model = _by_model(detector(draft, operation), cuts)
    # Commissioning bounds an asset's level by the model's own: that of the same network.
    draft = _with_levels(draft, by_model)
    commissioned = _commissioned(detector(draft, operation), rehearsal.held_out, recipe)
    by_asset = _by_asset(detector(draft, operation), commissioned)
    if by_asset:
        draft = _with_levels(draft, by_asset)
    judged = commissioned if per_asset and commissioned else cuts
    cases = _cases(detector(draft, operation), judged, recipe.fault_size, rng)
    return _Heard(errors, by_model, by_asset, cases)


def _with_typical(draft: Manifest, errors: Floats) -> Manifest:
    """The typical error of each sensor, never below a thousandth, from those of normal windows."""
    typical, _ = mean_and_sd(errors, 1.0)
    seen = np.isfinite(errors).any(axis=0)
    typical = np.maximum(np.where(seen, typical, 1.0), 1e-3)
    sensors = [
        msgspec.structs.replace(sensor, typical_error=error)
        for sensor, error in zip(draft.sensors, typical.tolist(), strict=True)
    ]
    return msgspec.structs.replace(draft, sensors=sensors)


def _with_errors(operation: Operation, errors: Floats) -> Operation:
    mean, sd = mean_and_sd(log_error(errors), SPREAD_FLOOR)
    return replace(operation, log_error=mean, log_error_sd=sd)


def _with_levels(draft: Manifest, scored: Sequence[_Scored]) -> Manifest:
    """The manifest with the levels of these windows, so that a detector standardises scores by them."""
    classifier, reconstruction = _mean_levels(scored)
    normal = NormalOperation(classifier, reconstruction, [0.0], 1)
    calibration = msgspec.structs.replace(draft.calibration, model_baseline=normal, asset_baseline=normal)
    return msgspec.structs.replace(draft, calibration=calibration)


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


def _errors(detector: Detector, cuts: Sequence[_HeldOut]) -> Floats:
    """Mean squared error of each sensor in each normal window, (windows, sensors)."""
    parts: list[Floats] = []
    for cut in cuts:
        for part in in_batches([Window(w, cut.baseline) for w in cut.normal]):
            batch, outputs = detector.run(part)
            parts.append(sensor_errors(outputs.standardised, outputs.reconstruction, batch.observed))
    return np.concatenate(parts)


def _by_model(detector: Detector, cuts: Sequence[_HeldOut]) -> list[_Scored]:
    raw = [
        (*detector.raw_scores([Window(w) for w in cut.normal]), cut.independent) for cut in cuts if cut.normal
    ]
    level = (
        _level(np.concatenate([classifier for classifier, _, _ in raw])),
        _level(np.concatenate([reconstruction for _, reconstruction, _ in raw])),
    )
    return [_Scored(classifier, reconstruction, level, count) for classifier, reconstruction, count in raw]


def _commissioning_rows(experiment: Experiment, recipe: Recipe) -> int:
    """Rows that an asset is commissioned from; of a short recording so many that a third is left to judge."""
    normal = int((experiment.state == NORMAL).sum())
    return min(recipe.baseline_rows, round(normal * COMMISSIONING_SHARE))


def _commissioned(detector: Detector, experiments: Sequence[Experiment], recipe: Recipe) -> list[_HeldOut]:
    """Recordings as a commissioned asset would be judged: baseline from the first normal rows, windows from
    the rest. Those that are too short for it are left out."""
    commissioned: list[_HeldOut] = []
    for experiment in experiments:
        skip = _commissioning_rows(experiment, recipe)
        rows = np.flatnonzero(experiment.state == NORMAL)[:skip]
        cut = _cut(experiment, recipe, skip)
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


def _by_asset(detector: Detector, commissioned: Sequence[_HeldOut]) -> list[_Scored]:
    scored = []
    for cut in commissioned:
        classifier, reconstruction = detector.raw_scores([Window(w, cut.baseline) for w in cut.normal])
        own = cut.baseline
        if own is not None and own.classifier is not None and own.reconstruction is not None:
            level = own.classifier, own.reconstruction
            scored.append(_Scored(classifier, reconstruction, level, cut.independent))
    return scored


def _table(scored: Sequence[_Scored], classifier_weight: float) -> NormalOperation | None:
    """Combined scores of all windows, each standardised by its own level; and the typical level.

    Every recording counts alike, however long: recordings are exchangeable, their windows are not (Dunn,
    Wasserman and Ramdas 2022, Distribution-Free Prediction Sets for Two-Layer Hierarchical Models).
    """
    if not scored:
        return None
    parts = [_combined(part, classifier_weight) for part in scored]
    combined = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in parts])
    order = np.argsort(combined, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    count = min(MOST_SCORES, len(combined))
    # The score below which each equal share of the weight lies.
    places = np.searchsorted(reached, (np.arange(count) + 0.5) / count - 1e-12)
    scores = [float(f"{score:.6g}") for score in combined[order][places].tolist()]
    return NormalOperation(*_mean_levels(scored), scores, _effective([part.independent for part in scored]))


def _effective(independent: Sequence[int]) -> int:
    """How many independent windows a mean over equally weighted recordings is worth, at least 1.

    The variance of a share is the mean of the recordings' own variances over their number, each falling with
    its windows; a recording with less than one full window counts as one.
    """
    return max(1, int(len(independent) ** 2 / sum(1.0 / max(count, 1) for count in independent)))


def _combined(part: _Scored, classifier_weight: float) -> Floats:
    of_classifier, of_reconstruction = part.level
    return combine(
        standardise_score(part.classifier, np.array(of_classifier.mean), np.array(of_classifier.sd)),
        standardise_score(
            part.reconstruction, np.array(of_reconstruction.mean), np.array(of_reconstruction.sd)
        ),
        classifier_weight,
    )


def _mean_levels(scored: Sequence[_Scored]) -> tuple[Level, Level]:
    means = [
        Level(
            float(np.mean([part.level[k].mean for part in scored])),
            float(np.mean([part.level[k].sd for part in scored])),
        )
        for k in (0, 1)
    ]
    return means[0], means[1]


def _level(raw: Floats) -> Level:
    return Level(float(raw.mean()), max(float(raw.std()), 1e-3))


def _cases(
    detector: Detector, cuts: Sequence[_HeldOut], fault_size: tuple[float, float], rng: np.random.Generator
) -> _Cases:
    """Recorded faults at the share in which they occur, else one injected fault for each normal window."""
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
    return _Cases(
        np.concatenate([part.outputs.logits for part in scores]).astype(np.float64),
        np.concatenate([part.reconstruction for part in scores]),
        np.array(klass)[picked],
        recorded,
    )


def _probability(cases: Sequence[_Cases]) -> ProbabilityCalibration:
    """Log-odds and temperature that minimise the log loss."""
    # Injected faults stand in for recorded ones only where there are none at all.
    recorded = any(case.recorded for case in cases)
    cases = [case for case in cases if case.recorded == recorded]
    logits = np.concatenate([case.logits for case in cases])
    reconstruction = np.concatenate([case.reconstruction for case in cases])
    truth = np.concatenate([case.klass for case in cases])
    faulty = truth != NORMAL
    intercept, classifier_slope, reconstruction_slope = _log_odds(
        np.stack([classifier_score(logits), reconstruction], axis=1), faulty
    )
    return ProbabilityCalibration(
        intercept=intercept,
        classifier_slope=classifier_slope,
        reconstruction_slope=reconstruction_slope,
        temperature=_temperature(logits[faulty, 1:], truth[faulty] - 1),
        faults="recorded" if recorded else "injected",
        prior=float(faulty.mean()),
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
