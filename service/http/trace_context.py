"""Which trace a request belongs to (W3C Trace Context), for its log line; its stages, where it is traced."""

import re
import time
from dataclasses import dataclass, field

from starlette.types import Scope

_TRACE = "offnormal.trace"
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)


@dataclass(frozen=True, slots=True)
class SpanIds:
    """As W3C writes them, in hexadecimal digits."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of answering. started_ns, ended_ns: nanoseconds since 1970."""

    name: str
    started_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A request that is traced."""

    ids: SpanIds
    stages: list[Stage] = field(default_factory=list)

    def add(self, name: str, seconds: float, before_s: float = 0.0) -> None:
        """A stage that took so long and ended so long ago."""
        ended = time.time_ns() - int(before_s * 1e9)
        self.stages.append(Stage(name, ended - int(seconds * 1e9), ended))


def set_trace(scope: Scope, trace: Trace) -> None:
    scope[_TRACE] = trace


def trace_in(scope: Scope) -> Trace | None:
    """None where the service makes no traces."""
    trace: Trace | None = scope.get(_TRACE)
    return trace


def ids_of(scope: Scope) -> SpanIds | None:
    """The request's own span; the caller's, from its header, where the service makes no traces; or None."""
    trace = trace_in(scope)
    if trace is not None:
        return trace.ids
    for name, value in scope["headers"]:
        if name == b"traceparent":
            found = _TRACEPARENT.fullmatch(value)
            return SpanIds(found[1].decode(), found[2].decode()) if found else None
    return None
