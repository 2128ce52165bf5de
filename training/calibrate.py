"""What raw scores mean: typical errors, levels, p-values and probabilities, from recordings kept apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from detector.artefact import Artefact
from detector.baseline import Baseline
from detector.detector import Detector, Window, in_batches
from detector.manifest import (
    Calibration,
    Level,
    Manifest,
    NormalOperation,
    ProbabilityCalibration,
    ShorterLevel,
)
from detector.operation import Operation, log_error
from detector.scores import combine, sensor_errors, standardise_score
from detector.windows import Floats
from training.dataset import NORMAL
from training.errors import NotEnoughData
from training.held_out import HeldOut, commission_recordings, cut_windows, to_commission
from training.operation import SPREAD_FLOOR, mean_and_sd
from training.probability import Cases, fit_probabilities, gather
from training.recipe import Recipe
from training.rehearsal import Rehearsal

# The stored table of normal scores: enough to resolve one false alarm in a thousand windows.
MOST_SCORES = 2000
DEFAULT_FALSE_ALARM_RATE = 0.05


# Lengths below a full window's that levels are measured at, and windows of one recording that are enough.
SHORTER_LENGTHS, MOST_SHORTENED = 3, 300
# Shares of normal windows that score below where short and full ones are made alike: half of them, and so
# many that budgets of some percent lie near.
ALIKE_AT = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Raw scores of the normal windows of one recording.

    classifier, reconstruction: (windows,). level: by which both are standardised.
    independent: how many of the windows share no step. shorter: by steps, both raw scores of the newest steps
    of every `stride`-th window.
    """

    classifier: Floats
    reconstruction: Floats
    level: tuple[Level, Level]
    independent: int
    shorter: dict[int, tuple[Floats, Floats]]
    stride: int


@dataclass(frozen=True, slots=True)
class _Heard:
    """errors: (windows, sensors), of normal windows. by_model, by_asset: their scores by either baseline."""

    errors: Floats
    by_model: list[_Scored]
    by_asset: list[_Scored]
    cases: Cases


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
    of_assets = [scored for part in heard for scored in part.by_asset]
    by_asset = _table(of_assets, weight) if of_assets else None
    serving = by_asset if per_asset and by_asset is not None else by_model
    calibration = msgspec.structs.replace(
        draft.calibration,
        probability=fit_probabilities([part.cases for part in heard]),
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
        cut_windows(
            experiment,
            recipe,
            to_commission(experiment, recipe) if per_asset else 0,
            rehearsal.most_of_each,
        )
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
    commissioned = commission_recordings(
        detector(draft, operation), rehearsal.held_out, recipe, rehearsal.most_of_each
    )
    by_asset = _by_asset(detector(draft, operation), commissioned)
    if by_asset:
        draft = _with_levels(draft, by_asset)
    judged = commissioned if per_asset and commissioned else cuts
    cases = gather(detector(draft, operation), judged, recipe.fault_size, rng)
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
    unknown = ProbabilityCalibration(0.0, 0.0, 0.0, 1.0, "injected", 0.5)
    return Calibration(unknown, classifier_weight, nothing, None, "", "log1p")


def _errors(detector: Detector, cuts: Sequence[HeldOut]) -> Floats:
    """Mean squared error of each sensor in each normal window, (windows, sensors)."""
    parts: list[Floats] = []
    for cut in cuts:
        for part in in_batches([Window(w, cut.baseline) for w in cut.normal]):
            batch, outputs = detector.run(part)
            parts.append(sensor_errors(outputs.standardised, outputs.reconstruction, batch.observed))
    return np.concatenate(parts)


def _by_model(detector: Detector, cuts: Sequence[HeldOut]) -> list[_Scored]:
    cuts = [cut for cut in cuts if cut.normal]
    raw = [detector.raw_scores([Window(w) for w in cut.normal]) for cut in cuts]
    level = (
        _level(np.concatenate([classifier for classifier, _ in raw])),
        _level(np.concatenate([reconstruction for _, reconstruction in raw])),
    )
    return [
        _Scored(*scores, level, cut.independent, *_shorter(detector, cut.normal, None))
        for scores, cut in zip(raw, cuts, strict=True)
    ]


def _by_asset(detector: Detector, commissioned: Sequence[HeldOut]) -> list[_Scored]:
    scored = []
    for cut in commissioned:
        own = cut.baseline
        if own is not None and own.classifier is not None and own.reconstruction is not None:
            raw = detector.raw_scores([Window(w, own) for w in cut.normal])
            level = own.classifier, own.reconstruction
            scored.append(_Scored(*raw, level, cut.independent, *_shorter(detector, cut.normal, own)))
    return scored


def _shorter(
    detector: Detector, windows: Sequence[Floats], baseline: Baseline | None
) -> tuple[dict[int, tuple[Floats, Floats]], int]:
    """Raw scores when only the newest steps of a window are there, by steps; of every which window."""
    shape = detector.manifest.window
    lengths = np.geomspace(shape.minimum_steps, shape.steps, SHORTER_LENGTHS + 1).round().astype(int)
    stride = -(-len(windows) // MOST_SHORTENED)
    scores = {
        steps: detector.raw_scores([Window(values[-steps:], baseline) for values in windows[::stride]])
        for steps in np.unique(lengths).tolist()
        if steps < shape.steps
    }
    return scores, stride


def _table(scored: Sequence[_Scored], classifier_weight: float) -> NormalOperation:
    """Combined scores of all windows, each standardised by its own level; and the typical level.

    Every recording counts alike, however long: recordings are exchangeable, their windows are not (Dunn,
    Wasserman and Ramdas 2022, Distribution-Free Prediction Sets for Two-Layer Hierarchical Models).
    """
    ordered, reached = _ordered([_combined(part, classifier_weight) for part in scored])
    count = min(MOST_SCORES, len(ordered))
    # The score below which each equal share of the weight lies.
    places = np.searchsorted(reached, (np.arange(count) + 0.5) / count - 1e-12)
    return NormalOperation(
        *_mean_levels(scored),
        [float(f"{score:.6g}") for score in ordered[places].tolist()],
        _effective([part.independent for part in scored]),
        [
            ShorterLevel(steps, _shorter_level(scored, steps, 0), _shorter_level(scored, steps, 1))
            for steps in scored[0].shorter
        ],
    )


def _shorter_level(scored: Sequence[_Scored], steps: int, which: int) -> Level:
    """What makes either score (0 the classifier's, 1 the reconstruction's) of windows of so many steps spread
    as that of the full windows whose ends they are: equal at the shares ALIKE_AT."""

    def quantiles(raw: Iterable[Floats]) -> list[float]:
        levels = [part.level[which] for part in scored]
        standard = [
            standardise_score(scores, np.array(level.mean), np.array(level.sd))
            for scores, level in zip(raw, levels, strict=True)
        ]
        ordered, reached = _ordered(standard)
        return [float(ordered[np.searchsorted(reached, share - 1e-12)]) for share in ALIKE_AT]

    full = quantiles((part.classifier, part.reconstruction)[which][:: part.stride] for part in scored)
    short = quantiles(part.shorter[steps][which] for part in scored)
    ratio = max(short[1] - short[0], 1e-3) / max(full[1] - full[0], 1e-3)
    return Level(short[0] - ratio * full[0], ratio)


def _ordered(parts: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Values of all recordings, ascending, and the share of the weight that is reached with each.

    parts: of each recording; all recordings weigh alike.
    """
    values = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in parts])
    order = np.argsort(values, kind="stable")
    return values[order], np.cumsum(weights[order]) / weights.sum()


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
