"""OpenTelemetry traces: a span for each request and one for each of its stages.

Only a service that is told where to send them imports OpenTelemetry's SDK (the extra `otel`) and does any of
this; whatever else can be set is set by OpenTelemetry's own variables (docs/decisions/0020).
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TracingUnavailable
from service.http.request_log import Facts, facts_in
from service.http.trace_context import SpanIds, Stage, Trace, set_trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

# A service that stops does not wait longer for its collector.
LAST_SPANS_S = 3.0


class Tracing:
    """Where the spans of one app go."""

    def __init__(self, exporter: "SpanExporter", release: str) -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = OTELResourceDetector().detect().attributes
        resource = Resource.create({"service.name": "offnormal", "service.version": release, **named})
        # Of its own, like the metrics: nothing global, several apps in a process do not meet.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = exporter
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("offnormal", release)

    @classmethod
    def to(cls, endpoint: str, release: str) -> "Tracing":
        """endpoint: of a collector that takes OTLP over HTTP, with its path. Raises TracingUnavailable."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise TracingUnavailable(
                "traces need OpenTelemetry: install the extra `otel` (pip install 'offnormal[otel]')"
            ) from None
        return cls(OTLPSpanExporter(endpoint=endpoint), release)

    def middleware(self) -> Middleware:
        """Goes around the log of requests, whose lines name the span."""
        return Middleware(TraceRequests, tracer=self._tracer)

    def close(self) -> None:
        """Send what is still held, if somebody takes it. Blocks, for LAST_SPANS_S at most."""
        # Told that it is over, the exporter stops asking a collector that is not there.
        enough = threading.Timer(LAST_SPANS_S, self._exporter.shutdown)
        enough.start()
        self._provider.shutdown()
        enough.cancel()


class TraceRequests:
    """ASGI middleware: a server span for each request, in the trace of whoever asks (W3C Trace Context)."""

    def __init__(self, app: ASGIApp, tracer: "Tracer") -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

        span = self._tracer.start_span(
            scope["method"],
            context=extract(dict(Headers(scope=scope))),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": scope["method"],
                "url.scheme": scope["scheme"],
                "url.path": scope["path"],
            },
        )
        ids = span.get_span_context()
        trace = Trace(SpanIds(format_trace_id(ids.trace_id), format_span_id(ids.span_id)))
        set_trace(scope, trace)
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            if span.is_recording():
                self._describe(span, scope, status)
                self._add_stages(span, trace.stages)
            span.end()

    def _describe(self, span: "Span", scope: Scope, status: int) -> None:
        from opentelemetry.trace import StatusCode

        route = getattr(scope.get("route"), "path", "unmatched").replace(":path}", "}")
        span.update_name(f"{scope['method']} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        facts = facts_in(scope)
        if facts is not None:
            span.set_attributes(attributes_of(facts))
            if facts.error_code is not None:
                span.set_attribute("error.type", facts.error_code)
        if status >= 500 or status == 0:
            span.set_status(StatusCode.ERROR)

    def _add_stages(self, span: "Span", stages: Sequence[Stage]) -> None:
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(span)
        for stage in stages:
            part = self._tracer.start_span(stage.name, context, start_time=stage.started_ns)
            part.end(stage.ended_ns)


def attributes_of(facts: Facts) -> dict[str, Any]:
    """What the log says of a request, by names for spans. Never a reading, never the name of a key."""
    fields = facts.fields
    found = {
        "offnormal.request_id": facts.request_id,
        "offnormal.model.name": fields.get("model"),
        "offnormal.model.version": fields.get("version"),
        "offnormal.windows": fields.get("windows"),
        **{f"offnormal.verdicts.{ruling}": count for ruling, count in (fields.get("verdicts") or {}).items()},
    }
    return {name: value for name, value in found.items() if value is not None}
