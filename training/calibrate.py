"""What raw scores mean: typical errors, levels, p-values and temperature, from recordings kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from detector.artefact import Artefact
from detector.baseline import LEAST_ROWS, Baseline
from detector.detector import Detector, Window, in_batches
from detector.errors import BaselineRefused
from detector.manifest import Calibration, Level, Manifest, NormalOperation
from detector.runtime import Runtime
from detector.scores import combine, sensor_errors, standardise_score
from detector.windows import Floats, window_ends, windows_ending_at
from training.dataset import NORMAL, Experiment, wholly_normal
from training.errors import NotEnoughData
from training.recipe import Recipe
from training.sampling import inject

# Enough windows for every figure below; more only costs time.
MOST_WINDOWS = 6000
# The stored table of normal scores: enough to resolve one false alarm in a thousand windows.
MOST_SCORES = 2000
DEFAULT_FALSE_ALARM_RATE = 0.02


@dataclass(frozen=True, slots=True)
class _Cut:
    """Windows of one experiment and the state of the row at which each ends. NORMAL means wholly normal."""

    windows: list[Floats]
    state: NDArray[np.int64]
    independent: int


def calibrate(
    draft: Manifest,
    runtime: Runtime,
    folder: Path,
    experiments: Sequence[Experiment],
    recipe: Recipe,
    split_by: str,
) -> Manifest:
    """The manifest with its calibration, typical errors and default budget filled in.

    draft: everything else already right. experiments: disjoint from those trained on and reported on.
    Raises NotEnoughData when they hold no window of normal operation.
    """
    rng = np.random.default_rng([recipe.seed, 3])
    per_asset = draft.recipe["baseline"] == "asset"
    cuts = [_cut(e, recipe, skip=recipe.baseline_rows if per_asset else 0) for e in experiments]
    if not any((cut.state == NORMAL).any() for cut in cuts):
        raise NotEnoughData(
            f"no window of {recipe.window_steps} normal steps is left to calibrate on: give more recordings"
            " of normal operation, or lower baseline_rows or window_steps"
        )
    detector = Detector(Artefact(folder, draft, ""), runtime)
    typical = _typical_errors(detector, experiments, cuts)
    draft = msgspec.structs.replace(
        draft,
        sensors=[
            msgspec.structs.replace(sensor, typical_error=error)
            for sensor, error in zip(draft.sensors, typical.tolist(), strict=True)
        ],
    )
    detector = Detector(Artefact(folder, draft, ""), runtime)
    by_model = _by_model(detector, cuts)
    by_asset = _by_asset(detector, experiments, recipe)
    temperature, source, prior = _temperature(detector, experiments, cuts, rng)
    serving = by_asset if per_asset and by_asset is not None else by_model
    rate = recipe.default_false_alarm_rate or max(DEFAULT_FALSE_ALARM_RATE, serving.smallest_false_alarm_rate)
    held_out = (
        f"{len(experiments)} recordings that the network was not trained on"
        if split_by == "experiment"
        else "later stretches of the training recordings"
    )
    return msgspec.structs.replace(
        draft,
        calibration=Calibration(temperature, source, prior, by_model, by_asset, held_out),
        default_false_alarm_rate=rate,
    )


def empty_calibration() -> Calibration:
    """What a draft manifest holds before it is calibrated."""
    nothing = NormalOperation(Level(0.0, 1.0), Level(0.0, 1.0), [0.0], 1)
    return Calibration(1.0, "injected", 0.5, nothing, None, "")


def _cut(experiment: Experiment, recipe: Recipe, skip: int) -> _Cut:
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
    return _Cut(windows, state, int(clean.sum()) // steps)


def _normal(cut: _Cut) -> list[Floats]:
    return [w for w, state in zip(cut.windows, cut.state.tolist(), strict=True) if state == NORMAL]


def _typical_errors(detector: Detector, experiments: Sequence[Experiment], cuts: Sequence[_Cut]) -> Floats:
    """Mean squared error of each sensor over normal windows, (sensors,); never below a thousandth."""
    total = np.zeros(len(detector.sensors))
    count = np.zeros(len(detector.sensors))
    for experiment, cut in zip(experiments, cuts, strict=True):
        for part in in_batches([Window(w, experiment.baseline) for w in _normal(cut)]):
            batch, outputs = detector.run(part)
            errors = sensor_errors(outputs.standardised, outputs.reconstruction, batch.observed)
            total += np.nansum(errors, axis=0)
            count += np.isfinite(errors).sum(axis=0)
    return np.asarray(np.maximum(np.where(count > 0, total / np.maximum(count, 1), 1.0), 1e-3))


def _by_model(detector: Detector, cuts: Sequence[_Cut]) -> NormalOperation:
    windows = [Window(w) for cut in cuts for w in _normal(cut)]
    classifier, reconstruction = detector.raw_scores(windows)
    return _table(
        [(classifier, reconstruction)],
        [(_level(classifier), _level(reconstruction))],
        sum(cut.independent for cut in cuts),
    )


def _by_asset(
    detector: Detector, experiments: Sequence[Experiment], recipe: Recipe
) -> NormalOperation | None:
    """As a commissioned asset would be scored: baseline from its first rows, scores from the rest.

    None when no recording is long enough.
    """
    commissioned: list[tuple[Baseline, list[Floats], int]] = []
    for experiment in experiments:
        rows = np.flatnonzero(experiment.state == NORMAL)[: recipe.baseline_rows]
        cut = _cut(experiment, recipe, skip=recipe.baseline_rows)
        normal = _normal(cut)
        if len(rows) < LEAST_ROWS or not normal:
            continue
        stamps = experiment.recording.timestamps
        try:
            baseline = detector.commission(
                experiment.recording.values[rows], None if stamps is None else stamps[rows]
            )
        except BaselineRefused:
            continue
        commissioned.append((baseline, normal, cut.independent))
    if not commissioned:
        return None
    raw = [detector.raw_scores([Window(w, base) for w in windows]) for base, windows, _ in commissioned]
    levels = [(base.classifier, base.reconstruction) for base, _, _ in commissioned]
    return _table(
        raw, [(c, r) for c, r in levels if c and r], sum(independent for _, _, independent in commissioned)
    )


def _table(
    raw: Sequence[tuple[Floats, Floats]], levels: Sequence[tuple[Level, Level]], independent: int
) -> NormalOperation:
    """Combined scores of all windows, each standardised by its own level; and the typical level."""
    combined = np.sort(
        np.concatenate(
            [
                combine(
                    standardise_score(classifier, np.array(own[0].mean), np.array(own[0].sd)),
                    standardise_score(reconstruction, np.array(own[1].mean), np.array(own[1].sd)),
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


def _temperature(
    detector: Detector, experiments: Sequence[Experiment], cuts: Sequence[_Cut], rng: np.random.Generator
) -> tuple[float, str, float]:
    """Temperature that minimises the log loss; where the faults came from; their share.

    Recorded faults at the share in which they occur, else one injected fault for each normal window.
    """
    windows: list[Window] = []
    klass: list[int] = []
    recorded = any((cut.state > NORMAL).any() for cut in cuts)
    for experiment, cut in zip(experiments, cuts, strict=True):
        for values, state in zip(cut.windows, cut.state.tolist(), strict=True):
            windows.append(Window(values, experiment.baseline))
            klass.append(state)
            if not recorded:
                windows.append(
                    Window(_with_fault(detector, values, experiment.baseline, rng), experiment.baseline)
                )
                klass.append(len(detector.manifest.classes) - 1)
    picked = rng.permutation(len(windows))[:MOST_WINDOWS].tolist()
    logits = np.concatenate(
        [detector.run(part)[1].logits for part in in_batches([windows[i] for i in picked])]
    ).astype(np.float64)
    truth = np.array(klass)[picked]

    def log_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        peak = scaled.max(axis=1, keepdims=True)
        log_sum = peak[:, 0] + np.log(np.exp(scaled - peak).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(truth)), truth]).mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x)), "recorded" if recorded else "injected", float((truth != NORMAL).mean())


def _with_fault(
    detector: Detector, values: Floats, baseline: Baseline | None, rng: np.random.Generator
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
    inject(standardised, observed & judged, rng)
    return np.where(observed, standardised * scale + center, np.nan)
