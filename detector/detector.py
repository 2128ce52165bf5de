"""A trained model in use: windows in, verdicts out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import Struct

from detector.artefact import Artefact, open_artefact, replay_golden
from detector.baseline import Baseline, commission
from detector.contributions import contributions, explain
from detector.errors import BaselineRefused, UnsupportedBudget
from detector.manifest import Level, Manifest
from detector.onnx_runtime import OnnxRuntime
from detector.operation import Operation
from detector.quality import Issue, Quality, QualityRules
from detector.runtime import OpenRuntime, Outputs, Runtime
from detector.scores import (
    classifier_score,
    combine,
    p_values,
    probabilities,
    reconstruction_error,
    reconstruction_score,
    sensor_errors,
    standardise_score,
    threshold,
)
from detector.standards import Baselines, Standards
from detector.statistics import levels, window_statistics
from detector.verdict import Contribution, DecidedBy, Ruling, Verdict
from detector.windows import Batch, Bools, Floats, Ints, segments, stack, window_ends, windows_ending_at

# Windows that are run at once where many are to be scored: enough to keep the processor busy, small
# enough for its cache.
BATCH_WINDOWS = 256
# Limits that are kept, by the alarm budgets that callers choose.
_MOST_LIMITS = 100


class Window(Struct, frozen=True):
    """One window to be judged.

    values: float64 (steps, sensors), engineering units, oldest first, NaN missing; at most the model's steps.
    baseline: of the asset, or None for the model's own.
    notes: what is already known to be wrong with it.
    """

    values: Floats
    baseline: Baseline | None = None
    notes: tuple[Issue, ...] = ()


class Options(Struct, frozen=True):
    """What the caller wants of a verdict. false_alarm_rate: None means the model's default."""

    explain: bool = False
    reconstruct: bool = False
    false_alarm_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of a batch of windows, before any decision. Arrays are by window.

    probabilities: (windows, classes), calibrated. error: reconstruction error. sensor_errors: (windows,
    sensors), NaN where not observed or left out. classifier, reconstruction: standardised scores, in
    deviations from the normal level. combined: the alarm score of both. p_value: of `combined`. NaN
    throughout for a window with nothing observed. batch, outputs: what the network was given and gave.
    sensor_levels: (windows, sensors), mean standardised readings, NaN where not observed or left out.
    steps: (windows,), of how many each window is worth, see `Operation.effective_steps`. quality: of the
    readings.
    """

    probabilities: Floats
    error: Floats
    sensor_errors: Floats
    classifier: Floats
    reconstruction: Floats
    combined: Floats
    p_value: Floats
    sensor_levels: Floats
    steps: Ints
    batch: Batch
    outputs: Outputs
    quality: list[Quality]


class _Raw(Struct, frozen=True):
    """Of a batch, before any level: as in `Scores`, but `classifier` and `reconstruction` raw."""

    sensor_errors: Floats
    sensor_levels: Floats
    steps: Ints
    classifier: Floats
    reconstruction: Floats


class Detector:
    """One version of a model, loaded. `score` is for one thread at a time; `verdict` for any."""

    def __init__(self, artefact: Artefact, runtime: Runtime, operation: Operation) -> None:
        manifest = artefact.manifest
        self.artefact = artefact
        self.runtime = runtime
        self.operation = operation
        self.manifest: Manifest = manifest
        self.sensors = manifest.sensor_names
        self._baselines = Baselines(manifest)
        self._typical = np.array([sensor.typical_error for sensor in manifest.sensors])
        self._normal_scores = {
            by_asset: np.array(manifest.calibration.normal_operation(by_asset).scores)
            for by_asset in (False, True)
        }
        self._rules = QualityRules(manifest)
        self._limits: dict[tuple[float | None, bool], float] = {}

    @classmethod
    def load(cls, folder: Path, open_runtime: OpenRuntime = OnnxRuntime, threads: int = 1) -> "Detector":
        """Verify a model's folder, open its network and replay its golden windows.

        Raises ArtefactRefused, saying what is wrong with the folder.
        """
        artefact = open_artefact(folder)
        operation = Operation.load(folder, len(artefact.manifest.sensors))
        detector = cls(artefact, open_runtime(folder, threads=threads), operation)
        replay_golden(artefact, detector.runtime)
        return detector

    def score(self, windows: Sequence[Window]) -> Scores:
        """Run the network once over all windows, of mixed lengths and baselines."""
        return self.interpret(windows, *self.run(windows))

    def run(self, windows: Sequence[Window]) -> tuple[Batch, Outputs]:
        """The network's part of `score`."""
        batch = self._stack(windows)
        return batch, self.runtime.run(batch)

    def interpret(self, windows: Sequence[Window], batch: Batch, outputs: Outputs) -> Scores:
        """The numeric part of `score`: errors, probabilities, standardised scores and p-values."""
        standards = self._standards(windows)
        calibration = self.manifest.calibration
        raw = self._raw(batch, outputs)
        classifier_level, reconstruction_level = self._baselines.levels(standards, raw.steps)
        class_score = standardise_score(raw.classifier, *classifier_level)
        error_score = standardise_score(raw.reconstruction, *reconstruction_level)
        combined = combine(class_score, error_score, calibration.classifier_weight)
        return Scores(
            probabilities=probabilities(outputs.logits, error_score, combined, calibration.probability),
            error=reconstruction_error(raw.sensor_errors, batch.mask),
            sensor_errors=raw.sensor_errors,
            classifier=class_score,
            reconstruction=error_score,
            combined=combined,
            p_value=self._p_values(combined, standards.by_asset),
            sensor_levels=raw.sensor_levels,
            steps=raw.steps,
            batch=batch,
            outputs=outputs,
            quality=self._qualities(windows, batch, standards),
        )

    def evidence(self, scores: Scores, indices: Sequence[int]) -> Floats:
        """How strange each sensor of some windows of a scored batch is, (indices, sensors): see
        `Operation.evidence`."""
        some = list(indices)
        mask = None if scores.batch.mask is None else scores.batch.mask[some]
        readings, level = scores.outputs.standardised[some], scores.sensor_levels[some]
        rows = self.operation.rows
        return self.operation.evidence(
            window_statistics(readings, mask, level),
            scores.sensor_errors[some],
            scores.steps[some],
            None if rows is None else rows.disagreements(readings, mask, level),
        )

    def _raw(self, batch: Batch, outputs: Outputs) -> _Raw:
        mask, rows = batch.mask, self.operation.rows
        errors = sensor_errors(outputs.standardised, outputs.reconstruction, mask)
        sensor_levels = levels(outputs.standardised, mask)
        steps = batch.lengths if mask is None else self.operation.effective_steps(mask, batch.lengths)
        reconstruction = reconstruction_score(
            errors,
            self._typical,
            self.operation.distances(sensor_levels, steps),
            None if rows is None else rows.distances(outputs.standardised, mask, sensor_levels),
            scale=self.manifest.calibration.ratio_scale,
        )
        return _Raw(errors, sensor_levels, steps, classifier_score(outputs.logits), reconstruction)

    def verdict(self, window: Window, scores: Scores, index: int, options: Options = Options()) -> Verdict:
        """Decide on one window of a scored batch; `explain` adds contributions. Raises UnsupportedBudget."""
        baseline = window.baseline
        limit = self.score_limit(options.false_alarm_rate, by_asset=baseline is not None)
        quality = scores.quality[index]
        combined, reconstruction = scores.combined.item(index), scores.reconstruction.item(index)
        # A plant that shut down freezes most of its sensors, far from where they were. The head would take a
        # dead data link for the same: it sees that they do not move, the reconstruction only where they are.
        far = reconstruction >= limit
        judgeable = quality.judgeable or (quality.mostly_stuck and far and combined >= limit)
        if not judgeable or not math.isfinite(combined):
            return Verdict(
                Ruling.CANNOT_JUDGE, None, None, None, None, None, None, None, quality, baseline is not None
            )
        # A frozen sensor hides whatever it should show: the scores alone may take it for calm.
        stuck = quality.stuck and combined < limit
        return Verdict(
            ruling=Ruling.ANOMALOUS if stuck or combined >= limit else Ruling.NORMAL,
            decided_by=DecidedBy.STUCK_SENSOR
            if stuck
            else _decided_by(scores.classifier.item(index), reconstruction, limit),
            probabilities=tuple(scores.probabilities[index].tolist()),
            reconstruction_error=scores.error.item(index),
            score=combined,
            p_value=scores.p_value.item(index),
            contributions=None,
            expected=self._expected(scores, index, window) if options.reconstruct else None,
            quality=quality,
            by_asset_baseline=baseline is not None,
        )

    def contributions(self, scores: Scores, evidence: Floats) -> list[tuple[Contribution, ...]]:
        """Of each window of a scored batch, for `explain`. evidence: (windows, sensors), from `evidence`."""
        return contributions(evidence, scores.sensor_errors, self.sensors)

    def judge(self, windows: Sequence[Window], options: Options = Options()) -> list[Verdict]:
        """Score and decide on windows that share their options, in batches."""
        verdicts: list[Verdict] = []
        for part in in_batches(windows):
            scores = self.score(part)
            ruled = [self.verdict(w, scores, i, options) for i, w in enumerate(part)]
            if options.explain:
                told = self.contributions(scores, self.evidence(scores, range(len(part))))
                ruled = list(map(explain, ruled, told))
            verdicts += ruled
        return verdicts

    def score_limit(self, false_alarm_rate: float | None = None, *, by_asset: bool = False) -> float:
        """The combined score from which a window is anomalous.

        Raises UnsupportedBudget for a rate that was asked for and cannot be promised; the model's default
        gives way to the smallest that can.
        """
        key = false_alarm_rate, by_asset
        if (known := self._limits.get(key)) is not None:
            return known
        smallest = self.manifest.calibration.normal_operation(by_asset).smallest_false_alarm_rate
        rate = max(self.manifest.default_false_alarm_rate, smallest)
        if false_alarm_rate is not None:
            rate = false_alarm_rate
        if rate < smallest:
            raise UnsupportedBudget(rate, smallest)
        limit = threshold(self._normal_scores[by_asset], rate)
        if len(self._limits) < _MOST_LIMITS:
            self._limits[key] = limit
        return limit

    def commission(self, values: Floats, timestamps: Floats | None = None) -> Baseline:
        """The baseline of an asset from rows of its known-normal operation.

        values: float64 (rows, sensors), engineering units, NaN missing. timestamps: (rows,), seconds.
        Centre, scale and drift from the rows; the level of both scores from the model run over them.
        Raises BaselineRefused when there are too few rows, or no full run of them.
        """
        baseline = commission(values, self.manifest.center, self.manifest.asset_scale)
        shape = self.manifest.window
        runs = segments(timestamps, len(values), shape.period_s, shape.max_gap_periods)
        ends = window_ends(runs, shape.steps)
        if len(ends) == 0:
            raise BaselineRefused(f"no {shape.steps} consecutive rows without a gap")
        if self._baselines.left_out(baseline).all():
            raise BaselineRefused("every sensor drifts: the readings are not of steady operation")
        windows = [Window(w, baseline) for w in windows_ending_at(values, runs, ends, shape.steps)]
        raw = self.raw_scores(windows)
        normal = self.manifest.calibration.normal_operation(by_asset=True)
        return replace(
            baseline,
            classifier=level(raw[0], normal.classifier),
            reconstruction=level(raw[1], normal.reconstruction),
        )

    def raw_scores(self, windows: Sequence[Window]) -> tuple[Floats, Floats]:
        """Classifier and reconstruction score of each window, before they are standardised by any level."""
        raw = [self._raw(*self.run(part)) for part in in_batches(windows)]
        return (
            np.concatenate([part.classifier for part in raw]),
            np.concatenate([part.reconstruction for part in raw]),
        )

    def _standards(self, windows: Sequence[Window]) -> Standards:
        return self._baselines.of([window.baseline for window in windows])

    def _p_values(self, combined: Floats, by_asset: Bools | None) -> Floats:
        values = p_values(combined, self._normal_scores[False])
        if by_asset is None:
            return values
        return np.where(by_asset, p_values(combined, self._normal_scores[True]), values)

    def _qualities(self, windows: Sequence[Window], batch: Batch, standards: Standards) -> list[Quality]:
        return self._rules.inspect(
            [window.values for window in windows],
            standards.left_out,
            standards.shift,
            [window.notes for window in windows],
            batch.readings if batch.complete else None,
        )

    def _stack(self, windows: Sequence[Window]) -> Batch:
        """Pad, and hide the sensors that are left out."""
        arrays = [window.values for window in windows]
        standards = self._standards(windows)
        batch = stack(arrays, standards.center, standards.scale, max(map(len, arrays)))
        if standards.leaves_out:
            shown = ~standards.left_out[:, None, :]
            batch = replace(batch, observed=batch.observed & shown, complete=False)
        return batch

    def _expected(self, scores: Scores, index: int, window: Window) -> Floats:
        baselines, baseline = self._baselines, window.baseline
        given = scores.outputs.reconstruction[index, : len(window.values)].astype(np.float64)
        expected = given * baselines.scale(baseline) + baselines.center(baseline)
        return np.where(baselines.left_out(baseline), np.nan, expected)


def in_batches(windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
    """Windows in their order, BATCH_WINDOWS at a time."""
    for start in range(0, len(windows), BATCH_WINDOWS):
        yield windows[start : start + BATCH_WINDOWS]


def level(raw: Floats, model: Level) -> Level:
    """Level of a raw score over normal windows. The spread is never below half the model's: windows that
    share steps look calmer than they are."""
    raw = raw[np.isfinite(raw)]
    if len(raw) == 0:
        return model
    return Level(float(raw.mean()), max(float(raw.std()), 0.5 * model.sd))


def _decided_by(classifier: float, reconstruction: float, limit: float) -> DecidedBy:
    if classifier >= limit > reconstruction:
        return DecidedBy.CLASSIFIER
    if reconstruction >= limit > classifier:
        return DecidedBy.RECONSTRUCTION
    return DecidedBy.BOTH
