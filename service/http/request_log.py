"""Around every request: its line of JSON, its metrics, its id, the headers that every answer has, and the
answer to whatever was not foreseen."""

import json
import logging
import random
import re
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.exchange import RawHeader
from service.http.problems import kind_of
from service.http.trace_context import SpanIds, Trace, ids_of, trace_in
from service.measuring.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-Id"
RAW_ID_HEADER = REQUEST_ID_HEADER.lower().encode()
# What may stand in a log and a header as it came; anything else gets an id of our own.
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_FACTS = "offnormal.facts"
_log = logging.getLogger("service.requests")
_encode = json.JSONEncoder(default=str).encode
Refuse = Callable[[str, Exception, str], Response]
Beside = Callable[[Iterable[RawHeader]], Iterable[RawHeader]]
_random = random.Random()


@dataclass(slots=True)
class Facts:
    """What a handler knows of its request and the log should say. Never a reading."""

    request_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    error_code: str | None = None
    trace: Trace | None = None
    span: SpanIds | None = None

    @property
    def ids(self) -> dict[str, str]:
        """By which its log lines are found, and the trace that it is part of."""
        span = self.span
        of_trace = {} if span is None else {"trace_id": span.trace_id, "span_id": span.span_id}
        return {"request_id": self.request_id, **of_trace}


def facts_of(request: Request) -> Facts:
    facts: Facts = request.scope[_FACTS]
    return facts


def facts_in(scope: Scope) -> Facts | None:
    """None before the log has begun on the request."""
    facts: Facts | None = scope.get(_FACTS)
    return facts


class JsonLines(logging.Formatter):
    """Log records as one JSON object a line; what a caller sent cannot break out of its string."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return _encode(line)


def describe(error: BaseException) -> dict[str, Any]:
    """Kind of an error and where it came from. Not its message: that may quote a reading."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"type": type(error).__name__, "trace": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}


class RequestLog:
    """Makes a `Record` of each request.

    beside: headers of every answer, given those that it has by itself. refuse: writes an error, given path
    and request's id.
    """

    def __init__(self, metrics: Metrics, beside: Beside, refuse: Refuse) -> None:
        self.metrics = metrics
        self.beside = beside
        self.refuse = refuse

    def begin(self, scope: Scope) -> "Record":
        return Record(self, scope)


class Record:
    """One request, from its head to its answer."""

    __slots__ = ("_counted", "_log", "_scope", "_started", "facts")

    def __init__(self, log: RequestLog, scope: Scope) -> None:
        self._started = time.perf_counter()
        self._log = log
        self._scope = scope
        self._counted = False
        self.facts = scope[_FACTS] = Facts(id_of(scope), trace=trace_in(scope), span=ids_of(scope))
        log.metrics.requests_in_progress[0] += 1

    def headers(self, given: Sequence[RawHeader]) -> list[RawHeader]:
        """All that an answer has which brings these."""
        return [*given, *self._log.beside(given), (RAW_ID_HEADER, self.facts.request_id.encode())]

    def count(self, status: int) -> None:
        """It is answered; 0: it never was. Before the last byte: whoever has the answer finds it counted, by
        any worker. Only the first time counts."""
        if self._counted:
            return
        self._counted = True
        self._log.metrics.requests_in_progress[0] -= 1
        route = getattr(self._scope.get("route"), "path", "unmatched").replace(":path}", "}")
        seconds = time.perf_counter() - self._started
        report(self._log.metrics, self.facts, self._scope["method"], route, status, seconds)

    def unforeseen(self, error: Exception) -> Response:
        """Log it, and say so."""
        self.facts.error_code = kind_of(error).code
        _log.error("unforeseen error", extra={"fields": {**self.facts.ids, "error": describe(error)}})
        return self._log.refuse(self._scope["path"], error, self.facts.request_id)


class Logged:
    """ASGI middleware around everything that is answered by messages."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = self._log.begin(scope)
        status = 0

        async def send_recorded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = record.headers(message["headers"])
            elif not message.get("more_body", False):
                record.count(status)
            await send(message)

        try:
            await self._app(scope, receive, send_recorded)
        except Exception as error:
            refusal = record.unforeseen(error)
            if status == 0:
                await refusal(scope, receive, send_recorded)
        finally:
            record.count(status)


def report(metrics: Metrics, facts: Facts, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and write its line."""
    metrics.request(route, method, status, seconds)
    if facts.error_code is not None:
        metrics.rejected[facts.error_code][0] += 1
    if not _log.isEnabledFor(logging.INFO):
        return
    code = {} if facts.error_code is None else {"code": facts.error_code}
    fields = {
        **facts.ids,
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1e3, 3),
        **code,
        **facts.fields,
    }
    _log.info("request", extra={"fields": fields})


def id_of(scope: Scope) -> str:
    """The id of a request, as `request_id` has it."""
    return request_id(
        next((value for name, value in scope["headers"] if name == RAW_ID_HEADER), b"").decode("latin-1")
    )


def request_id(given: str) -> str:
    """The caller's own id if it is one that can be shown, else a new one."""
    # An id is no secret; the system's source of randomness would let go of the interpreter for it.
    return given if given and _SANE_ID.fullmatch(given) else f"{_random.getrandbits(64):016x}"
