"""One call from its first byte to its last: who asks, how long, how errors are told, how it is counted."""

import logging
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from starlette.datastructures import Headers

from service.http.keys import Role
from service.http.problems import INTERNAL, headers_of, kind_of, problem_of
from service.http.request_log import REQUEST_ID_HEADER, Facts, describe, report, request_id
from service.open_inference.refusals import sentence
from service.resources import Resources

# gRPC travels as POST, and its own statuses are fewer than ours: by the status that HTTP would have had.
_METHOD = "POST"
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Of a call whose caller gave it up; nginx has the number from which the custom comes.
_GIVEN_UP = 499
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """A call that is being answered. deadline: time.monotonic seconds."""

    facts: Facts
    deadline: float


Answering = Callable[[Any, Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the service. roles: of which the caller's key has one; None where nobody is asked.

    read, write: from and to bytes.
    """

    answer: Answering
    roles: frozenset[Role] | None
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Hands calls to methods, by their path such as `/inference.GRPCInferenceService/ModelInfer`.

    Keys are looked at before a message is read: who has none can make the service hold nothing.
    """

    def __init__(self, resources: Resources, methods: Mapping[str, Method]) -> None:
        self._resources = resources
        self._methods = methods
        self.under_way = 0

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method
        method = self._methods.get(path)
        if method is None:
            return None
        # Metadata that ends in -bin is bytes; none of ours is.
        headers = Headers(
            {
                name: value
                for name, value in handler_call_details.invocation_metadata or ()
                if isinstance(value, str)
            }
        )
        facts = Facts(request_id(headers.get(REQUEST_ID_HEADER, "")))
        key = None
        try:
            if method.roles is not None:
                key = self._resources.keyring.admit(headers, method.roles)
        except Exception as error:
            return self._refusing(path, facts, error)

        async def answered(message: Any, context: Any) -> Any:
            async def work() -> Any:
                if method.roles is not None:
                    self._resources.count_caller(key, _host(context.peer()), facts)
                patience = self._resources.settings.request_timeout_s
                left = context.time_remaining()
                deadline = time.monotonic() + (patience if left is None else min(left, patience))
                return await method.answer(message, Call(facts, deadline))

            return await self._accounted(path, facts, context, work)

        return grpc.unary_unary_rpc_method_handler(answered, method.read, method.write)

    def _refusing(self, path: str, facts: Facts, error: Exception) -> Any:
        """A handler that takes a stream of messages, and so reads none before it refuses."""

        async def refused(messages: Any, context: Any) -> Any:
            del messages

            async def work() -> Any:
                raise error

            return await self._accounted(path, facts, context, work)

        return grpc.stream_unary_rpc_method_handler(refused)

    async def _accounted(
        self, path: str, facts: Facts, context: Any, work: Callable[[], Awaitable[Any]]
    ) -> Any:
        metrics = self._resources.metrics
        started = time.perf_counter()
        status = _GIVEN_UP
        metrics.requests_in_progress[0] += 1
        self.under_way += 1
        try:
            answer = await work()
            status = 200
            context.set_trailing_metadata(((REQUEST_ID_HEADER.lower(), facts.request_id),))
            return answer
        except Exception as error:
            kind = kind_of(error)
            status, facts.error_code = kind.status, kind.code
            if kind is INTERNAL:
                told = {"request_id": facts.request_id, "error": describe(error)}
                _log.error("unforeseen error", extra={"fields": told})
            await _abort(context, error, facts)
        finally:
            self.under_way -= 1
            metrics.requests_in_progress[0] -= 1
            report(metrics, facts, _METHOD, path, status, time.perf_counter() - started)


async def _abort(context: Any, error: Exception, facts: Facts) -> NoReturn:
    """Tell an error: its status, one sentence, and beside it the stable code and when to come back."""
    problem = problem_of(error, facts.request_id)
    beside = [(REQUEST_ID_HEADER.lower(), facts.request_id), ("code", problem.code)]
    if wait_s := headers_of(error).get("Retry-After"):
        # What gRPC's own retry policy listens to.
        beside.append(("grpc-retry-pushback-ms", str(1000 * int(wait_s))))
    status = _CODES.get(problem.status, grpc.StatusCode.INTERNAL)
    await context.abort(status, sentence(problem), tuple(beside))
    raise AssertionError("a call that was aborted goes on")


def _host(peer: str) -> str:
    """The address in what gRPC says of the other end: `ipv4:10.0.0.7:50312`, `ipv6:%5B::1%5D:50312`."""
    address = urllib.parse.unquote(peer.partition(":")[2])
    return address.rpartition(":")[0].strip("[]")
