"""Traces: what a real collector is sent over OTLP/HTTP, and what log lines say of them."""

import gzip
import http.server
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from offnormal.client import Client, Window
from service.http.trace_context import SpanIds, ids_of
from tests.contract.app import CheckedClient, faulty, rows, running, settings_for, until
from tests.e2e.server import serving
from tests.plant import recording, to_csv

PARENT = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
TRACEPARENT = {"traceparent": f"00-{PARENT[0]}-{PARENT[1]}-01"}
STAGES = ["parse", "queue", "infer", "verdict", "encode"]


class Collector:
    """Takes OTLP over HTTP, as protobuf. spans: what came; resource: of whom it said it was."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resource: dict[str, Any] = {}

        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> Any:
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def values(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.sdk")
    collector = Collector()
    yield collector
    collector.close()


@contextmanager
def traced(store: Path, state: Path, collector: Collector) -> Iterator[CheckedClient]:
    """An app that sends its traces to the collector; they are all there when the block has ended."""
    with running(settings_for(store, state, tracing_endpoint=collector.endpoint)) as client:
        yield client


def test_request_is_a_span_and_each_stage_is_one_within_it(
    trained_store: Path, tmp_path: Path, collector: Collector
) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        client.post("/classify", json={"windows": [{"values": rows()}, {"values": faulty()}]})
    request = collector.named("POST /classify")
    assert request.kind == request.SPAN_KIND_SERVER
    assert request.parent_span_id == b""
    parts = [span for span in collector.spans if span.parent_span_id == request.span_id]
    assert [span.name for span in parts] == STAGES
    for span in parts:
        assert span.trace_id == request.trace_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    by_name = {span.name: span for span in parts}
    # One after the other, within what clocks of two kinds can tell.
    for earlier, later in pairwise(STAGES):
        assert by_name[earlier].end_time_unix_nano <= by_name[later].start_time_unix_nano + 2_000_000


def test_span_says_what_the_log_says_and_never_a_reading(
    trained_store: Path, tmp_path: Path, collector: Collector
) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        body = {"windows": [{"values": rows()}, {"values": faulty()}]}
        answer = client.post("/classify", json=body, headers={"X-Request-Id": "mine"})
    told = values(collector.named("POST /classify").attributes)
    assert told == {
        "http.request.method": "POST",
        "http.route": "/classify",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/classify",
        "offnormal.request_id": "mine",
        "offnormal.model.name": "tiny",
        "offnormal.model.version": 2,
        "offnormal.windows": 2,
        "offnormal.verdicts.normal": 1,
        "offnormal.verdicts.anomalous": 1,
    }
    assert answer.json()["model"]["version"] == told["offnormal.model.version"]
    assert collector.resource["service.name"] == "offnormal"
    assert collector.resource["service.version"]


def test_trace_of_the_caller_goes_on(trained_store: Path, tmp_path: Path, collector: Collector) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        client.post("/classify", json={"window": rows()}, headers=TRACEPARENT)
    request = collector.named("POST /classify")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == PARENT


def test_caller_who_does_not_sample_is_heeded(
    trained_store: Path, tmp_path: Path, collector: Collector
) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        unsampled = {"traceparent": TRACEPARENT["traceparent"][:-2] + "00"}
        assert client.post("/classify", json={"window": rows()}, headers=unsampled).status_code == 200
    assert [span for span in collector.spans if span.trace_id.hex() == PARENT[0]] == []


def test_refusal_is_told_with_its_code(trained_store: Path, tmp_path: Path, collector: Collector) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        client.post("/classify", json={"window": []})
        client.get("/models/other")
        client.get("/nowhere")
    short, unknown = collector.named("POST /classify"), collector.named("GET /models/{name}")
    assert values(short.attributes)["error.type"] == "window_too_short"
    assert values(short.attributes)["http.response.status_code"] == 422
    assert short.status.code == short.status.STATUS_CODE_UNSET  # the caller's fault, not the service's
    assert values(unknown.attributes)["error.type"] == "model_not_found"
    assert values(collector.named("GET unmatched").attributes)["error.type"] == "not_found"


def test_defect_of_the_service_is_an_error(trained_store: Path, tmp_path: Path, collector: Collector) -> None:
    from tests.contract.app import gated

    broken = threading.Event()

    def gate(_: Any) -> None:
        if broken.is_set():
            raise RuntimeError("on purpose")

    settings = settings_for(trained_store, tmp_path, tracing_endpoint=collector.endpoint)
    with running(settings, gated(gate)) as client:
        broken.set()
        assert client.post("/classify", json={"window": rows()}).status_code == 500
        broken.clear()
    span = collector.named("POST /classify")
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert values(span.attributes)["error.type"] == "internal_error"


def test_file_is_traced_by_its_stages_too(trained_store: Path, tmp_path: Path, collector: Collector) -> None:
    with traced(trained_store, tmp_path, collector) as client:
        client.post("/classify", content=to_csv(recording("run", 30)), headers={"Content-Type": "text/csv"})
    request = collector.named("POST /classify")
    assert [span.name for span in collector.spans if span.parent_span_id == request.span_id] == STAGES
    assert values(request.attributes)["offnormal.windows"] == 27


def test_name_of_the_service_is_that_of_opentelemetrys_own_variable(
    trained_store: Path, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "line-4")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=plant")
    with traced(trained_store, tmp_path, collector) as client:
        client.get("/livez")
    assert collector.resource["service.name"] == "line-4"
    assert collector.resource["deployment.environment.name"] == "plant"


def requests_logged(lines: list[str], route: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines]
    return [line for line in found if line.get("route") == route]


def test_client_service_log_and_collector_tell_of_one_trace(
    trained_store: Path, tmp_path: Path, collector: Collector
) -> None:
    """The Python client within a span of its own, a real process, its log, a real collector."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import format_trace_id

    variables = {"OFFNORMAL_TRACING_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(trained_store, tmp_path, **variables) as server:
        tracer = TracerProvider().get_tracer("plant")
        with tracer.start_as_current_span("script") as script, Client(server.url) as client:
            client.classify([Window(values=rows())])
        until(lambda: any(span.name == "POST /classify" for span in collector.spans))
        span = collector.named("POST /classify")
        ids = script.get_span_context()
        assert span.trace_id.hex() == format_trace_id(ids.trace_id)
        assert span.parent_span_id == ids.span_id.to_bytes(8)
        until(lambda: bool(requests_logged(server.out, "/classify")))
        (line,) = requests_logged(server.out, "/classify")
        assert (line["trace_id"], line["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
        assert server.stop() == 0


def test_collector_that_is_not_there_costs_no_answer_and_no_endless_stop(
    trained_store: Path, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.sdk")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/v1/traces"
    variables = {"OFFNORMAL_TRACING_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(trained_store, tmp_path, OFFNORMAL_DRAIN_S="0", **variables) as server:
        assert httpx.post(f"{server.url}/classify", json={"window": rows()}).status_code == 200
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 9
        for line in server.out:
            json.loads(line)


def test_lines_name_the_callers_span_where_no_traces_are_made(
    onnx_client: CheckedClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "service.requests"):
        onnx_client.post("/classify", json={"window": rows()}, headers=TRACEPARENT)
        onnx_client.post("/classify", json={"window": rows()})
    first, second = (record.fields for record in caplog.records if record.name == "service.requests")  # type: ignore[attr-defined]
    assert (first["trace_id"], first["span_id"]) == PARENT
    assert not {"trace_id", "span_id"} & second.keys()


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (TRACEPARENT["traceparent"], SpanIds(*PARENT)),
        (f"01-{PARENT[0]}-{PARENT[1]}-01-of-a-later-version", SpanIds(*PARENT)),
        (f"ff-{PARENT[0]}-{PARENT[1]}-01", None),
        (f"00-{'0' * 32}-{PARENT[1]}-01", None),
        (f"00-{PARENT[0]}-{'0' * 16}-01", None),
        (f"00-{PARENT[0].upper()}-{PARENT[1]}-01", None),
        (f"00-{PARENT[0]}", None),
        ("", None),
        ('00-"}\n', None),
    ],
    ids=[
        "whole",
        "later version",
        "version ff",
        "no trace",
        "no span",
        "capitals",
        "cut",
        "empty",
        "hostile",
    ],
)
def test_context_is_read_as_w3c_writes_it(given: str, ids: SpanIds | None) -> None:
    assert ids_of({"headers": [(b"host", b"plant"), (b"traceparent", given.encode())]}) == ids


def test_sdk_of_opentelemetry_is_not_loaded_by_a_service_that_makes_no_traces() -> None:
    code = (
        "import sys; from service.app import create_app; from service.settings import Settings; "
        "create_app(Settings()); print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_service_that_lacks_the_extra_says_so_and_does_not_start(
    monkeypatch: pytest.MonkeyPatch, trained_store: Path, tmp_path: Path
) -> None:
    from service.app import create_app
    from service.errors import TracingUnavailable

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = settings_for(trained_store, tmp_path, tracing_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(TracingUnavailable, match=r"offnormal\[otel\]"):
        create_app(settings)
