"""What a simulated plant tells Prometheus: the truth, and how the service answered."""

from collections.abc import Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from history.schedule import Episode

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
VERDICTS = ("normal", "anomalous", "cannot_judge")
# Label for a request that got no answer at all.
UNREACHABLE = "unreachable"


class PlantMetrics:
    """All metrics of one plant, in a registry of their own."""

    def __init__(self, assets: Sequence[str], kinds: Sequence[str]) -> None:
        """assets, kinds: all that there will be, so that every series is there from the beginning."""
        # A creation time beside every counter and bucket would double the series and tell nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._kinds = tuple(kinds)

        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(f"offnormal_plant_{name}", text, ("asset", label), registry=self.registry)

        self._fault = Gauge(
            "offnormal_plant_fault_active",
            "1 while the simulated machine really has this fault.",
            ("asset", "fault"),
            registry=self.registry,
        )
        self._anomalous = Gauge(
            "offnormal_plant_anomalous",
            "1 while the simulated machine really has any fault.",
            ("asset",),
            registry=self.registry,
        )
        self._requests = counter("requests", "Windows sent to /classify, by the status answered.", "status")
        self._retries = counter("retries", "Requests that have to be sent again, by the reason.", "reason")
        self._windows = counter("windows", "Windows judged by the service, by verdict.", "verdict")
        self._seconds = Histogram(
            "offnormal_plant_request_duration_seconds",
            "From sending a window to its answer, as the plant sees it.",
            ("asset",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        for asset in assets:
            self.truth(asset, None)
            self._requests.labels(asset, "200")
            self._retries.labels(asset, UNREACHABLE)
            self._seconds.labels(asset)
            for verdict in VERDICTS:
                self._windows.labels(asset, verdict)

    def serve(self, host: str, port: int) -> tuple[WSGIServer, int]:
        """Answer /metrics in a thread of its own. port: 0 takes a free one. Returns server and port."""
        server, _ = start_http_server(port, host, self.registry)
        return server, server.server_port

    def truth(self, asset: str, fault: Episode | None) -> None:
        """What the machine's newest reading shows."""
        for kind in self._kinds:
            self._fault.labels(asset, kind).set(fault is not None and fault.kind == kind)
        self._anomalous.labels(asset).set(fault is not None)

    def request(self, asset: str, status: str, seconds: float) -> None:
        """One attempt to have a window judged. status: of the answer, or UNREACHABLE."""
        self._requests.labels(asset, status).inc()
        self._seconds.labels(asset).observe(seconds)

    def retry(self, asset: str, reason: str) -> None:
        self._retries.labels(asset, reason).inc()

    def verdict(self, asset: str, verdict: str) -> None:
        self._windows.labels(asset, verdict).inc()
