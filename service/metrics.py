"""What the service tells Prometheus. The registry belongs to the app, not to the process.

What grows with models, sensors or assets is a `Family` (service/exposition.py); the rest, a few hundred
series, is the client library's. What one model counts is in service/model_metrics.py.
"""

import threading
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from service.exposition import Family, HistogramFamily, Kind

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_SECONDS = (0.0001, 0.00025, *_SECONDS)
_PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
# Tenths throughout, so that a histogram can be seen to be level; finer where alarms are decided.
_P_VALUES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_SCORES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_MODEL = ("model", "version")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class Metrics:
    """All metrics of one app. most_assets: that get series of their own."""

    def __init__(self, release: str = "0", most_assets: int = 200) -> None:
        # A creation time beside every counter and bucket would double the series and tell nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._families: list[Family | HistogramFamily] = []
        self._rendering = threading.Lock()
        self._assets_left = most_assets

        def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(f"offnormal_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"offnormal_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(f"offnormal_{name}", text, labels, buckets=buckets, registry=registry)

        def many(name: str, kind: Kind, text: str, decimals: int = 0) -> Family:
            self._families.append(family := Family(f"offnormal_{name}", kind, text, decimals))
            return family

        def many_histograms(name: str, text: str, bounds: Sequence[float]) -> HistogramFamily:
            self._families.append(family := HistogramFamily(f"offnormal_{name}", text, bounds))
            return family

        gauge("build_info", "1, with the version of this service.", ("release",)).labels(release).set(1)
        self.ready = gauge("ready", "1 while the default model answers.")
        self.requests = counter("requests", "Requests answered.", ("route", "method", "status"))
        self.requests_in_progress = gauge("requests_in_progress", "Requests that are being answered.")
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
        self.body_bytes = gauge("body_bytes", "Bytes of the bodies that are in memory.")
        self.body_bytes_limit = gauge("body_bytes_limit", "Bytes of bodies beyond which requests get 429.")
        self.queue = gauge("queue_windows", "Windows that wait for the model.", _MODEL)
        self.queue_limit = gauge(
            "queue_windows_limit", "Windows waiting for one model beyond which requests get 429."
        )
        self.refused = gauge("refused_artefacts", "Versions in the store that were refused.")
        self.baselines = gauge("asset_baselines", "Assets with a baseline of their own.")

        self.model_info = many("model_info", "gauge", "1 for each model that is loaded.")
        self.model_created = many(
            "model_created_timestamp_seconds",
            "gauge",
            "When the model was trained; time() less this is its age.",
        )
        self.model_busy = many(
            "model_busy_seconds", "counter", "Time that the model's worker spent judging.", 6
        )
        self.batch_size = many_histograms("batch_windows", "Windows run at once.", _BATCHES)
        self.verdicts = many("verdicts", "counter", "Windows judged, by asset where one is named.")
        self.issues = many("quality_issues", "counter", "What was wrong with the readings of windows judged.")
        self.probability = many_histograms(
            "anomalous_probability", "Probability of any class but normal.", _PROBABILITIES
        )
        self.error = many_histograms(
            "reconstruction_error", "Mean squared error, standard deviations squared.", _ERRORS
        )
        self.p_value = many_histograms("p_value", "Conformal p-value.", _P_VALUES)
        self.score = many_histograms(
            "score", "Score that decides, in deviations from normal operation, by kind of baseline.", _SCORES
        )
        self.normal_score = many(
            "normal_score",
            "gauge",
            "Percentiles of the score over the held-out normal windows of training, by kind of baseline.",
            6,
        )
        self.score_limit = many(
            "score_limit",
            "gauge",
            "Score from which a window is anomalous at the default false-alarm rate.",
            6,
        )
        self.false_alarm_rate = many(
            "false_alarm_rate", "gauge", "Share of normal windows that may be called anomalous, as set.", 6
        )
        self.normal_error = many(
            "reconstruction_error_normal",
            "gauge",
            "Percentiles of the reconstruction error in normal operation, as if log-normal.",
            6,
        )

        self.asset_verdict = many(
            "asset_verdict", "gauge", "Newest verdict: 0 normal, 1 anomalous, 2 cannot_judge."
        )
        self.asset_run = many(
            "asset_anomalous_run",
            "gauge",
            "Anomalous windows since the last normal one; cannot_judge changes nothing.",
        )
        self.asset_probability = many(
            "asset_anomalous_probability", "gauge", "Newest probability of any class but normal.", 6
        )
        self.asset_error = many("asset_reconstruction_error", "gauge", "Newest reconstruction error.", 6)
        self.asset_normal_error = many(
            "asset_reconstruction_error_normal",
            "gauge",
            "Percentiles of the reconstruction error in the asset's normal operation, as if log-normal.",
            6,
        )
        self.asset_p_value = many("asset_p_value", "gauge", "Newest conformal p-value.", 6)
        self.asset_observed = many(
            "asset_observed_ratio", "gauge", "Share of the newest window's readings that were there.", 6
        )
        self.asset_last_window = many(
            "asset_last_window_timestamp_seconds", "gauge", "When the newest window was judged.", 3
        )
        self.blame = many(
            "sensor_blame",
            "counter",
            "Sum over anomalous windows of a sensor's share of the error; the sensors of a window share 1.",
            6,
        )

        self.sensor_error = many(
            "sensor_error",
            "counter",
            "Sum over windows of a sensor's mean squared error; divide by offnormal_sensor_windows_total.",
            6,
        )
        self.sensor_error_normal = many(
            "sensor_error_normal",
            "gauge",
            "Mean squared error of a sensor over the held-out normal windows of training.",
            6,
        )
        self.sensor_windows = many("sensor_windows", "counter", "Windows in which a sensor was scored.")
        self.missing = many("missing_readings", "counter", "Readings that were missing.")
        self.out_of_range = many(
            "out_of_range_readings", "counter", "Readings far outside the training data."
        )
        self.drift = many(
            "input_drift",
            "gauge",
            "Moving average of a sensor's standardised mean: 0 where it is as in training or commissioning.",
            6,
        )

    def described(self) -> list[tuple[str, str, str]]:
        """Name, kind and help of every metric of the service's own."""
        from_client = [
            (family.name + ("_total" if family.type == "counter" else ""), family.type, family.documentation)
            for family in self.registry.collect()
            if family.name.startswith("offnormal_")
        ]
        return from_client + [(family.name, family.kind, family.text) for family in self._families]

    def take_asset(self) -> bool:
        """Whether one more asset may have series of its own. For the event loop."""
        self._assets_left -= 1
        return self._assets_left >= 0

    def render(self) -> bytes:
        """Prometheus text format."""
        with self._rendering:
            return b"".join([generate_latest(self.registry), *(f.render() for f in self._families)])

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)
