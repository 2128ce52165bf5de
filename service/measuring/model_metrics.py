"""What one model, its assets and its sensors count."""

import math
import time
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist

import numpy as np

from detector import Baseline, Detector, Scores, Verdict, Window
from detector.contributions import shares
from detector.manifest import Level
from detector.quality import allowed_range
from detector.runtime import Outputs
from detector.statistics import sum_over_steps
from detector.verdict import Ruling
from detector.windows import Batch, Bools, Floats, Singles
from service.measuring.asset_metrics import AssetMetrics, NewestWindow, each
from service.measuring.metrics import Metrics

# Weight of one window in the moving average of an input's drift: half of it is gone after 693 windows.
DRIFT_WEIGHT = 0.001
# In place of the names of assets beyond those that have series of their own.
OTHER_ASSETS = "other"
_ISSUES = ("missing", "gaps", "flatline", "out_of_range", "drifting", "time_gap", "longer_than_model")
_SCORE_PERCENTILES = (5, 25, 50, 75, 95, 99)
_ERROR_PERCENTILES = (50, 99)
_BASELINES = {False: "model", True: "asset"}


class ModelMetrics:
    """The metrics of one model. `judged` is for the event loop, `batch` for the model's worker."""

    def __init__(self, metrics: Metrics, detector: Detector) -> None:
        manifest = detector.manifest
        self.labels = {"model": manifest.name, "version": str(manifest.version)}
        self._metrics = metrics
        self._sensors = manifest.sensor_names
        self._typical = np.array([sensor.typical_error for sensor in manifest.sensors])
        self._left_out = np.array([not sensor.scored for sensor in manifest.sensors])
        self._levels = {
            by_asset: manifest.calibration.normal_operation(by_asset).reconstruction
            for by_asset in (False, True)
        }
        self._probability = metrics.probability.add(self.labels)
        self._error = metrics.error.add(self.labels)
        self._p_value = metrics.p_value.add(self.labels)
        self._batch_size = metrics.batch_size.add(self.labels)
        self._scores = {
            by_asset: metrics.score.add({**self.labels, "baseline": kind})
            for by_asset, kind in _BASELINES.items()
        }
        self._issues = {issue: metrics.issues.add([{**self.labels, "issue": issue}]) for issue in _ISSUES}
        self._busy = metrics.model_busy.add([self.labels])
        self._queue = metrics.queue.add([self.labels])
        # Windows without an asset are counted from 0 on, so that the first of them is seen as an increase.
        self._assets: dict[str | None, AssetMetrics] = {
            None: AssetMetrics(metrics, self.labels, None, self._sensors)
        }
        self._newest: dict[str | None, NewestWindow] = {}
        by_sensor = each(self.labels, "sensor", self._sensors)
        self._sensor_error = metrics.sensor_error.add(by_sensor)
        self._sensor_windows = metrics.sensor_windows.add(by_sensor)
        self._missing = metrics.missing.add(by_sensor)
        self._out_of_range = metrics.out_of_range.add(by_sensor)
        self._drift = metrics.drift.add(by_sensor)
        metrics.sensor_error_normal.add(by_sensor)[:] = self._typical
        self._describe(detector)
        low, high = allowed_range(manifest)
        # Of standardised readings, (steps, sensors): compared row by row it would take twice as long.
        self._low, self._high = (
            np.tile(
                ((limit - manifest.center) / manifest.scale).astype(np.float32), (manifest.window.steps, 1)
            )
            for limit in (low, high)
        )

    def judged(
        self,
        windows: Sequence[Window],
        assets: Sequence[str | None],
        verdicts: Sequence[Verdict],
        evidence: Floats,
    ) -> dict[str, int]:
        """Count the windows of one request. Returns how many there are of each verdict.

        evidence: (windows, sensors), as in `Judged`.
        """
        counts: dict[str, int] = {}
        now = time.time()
        for index, verdict in enumerate(verdicts):
            ruling = verdict.ruling
            said = str(ruling)
            counts[said] = counts.get(said, 0) + 1
            if verdict.probabilities is not None:
                self._probability.observe(1.0 - verdict.probabilities[0])
            if verdict.reconstruction_error is not None:
                self._error.observe(verdict.reconstruction_error)
            if verdict.p_value is not None:
                self._p_value.observe(verdict.p_value)
            if verdict.score is not None:
                self._scores[verdict.by_asset_baseline].observe(verdict.score)
            for issue in verdict.quality.issues:
                self._issues[issue.issue][0] += 1
            asset = self._assets.get(assets[index]) or self._asset(assets[index])
            asset.judged(verdict)
            if ruling is Ruling.ANOMALOUS:
                asset.blamed(*shares(evidence[index : index + 1]))
        with self._metrics.lock:
            for window, name, verdict in zip(windows, assets, verdicts, strict=True):
                self._newest_of(name, window.baseline, verdict, now)
        return counts

    def waiting(self, windows: int) -> None:
        """So many wait for the model now."""
        self._queue[0] = windows

    def batch(
        self, windows: Sequence[Window], batch: Batch, outputs: Outputs, scores: Scores, seconds: float
    ) -> None:
        """What one batch says of the sensors. Called in the worker's thread, after the answers are out."""
        self._batch_size.observe(len(windows))
        self._busy += seconds
        count = len(windows)
        weight: Floats | float = 1.0 - (1.0 - DRIFT_WEIGHT) ** count
        if batch.mask is None:
            self._sensor_windows += count
            self._sensor_error += np.add.reduce(scores.sensor_errors, axis=0)
            mean = np.add.reduce(scores.sensor_levels, axis=0) / count
        else:
            scored = np.isfinite(scores.sensor_errors)
            self._sensor_windows += scored.sum(axis=0)
            self._sensor_error += np.where(scored, scores.sensor_errors, 0.0).sum(axis=0)
            self._missing += np.isnan(np.concatenate([window.values for window in windows])).sum(axis=0)
            readings = sum_over_steps(batch.mask)
            total = readings.sum(axis=0)
            mean = np.where(scored, scores.sensor_levels * readings, 0.0).sum(axis=0) / np.maximum(total, 1.0)
            weight = np.where(total > 0, weight, 0.0)
        if any(issue.issue == "out_of_range" for each in scores.quality for issue in each.issues):
            self._count_outside(outputs.standardised, batch.mask)
        with self._metrics.lock:
            self._drift += weight * (mean - self._drift)

    def _count_outside(self, standardised: Singles, mask: Bools | None) -> None:
        steps = standardised.shape[1]
        outside = (standardised < self._low[:steps]) | (standardised > self._high[:steps])
        if mask is not None:
            outside &= mask
        self._out_of_range += sum_over_steps(outside).sum(axis=0)

    def retire(self) -> None:
        """The model answers no more. What it counted stays."""
        self._info[:] = 0.0

    def normal_errors(self, baseline: Baseline | None) -> dict[int, float]:
        """Percentiles of the reconstruction error in normal operation, judged by a baseline.

        An estimate: the manifest and the baseline know the level of the reconstruction score, the log of the
        geometric mean of relative error and distance. That times the typical error, over the sensors that are
        judged, is the error itself where all sensors, and the distance with them, rise alike.
        """
        level: Level = self._levels[baseline is not None]
        left_out = self._left_out
        if baseline is not None:
            level = baseline.reconstruction or level
            left_out = left_out | baseline.left_out
        usual = float(self._typical[~left_out].mean()) if not left_out.all() else math.nan
        return {
            p: usual * math.exp(level.mean + level.sd * NormalDist().inv_cdf(p / 100))
            for p in _ERROR_PERCENTILES
        }

    def _asset(self, name: str | None) -> AssetMetrics:
        """The counters of an asset that is seen for the first time, or of all that are too many."""
        if not self._metrics.admit({**self.labels, "asset": name or ""}):
            name = OTHER_ASSETS
            if name in self._assets:
                return self._assets[name]
        else:
            self._newest[name] = NewestWindow(self._metrics, self.labels, name)
        self._assets[name] = AssetMetrics(self._metrics, self.labels, name, self._sensors)
        return self._assets[name]

    def _newest_of(self, name: str | None, baseline: Baseline | None, verdict: Verdict, now: float) -> None:
        if name is None and name not in self._newest:
            self._newest[name] = NewestWindow(self._metrics, self.labels, name)
        newest = self._newest.get(name)
        if newest is None:
            return
        newest.judged(verdict, now)
        if not newest.knows_normal_of(baseline):
            newest.set_normal_errors(baseline, self.normal_errors(baseline))

    def _describe(self, detector: Detector) -> None:
        """What does not change while the model is loaded."""
        metrics, manifest = self._metrics, detector.manifest
        told = {**self.labels, "sha256": detector.artefact.sha256, "runtime": detector.runtime.name}
        self._info = metrics.model_info.add([told])
        self._info[:] = 1.0
        metrics.model_created.add([self.labels], datetime.fromisoformat(manifest.created).timestamp())
        metrics.false_alarm_rate.add([self.labels], manifest.default_false_alarm_rate)
        for by_asset, kind in _BASELINES.items():
            of_kind = [
                {**labels, "baseline": kind}
                for labels in each(self.labels, "percentile", map(str, _SCORE_PERCENTILES))
            ]
            # Ascending: `np.percentile` would sort them, and import masked arrays for it.
            scores = manifest.calibration.normal_operation(by_asset).scores
            places = np.array(_SCORE_PERCENTILES) / 100.0 * (len(scores) - 1)
            metrics.normal_score.add(of_kind)[:] = np.interp(places, np.arange(len(scores)), scores)
            metrics.score_limit.add(
                [{**self.labels, "baseline": kind}], detector.score_limit(by_asset=by_asset)
            )
        normal = self.normal_errors(None)
        metrics.normal_error.add(each(self.labels, "percentile", map(str, normal)))[:] = [*normal.values()]
