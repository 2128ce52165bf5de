"""The way of a route that is asked for thousands of times a second: straight to its handler and back.

The framework looks through all routes, opens two stacks for what dependencies may want closed, and solves the
dependencies anew for each request, which takes longer than to read a window; so do middlewares, each with its
messages (docs/decisions/0015). A route given here stays the framework's in everything else: it is declared,
described and found there as any other, and is logged, counted, admitted and refused by the same objects.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from detector.errors import DetectorError
from service.errors import ServiceError
from service.http.admission import Admission, noting
from service.http.exchange import exchange_of
from service.http.heads import HeadedRequest
from service.http.request_log import Record, RequestLog

Refuse = Callable[[Request, Exception], Awaitable[Response]]
Answer = Callable[[Request], Awaitable[Response]]


class ShortWay:
    """ASGI middleware, around those that all other requests pass through.

    router: whose POST routes are short, as far as they ask for nothing but the request. log, admission: those
    of the other requests. refuse: writes what handlers raise. shared: whether pages of other origins may read
    answers; what comes from any takes the other way, where the rules for it are.
    """

    def __init__(
        self,
        app: ASGIApp,
        router: APIRouter,
        log: RequestLog,
        admission: Admission,
        refuse: Refuse,
        shared: bool = False,
    ) -> None:
        self._app = app
        self._log = log
        self._admission = admission
        self._refuse = refuse
        self._shared = shared
        self._routes: Mapping[str, tuple[APIRoute, Answer]] = {
            route.path: (route, answer)
            for route in router.routes
            if isinstance(route, APIRoute)
            and "POST" in (route.methods or ())
            and (answer := answer_of(route))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if (
            found is None
            or scope["method"] != "POST"
            or (self._shared and any(name == b"origin" for name, _ in scope["headers"]))
        ):
            await self._app(scope, receive, send)
            return
        scope["route"], answer = found
        record = self._log.begin(scope)
        try:
            response = await self._answered(scope, receive, answer, record)
            record.count(response.status_code)
            await _respond(response, record, scope, send)
        finally:
            record.count(0)

    async def _answered(self, scope: Scope, receive: Receive, answer: Answer, record: Record) -> Response:
        request = HeadedRequest(scope, receive)
        turn = None
        try:
            turn = self._admission.enter(scope)
            if exchange_of(scope) is None:  # a server that offers it takes the turn itself
                request = HeadedRequest(scope, noting(receive, turn))
            return await answer(request)
        except (ServiceError, DetectorError) as error:
            return await self._refuse(request, error)
        except Exception as error:
            return record.unforeseen(error)
        finally:
            if turn is not None:
                self._admission.leave(turn, record.facts)


async def _respond(response: Response, record: Record, scope: Scope, send: Send) -> None:
    """In one piece where the server takes it so, unless the request is traced: that sees messages only."""
    status, body = response.status_code, bytes(response.body)
    headers = record.headers(response.raw_headers)
    exchange = exchange_of(scope) if record.facts.trace is None else None
    if exchange is None or not exchange.answer(status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def answer_of(route: APIRoute) -> Answer | None:
    """Calls a handler of a request and of one dependency that wants no more than the request either.

    None for a route that asks for more: the framework must find it for it.
    """
    known = route.dependant
    if known.request_param_name is None or len(known.dependencies) != 1 or _asks(known):
        return None
    (one,) = known.dependencies
    if one.request_param_name is None or one.name is None or one.dependencies or _asks(one):
        return None
    handler: Callable[..., Awaitable[Response]] = route.endpoint
    admit: Any = one.call
    named, given, theirs = known.request_param_name, one.name, one.request_param_name

    async def answer(request: Request) -> Response:
        return await handler(**{named: request, given: await admit(**{theirs: request})})

    return answer


def _asks(known: Dependant) -> bool:
    return bool(
        known.path_params
        or known.query_params
        or known.header_params
        or known.cookie_params
        or known.body_params
    )
