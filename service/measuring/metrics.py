"""What the service tells Prometheus: all metrics of one app, over all of its workers.

What one model counts is in model_metrics.py, how it is added up and written in exposition.py, and where the
numbers are kept in ledger.py.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from detector.windows import Floats
from service.measuring.exposition import Buckets, Family, HistogramFamily, Kind
from service.measuring.ledger import Labels, Ledger
from service.measuring.process_metrics import ProcessMetrics

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_SECONDS = (0.0001, 0.00025, *_SECONDS)
_PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
# Tenths throughout, so that a histogram can be seen to be level; finer where alarms are decided.
_P_VALUES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_SCORES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_DIFFERENCES = (-10.0, -5.0, -2.0, -1.0, -0.5, -0.2, -0.1, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# On the common page, but told to nobody: which assets have series of their own.
_ADMITTED = "admitted"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


Cells = TypeVar("Cells", Floats, Buckets)


class Labelled(dict[str | tuple[str, ...], Cells], Generic[Cells]):
    """The series of a metric whose labels are known only when there is something to count: `metric[label]`,
    or `metric[label, label]`, in the order of `names`."""

    def __init__(self, names: Sequence[str], add: Callable[[Labels], Cells]) -> None:
        super().__init__()
        self._names = names
        self._add: Callable[[Labels], Cells] = add

    def __missing__(self, labels: str | tuple[str, ...]) -> Cells:
        values = (labels,) if isinstance(labels, str) else labels
        found = self[labels] = self._add(dict(zip(self._names, values, strict=True)))
        return found


class Metrics:
    """All metrics of one app. most_assets: that get series of their own, over all workers.

    `lock` is to be held where what stands on the ledger's common page is not merely set but moved on.
    """

    def __init__(self, release: str = "0", most_assets: int = 200, ledger: Ledger | None = None) -> None:
        self._ledger = ledger = ledger or Ledger()
        self.lock = ledger.lock
        self._families: list[Family | HistogramFamily] = []
        self._rendering = threading.Lock()
        self._most_assets = most_assets
        self._process = ProcessMetrics(ledger)

        def many(name: str, kind: Kind, text: str, decimals: int = 0, *, live: bool = False) -> Family:
            family = Family(f"offnormal_{name}", kind, text, decimals, ledger, live=live)
            self._families.append(family)
            return family

        def many_histograms(name: str, text: str, bounds: Sequence[float]) -> HistogramFamily:
            self._families.append(family := HistogramFamily(f"offnormal_{name}", text, bounds, ledger))
            return family

        def counter(name: str, text: str, labels: Sequence[str]) -> Labelled[Floats]:
            family = many(name, "counter", text)
            return Labelled(labels, lambda given: family.add([given]))

        def gauge(name: str, text: str, *, live: bool = False) -> Floats:
            return many(name, "gauge", text, live=live).add([{}])

        def histogram(
            name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
        ) -> Labelled[Buckets]:
            return Labelled(labels, many_histograms(name, text, bounds).add)

        many("build_info", "gauge", "1, with the version of this service.").add([{"release": release}], 1.0)
        self.ready = gauge("ready", "1 while the default model answers.")
        self.requests = counter("requests", "Requests answered.", ("route", "method", "status"))
        self.requests_in_progress = gauge(
            "requests_in_progress", "Requests that are being answered.", live=True
        )
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
        self.connections = gauge("connections", "Connections that are open.", live=True)
        self.given_up_connections = counter(
            "given_up_connections",
            "Connections closed because the client did not go on: slow_head, unread_answer.",
            ("reason",),
        )
        self.body_bytes = gauge("body_bytes", "Bytes of the bodies that are in memory.", live=True)
        self.body_bytes_limit = gauge(
            "body_bytes_limit", "Bytes of bodies beyond which requests get 429.", live=True
        )
        self.queue = many("queue_windows", "gauge", "Windows that wait for the model.", live=True)
        self.queue_limit = gauge(
            "queue_windows_limit", "Windows waiting for one model beyond which requests get 429.", live=True
        )
        self.refused = gauge("refused_artefacts", "Versions in the store that were refused.")
        self.model_changes = counter(
            "model_changes",
            "What became of models and versions, in each worker: loaded, refused, removed, switched; "
            "and of their networks: closed for want of memory, opened again.",
            ("change",),
        )
        live = many("live_version", "gauge", "Version that answers where none is named; 0 when none does.")
        self.live_version: Labelled[Floats] = Labelled(("model",), lambda given: live.add([given]))
        self.networks = gauge("networks", "Networks of models that are in memory.", live=True)
        self.network_bytes = gauge(
            "network_bytes", "What the networks in memory take at most, estimated.", live=True
        )
        self.network_bytes_limit = gauge(
            "network_bytes_limit",
            "Bytes of networks beyond which those used longest ago are closed.",
            live=True,
        )
        self.challenger_windows = counter(
            "challenger_windows",
            "Windows that a challenger judged too, by both verdicts.",
            ("model", "version", "challenger", "verdict", "challenger_verdict"),
        )
        self.challenger_difference = histogram(
            "challenger_score_difference",
            "Score of the challenger less that of the live version, in deviations from normal operation.",
            ("model", "version", "challenger"),
            _DIFFERENCES,
        )
        self.challenger_dropped = counter(
            "challenger_dropped_windows",
            "Windows that a challenger did not judge, because too many waited or they did not suit it.",
            ("model", "version", "challenger"),
        )
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
            "Sum over anomalous windows of a sensor's share of the evidence; those of one window sum to 1.",
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

    def model_changed(self, change: str, times: int = 1) -> None:
        """For any thread."""
        with self.lock:
            self.model_changes[change][0] += times

    def described(self) -> list[tuple[str, str, str]]:
        """Name, kind and help of every metric of the service's own."""
        return [(family.name, family.kind, family.text) for family in self._families]

    def admit(self, labels: Labels) -> bool:
        """Whether one more asset may have series of its own: any worker may have given it some already."""
        page = self._ledger.common
        with self.lock:
            page.refresh()
            if page.has(_ADMITTED, labels):
                return True
            if page.series[_ADMITTED] >= self._most_assets:
                return False
            page.add(_ADMITTED, [labels], start=1.0, width=1, live=False)
            return True

    def publish_process(self) -> None:
        """Tell the other workers what this process takes; a scrape that they answer has it from there."""
        with self._rendering:
            self._process.publish()

    def render(self) -> bytes:
        """Prometheus text format."""
        with self._rendering:
            self._ledger.refresh()
            return b"".join([self._process.render(), *(family.render() for family in self._families)])

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests[route, method if method in _METHODS else "other", str(status)][0] += 1
        self.request_seconds[route].observe(seconds)
