"""The framework, inside of what is around every request."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send


class EnclosedApi(FastAPI):
    """FastAPI with all middlewares outside of it.

    Given the usual way, they stand within its telemetry and three of its own, which look at every request,
    asked or not: a cost that the short way (service/http/short_way.py) need not bear.

    around: the outermost first.
    """

    def __init__(self, *, around: Sequence[Middleware], **others: Any) -> None:
        super().__init__(**others)
        enclosed: ASGIApp = super().__call__
        for kind, arguments, named in reversed(around):
            enclosed = kind(enclosed, *arguments, **named)
        self._enclosed = enclosed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._enclosed(scope, receive, send)
