"""What the service tells Prometheus. The registry belongs to the app, not to the process."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from detector import Detector, Scores, Verdict, Window
from detector.runtime import Outputs
from detector.windows import Batch

# Weight of one window in the moving average of an input's drift: half of it is gone after 693 windows.
DRIFT_WEIGHT = 0.001
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_SECONDS = (0.0001, 0.00025, *_SECONDS)
_PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_P_VALUES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_MODEL = ("model", "version")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class Metrics:
    """All metrics of one app."""

    def __init__(self) -> None:
        # A creation time beside every counter and bucket would double the series and tell nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(f"offnormal_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"offnormal_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(f"offnormal_{name}", text, labels, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests answered.", ("route", "method", "status"))
        self.request_seconds = histogram(
            "request_duration_seconds", "From the first byte to the last.", ("route",), _SECONDS
        )
        self.stage_seconds = histogram(
            "stage_duration_seconds",
            "Parts of classifying one request: parse, queue, infer, verdict, encode.",
            ("stage",),
            _STAGE_SECONDS,
        )
        self.rejected = counter("rejected_requests", "Requests refused, by the problem's code.", ("code",))
        self.rejected_windows = counter(
            "rejected_windows", "Windows refused in requests that were answered, by code.", ("code",)
        )
        self.verdicts = counter("verdicts", "Windows judged.", (*_MODEL, "verdict"))
        self.probability = histogram(
            "anomalous_probability", "Probability of any class but normal.", _MODEL, _PROBABILITIES
        )
        self.error = histogram(
            "reconstruction_error", "Mean squared error, standard deviations squared.", _MODEL, _ERRORS
        )
        self.p_value = histogram("p_value", "Conformal p-value.", _MODEL, _P_VALUES)
        self.sensor_error = counter(
            "sensor_error",
            "Sum over windows of a sensor's mean squared error; divide by offnormal_sensor_windows_total.",
            (*_MODEL, "sensor"),
        )
        self.sensor_windows = counter(
            "sensor_windows", "Windows in which a sensor was scored.", (*_MODEL, "sensor")
        )
        self.missing = counter("missing_readings", "Readings that were missing.", (*_MODEL, "sensor"))
        self.out_of_range = counter(
            "out_of_range_readings", "Readings far outside the training data.", (*_MODEL, "sensor")
        )
        self.drift = gauge(
            "input_drift",
            "Moving average of a sensor's standardised mean: 0 where it is as in training or commissioning.",
            (*_MODEL, "sensor"),
        )
        self.batch_size = histogram("batch_windows", "Windows run at once.", _MODEL, _BATCHES)
        self.queue = gauge("queue_windows", "Windows that wait for the model.", _MODEL)
        self.model_info = gauge(
            "model_info", "1 for each model that is loaded.", (*_MODEL, "sha256", "runtime")
        )
        self.model_created = gauge(
            "model_created_timestamp_seconds",
            "When the model was trained; time() less this is its age.",
            _MODEL,
        )
        self.refused = gauge("refused_artefacts", "Versions in the store that were refused.")
        self.baselines = gauge("asset_baselines", "Assets with a baseline of their own.")
        self.ready = gauge("ready", "1 while the default model answers.")

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)


class ModelMetrics:
    """The metrics of one model, its labels looked up once."""

    def __init__(self, metrics: Metrics, detector: Detector) -> None:
        manifest = detector.manifest
        labels = (manifest.name, str(manifest.version))
        self._probability = metrics.probability.labels(*labels)
        self._error = metrics.error.labels(*labels)
        self._p_value = metrics.p_value.labels(*labels)
        self._batch_size = metrics.batch_size.labels(*labels)
        self._verdicts = {
            name: metrics.verdicts.labels(*labels, name) for name in ("normal", "anomalous", "cannot_judge")
        }
        names = manifest.sensor_names
        self._sensor_error = [metrics.sensor_error.labels(*labels, name) for name in names]
        self._sensor_windows = [metrics.sensor_windows.labels(*labels, name) for name in names]
        self._missing = [metrics.missing.labels(*labels, name) for name in names]
        self._out_of_range = [metrics.out_of_range.labels(*labels, name) for name in names]
        self._drift = [metrics.drift.labels(*labels, name) for name in names]
        self._drift_now = np.zeros(len(names))
        self.queue = metrics.queue.labels(*labels)
        created = datetime.fromisoformat(manifest.created)
        metrics.model_created.labels(*labels).set(created.timestamp())
        metrics.model_info.labels(*labels, detector.artefact.sha256, detector.runtime.name).set(1)
        low = np.array([sensor.quantiles[0] for sensor in manifest.sensors])
        high = np.array([sensor.quantiles[-1] for sensor in manifest.sensors])
        margin = np.maximum(high - low, 3 * manifest.scale)
        self._low = (low - margin - manifest.center) / manifest.scale
        self._high = (high + margin - manifest.center) / manifest.scale

    def verdicts(self, verdicts: Sequence[Verdict]) -> dict[str, int]:
        """Count them. Returns how many of each kind."""
        counts: dict[str, int] = {}
        for verdict in verdicts:
            name = verdict.ruling.value
            counts[name] = counts.get(name, 0) + 1
            if verdict.probabilities is not None:
                self._probability.observe(1.0 - verdict.probabilities[0])
            if verdict.reconstruction_error is not None:
                self._error.observe(verdict.reconstruction_error)
            if verdict.p_value is not None:
                self._p_value.observe(verdict.p_value)
        for name, count in counts.items():
            self._verdicts[name].inc(count)
        return counts

    def batch(self, windows: Sequence[Window], batch: Batch, outputs: Outputs, scores: Scores) -> None:
        """What one batch says of the sensors. Called in the worker's thread, after the answers are out."""
        self._batch_size.observe(len(windows))
        errors = scores.sensor_errors
        scored = np.isfinite(errors).sum(axis=0)
        total = np.nansum(np.where(np.isfinite(errors), errors, 0.0), axis=0)
        missing = np.sum([np.isnan(window.values).sum(axis=0) for window in windows], axis=0)
        seen = batch.observed
        outside = (seen & ((outputs.standardised < self._low) | (outputs.standardised > self._high))).sum(
            axis=(0, 1)
        )
        readings = seen.sum(axis=(0, 1))
        mean = np.where(seen, outputs.standardised, 0.0).sum(axis=(0, 1)) / np.maximum(readings, 1)
        weight = np.where(readings > 0, 1.0 - (1.0 - DRIFT_WEIGHT) ** len(windows), 0.0)
        self._drift_now += weight * (mean - self._drift_now)
        for index, sensor_windows in enumerate(self._sensor_windows):
            sensor_windows.inc(float(scored[index]))
            self._sensor_error[index].inc(float(total[index]))
            self._missing[index].inc(float(missing[index]))
            self._out_of_range[index].inc(float(outside[index]))
            self._drift[index].set(float(self._drift_now[index]))
