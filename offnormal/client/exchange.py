"""Between a call and HTTP: headers and limits going out, answers and problems coming in."""

import gzip
import sys
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from offnormal.client.answers import ProblemDocument
from offnormal.client.calls import Call
from offnormal.client.errors import ClientError, NotOffnormal, Problem, ServiceUnreachable
from offnormal.client.retries import PASSING, retry_after_s

T = TypeVar("T")
# The service answers that it was too late; the connection is given up only some time after that.
_GRACE_S = 2.0
_CONNECT_S = 5.0
_problem = msgspec.json.Decoder(ProblemDocument)


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one client speaks to one service.

    timeout_s: for one attempt, which the service is told of; commission_timeout_s: for one commissioning.
    gzip_above_bytes: larger bodies are compressed; None compresses nothing.
    """

    url: str
    key: str | None
    timeout_s: float
    commission_timeout_s: float
    gzip_above_bytes: int | None

    def options(self) -> dict[str, Any]:
        """For httpx's clients. Raises ClientError for an address that is none."""
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ClientError(f"{self.url!r} is no address of a service: {error}") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise ClientError(f"{self.url!r} is no address of a service, expected e.g. http://127.0.0.1:8000")
        # A proxy of the surroundings does not reach this machine.
        near = address.host in ("localhost", "127.0.0.1", "::1")
        headers = {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        return {"base_url": address, "headers": headers, "trust_env": not near}

    def request(self, call: Call[T]) -> dict[str, Any]:
        """For httpx's `request`."""
        timeout_s = self.commission_timeout_s if call.long else self.timeout_s
        headers = {"accept": "application/json", "request-timeout": f"{timeout_s:g}", **_trace_headers()}
        content = call.content
        if content is not None:
            headers["content-type"] = call.media_type
            if self.gzip_above_bytes is not None and len(content) > self.gzip_above_bytes:
                headers["content-encoding"] = "gzip"
                content = gzip.compress(content, 6)
        return {
            "method": call.method,
            "url": call.path,
            "params": dict(call.params),
            "content": content,
            "headers": headers,
            "timeout": httpx.Timeout(timeout_s + _GRACE_S, connect=min(timeout_s, _CONNECT_S)),
        }

    def unreachable(self, error: httpx.TransportError) -> ServiceUnreachable:
        reason = str(error) or type(error).__name__
        failure = ServiceUnreachable(f"no answer from {self.url}: {reason}")
        failure.__cause__ = error
        return failure

    def refusal(self, call: Call[T], response: httpx.Response) -> Problem | NotOffnormal | None:
        """What is wrong with an answer, if anything is."""
        if response.status_code in call.statuses:
            return None
        try:
            document = _problem.decode(response.content)
        except msgspec.DecodeError:
            return self._stranger(response)
        return Problem(document, retry_after_s(response))

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """The answer that was asked for. Raises NotOffnormal."""
        try:
            return call.read(response.content)
        except msgspec.DecodeError as error:
            raise self._stranger(response) from error

    def _stranger(self, response: httpx.Response) -> NotOffnormal:
        return NotOffnormal(
            f"{self.url} answered {response.status_code} with nothing that an Offnormal service says",
            response.status_code,
        )


def passing(response: httpx.Response) -> bool:
    """Whether a refusal is worth another try."""
    return response.status_code in PASSING


def _trace_headers() -> dict[str, str]:
    """W3C trace context of the caller's span, where the caller traces: OpenTelemetry is loaded then."""
    headers: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry.propagate import inject

        inject(headers)
    return headers
