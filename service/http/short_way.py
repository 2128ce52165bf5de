"""The way of a route that is asked for thousands of times a second: straight to its handler.

The framework looks through all routes, opens two stacks for what dependencies may want closed, and solves the
dependencies anew for each request, which takes longer than to read a window (docs/decisions/0015). A route
given here stays the framework's in everything else: it is declared, described and found there as any other.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from detector.errors import DetectorError
from service.errors import ServiceError
from service.http.heads import HeadedRequest

Refuse = Callable[[Request, Exception], Awaitable[Response]]
Answer = Callable[[Request], Awaitable[Response]]


class ShortWay:
    """ASGI middleware, the innermost. router: whose POST routes are short, as far as they ask for nothing but
    the request; refuse: writes what they raise."""

    def __init__(self, app: ASGIApp, router: APIRouter, refuse: Refuse) -> None:
        self._app = app
        self._refuse = refuse
        self._routes: Mapping[str, tuple[APIRoute, Answer]] = {
            route.path: (route, answer)
            for route in router.routes
            if isinstance(route, APIRoute)
            and "POST" in (route.methods or ())
            and (answer := answer_of(route))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"], answer = found
        request = HeadedRequest(scope, receive)
        try:
            response = await answer(request)
        except (ServiceError, DetectorError) as error:
            response = await self._refuse(request, error)
        await response(scope, receive, send)


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
