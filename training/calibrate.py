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
from training.dataset import NORMAL, Experiment
from training.errors import NotEnoughData
from training.held_out import HeldOut, commission_recordings, cut_windows, to_commission
from training.operation import SPREAD_FLOOR, mean_and_sd
from training.probability import Cases, fit_probabilities, gather
from training.recipe import Recipe
from training.rehearsal import Network, Rehearsal

# The stored table of normal scores: enough to resolve one false alarm in a thousand windows.
MOST_SCORES = 2000
DEFAULT_FALSE_ALARM_RATE = 0.05

# Lengths below a full window's that levels are measured at, and windows of one recording that are enough.
SHORTER_LENGTHS, MOST_SHORTENED = 3, 300
# Windows that a network learnt from, enough for their levels.
MOST_LEARNT = 4000
# Shares of normal windows that score below where short and full ones are made alike: half of them, and so
# many that budgets of some percent lie near.
ALIKE_AT = (0.5, 0.9)

# Of the classifier's and of the reconstruction's raw score.
_Levels = tuple[Level, Level]


@dataclass(frozen=True, slots=True)
class _Scored:
    """Raw scores of the normal windows of one recording.

    classifier, reconstruction: (windows,). level: by which both are standardised.
    independent: how many of the windows share no step. shorter: by steps, both raw scores of the newest steps
    of every `stride`-th window.
    """

    classifier: Floats
    reconstruction: Floats
    level: _Levels
    independent: int
    shorter: dict[int, tuple[Floats, Floats]]
    stride: int


@dataclass(frozen=True, slots=True)
class _Usual:
    """Of normal windows that a network learnt from: their scores by the model's baseline, and their levels by
    those of assets; None where none has one."""

    by_model: list[_Scored]
    by_asset: _Levels | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """errors: (windows, sensors), of normal windows. by_model, by_asset: their scores by either baseline.

    learnt: levels on what the network learnt from; None where it is the final one that was heard.
    """

    errors: Floats
    by_model: list[_Scored]
    by_asset: list[_Scored]
    cases: Cases
    learnt: _Usual | None


def calibrate(
    draft: Manifest,
    final: Network,
    rehearsals: Iterable[Rehearsal],
    recipe: Recipe,
    held_out: str,
) -> tuple[Manifest, Operation]:
    """The manifest with its calibration, typical errors and default budget filled in, and the operation with
    its errors.

    draft: everything else already right. final: what is to be calibrated. rehearsals: of it alone, or of its
    stand-ins, which together have learnt from the recordings that it has learnt from.
    held_out: what the normal windows come from, in words.
    Raises NotEnoughData when they hold no window of normal operation.
    """
    per_asset = draft.recipe["baseline"] == "asset"
    rng = np.random.default_rng([recipe.seed, 3])
    heard = [part for r in rehearsals if (part := _hear(r, draft, recipe, rng, final)) is not None]
    if not heard:
        raise NotEnoughData(
            f"no window of {recipe.window_steps} normal steps is left to calibrate on: give more recordings"
            " of normal operation, or lower baseline_rows or window_steps"
        )
    weight = draft.calibration.classifier_weight
    by_model = _table([scored for part in heard for scored in part.by_model], weight)
    of_assets = [scored for part in heard for scored in part.by_asset]
    by_asset = _table(of_assets, weight) if of_assets else None
    errors = np.concatenate([part.errors for part in heard])
    draft, operation = _with_typical(draft, errors), _with_errors(final.operation, errors)
    if any(part.learnt is not None for part in heard):
        learnt = _on_what_it_learnt(replace(final, operation=operation), draft, recipe, shorter=True)
        if learnt is not None:
            by_model, by_asset = _carried_over(by_model, by_asset, heard, learnt)
    serving = by_asset if per_asset and by_asset is not None else by_model
    calibration = msgspec.structs.replace(
        draft.calibration,
        probability=fit_probabilities([part.cases for part in heard]),
        model_baseline=by_model,
        asset_baseline=by_asset,
        held_out=held_out,
    )
    manifest = msgspec.structs.replace(
        draft,
        calibration=calibration,
        default_false_alarm_rate=recipe.default_false_alarm_rate
        or max(DEFAULT_FALSE_ALARM_RATE, serving.smallest_false_alarm_rate),
    )
    return manifest, operation


def _hear(
    rehearsal: Rehearsal, draft: Manifest, recipe: Recipe, rng: np.random.Generator, final: Network
) -> _Heard | None:
    """What one network says of the recordings that it has not seen; None without a normal window of them."""
    network, most = rehearsal.network, rehearsal.most_of_each
    cuts = _cut(rehearsal.held_out, draft, recipe, most)
    if not any((cut.state == NORMAL).any() for cut in cuts):
        return None
    errors = _errors(_detector(draft, network), cuts)
    draft = _with_typical(draft, errors)
    network = replace(network, operation=_with_errors(network.operation, errors))
    learnt = None if rehearsal.network is final else _on_what_it_learnt(network, draft, recipe, shorter=False)
    by_model = _by_model(_detector(draft, network), cuts)
    # Commissioning bounds an asset's level by the model's own: that of the same network.
    draft = _with_levels(draft, _mean_levels(by_model))
    detector = _detector(draft, network)
    commissioned = commission_recordings(detector, rehearsal.held_out, recipe, most)
    by_asset = _by_asset(detector, commissioned)
    if by_asset:
        draft = _with_levels(draft, _mean_levels(by_asset))
    judged = commissioned if draft.recipe["baseline"] == "asset" and commissioned else cuts
    cases = gather(_detector(draft, network), judged, recipe.fault_size, rng)
    return _Heard(errors, by_model, by_asset, cases, learnt)


def _detector(manifest: Manifest, network: Network) -> Detector:
    return Detector(Artefact(Path(), manifest, ""), network.runtime, network.operation)


def _cut(
    experiments: Sequence[Experiment], draft: Manifest, recipe: Recipe, most_of_each: int
) -> list[HeldOut]:
    per_asset = draft.recipe["baseline"] == "asset"
    return [
        cut_windows(each, recipe, to_commission(each, recipe) if per_asset else 0, most_of_each)
        for each in experiments
    ]


def _on_what_it_learnt(network: Network, draft: Manifest, recipe: Recipe, *, shorter: bool) -> _Usual | None:
    """None where it learnt from no window that could be judged so, all being of rows to commission from.

    shorter: whether short windows are scored, too, which only those of the final network need be.
    """
    most_of_each = max(1, MOST_LEARNT // len(network.learnt))
    cuts = [cut for cut in _cut(network.learnt, draft, recipe, most_of_each) if cut.normal]
    if not cuts:
        return None
    by_model = _by_model(_detector(draft, network), cuts, shorter)
    detector = _detector(_with_levels(draft, _mean_levels(by_model)), network)
    commissioned = commission_recordings(detector, network.learnt, recipe, most_of_each)
    known = [levels for cut in commissioned if (levels := _own(cut)) is not None]
    return _Usual(by_model, _mean(known) if known else None)


def _carried_over(
    by_model: NormalOperation,
    by_asset: NormalOperation | None,
    heard: Sequence[_Heard],
    learnt: _Usual,
) -> tuple[NormalOperation, NormalOperation | None]:
    """Tables of stand-ins, with the levels that the final network has on what it has not learnt from.

    It knows normal operation better than stand-ins, which learn less, from fewer recordings: by their levels
    all windows would look calm, and alarm limits would be too high. learnt: its levels on what it has learnt
    from. To these comes by how much those of the stand-ins rise on what is new to them; but only a share, as
    this optimism falls with what is learnt from (Efron 1986, How Biased Is the Apparent Error Rate of a
    Prediction Rule?): with two stand-ins half as much for twice the recordings.
    """
    share = 1.0 - 1.0 / max(len(heard), 2)

    def carried(
        table: NormalOperation, own: _Levels, pairs: Sequence[tuple[_Levels, _Levels]]
    ) -> NormalOperation:
        classifier, reconstruction = (
            _beyond(own[which], [(new[which], old[which]) for new, old in pairs], share) for which in (0, 1)
        )
        return msgspec.structs.replace(table, classifier=classifier, reconstruction=reconstruction)

    pairs = [
        (_mean_levels(part.by_model), _mean_levels(part.learnt.by_model))
        for part in heard
        if part.learnt is not None
    ]
    by_model = carried(by_model, _mean_levels(learnt.by_model), pairs)
    # By how much short windows look stranger than full ones is no matter of what was learnt.
    by_model = msgspec.structs.replace(by_model, shorter=_shorter_levels(learnt.by_model))
    of_assets = [
        (_mean_levels(part.by_asset), part.learnt.by_asset)
        for part in heard
        if part.by_asset and part.learnt is not None and part.learnt.by_asset is not None
    ]
    if by_asset is not None and learnt.by_asset is not None and of_assets:
        by_asset = carried(by_asset, learnt.by_asset, of_assets)
    return by_model, by_asset


def _beyond(learnt: Level, stand_ins: Sequence[tuple[Level, Level]], share: float) -> Level:
    """A level on what is new, from that on what was learnt. stand_ins: theirs on what is new and on what was
    learnt."""
    rise = np.mean([new.mean - old.mean for new, old in stand_ins])
    wider = np.mean([np.log(new.sd / old.sd) for new, old in stand_ins])
    return Level(float(learnt.mean + share * rise), float(learnt.sd * np.exp(share * wider)))


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


def _with_levels(draft: Manifest, levels: _Levels) -> Manifest:
    """The manifest with these levels, so that a detector standardises scores by them."""
    normal = NormalOperation(*levels, [0.0], 1)
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


def _by_model(detector: Detector, cuts: Sequence[HeldOut], shorter: bool = True) -> list[_Scored]:
    cuts = [cut for cut in cuts if cut.normal]
    raw = [detector.raw_scores([Window(w) for w in cut.normal]) for cut in cuts]
    level = (
        _level(np.concatenate([classifier for classifier, _ in raw])),
        _level(np.concatenate([reconstruction for _, reconstruction in raw])),
    )
    return [
        _Scored(
            *scores, level, cut.independent, *(_shorter(detector, cut.normal, None) if shorter else ({}, 1))
        )
        for scores, cut in zip(raw, cuts, strict=True)
    ]


def _by_asset(detector: Detector, commissioned: Sequence[HeldOut]) -> list[_Scored]:
    scored = []
    for cut in commissioned:
        level = _own(cut)
        if level is not None:
            raw = detector.raw_scores([Window(w, cut.baseline) for w in cut.normal])
            shorter = _shorter(detector, cut.normal, cut.baseline)
            scored.append(_Scored(*raw, level, cut.independent, *shorter))
    return scored


def _own(cut: HeldOut) -> _Levels | None:
    """Levels of its asset, where they are known."""
    own = cut.baseline
    if own is None or own.classifier is None or own.reconstruction is None:
        return None
    return own.classifier, own.reconstruction


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
        _shorter_levels(scored),
    )


def _shorter_levels(scored: Sequence[_Scored]) -> list[ShorterLevel]:
    return [
        ShorterLevel(steps, _shorter_level(scored, steps, 0), _shorter_level(scored, steps, 1))
        for steps in scored[0].shorter
    ]


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


def _mean_levels(scored: Sequence[_Scored]) -> _Levels:
    return _mean([part.level for part in scored])


def _mean(levels: Sequence[_Levels]) -> _Levels:
    classifier, reconstruction = (
        Level(
            float(np.mean([each[which].mean for each in levels])),
            float(np.mean([each[which].sd for each in levels])),
        )
        for which in (0, 1)
    )
    return classifier, reconstruction


def _level(raw: Floats) -> Level:
    return Level(float(raw.mean()), max(float(raw.std()), 1e-3))
