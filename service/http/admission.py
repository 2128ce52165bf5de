"""Who is let in when more comes than can be answered: nobody who would have to wait for long.

The queue of a model (service/batching.py) is bounded by itself. But where requests are many and small,
reading and writing them is what takes the time, and they would wait unseen in front of it.
"""

import math
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import QueueFull
from service.http.doors import refusal
from service.http.problems import kind_of
from service.http.request_log import facts_of
from service.pace import Pace

# So many are let in whatever was measured: one request that was held up must not close the door.
_ALWAYS = 16
# Of the last hundred requests or so.
_KEPT = 0.99
# Seldom asked for, by few, and long: to wait for these is no sign of too much work.
_APART = ("/assets", "/models")


class Line:
    """Requests that have arrived whole and wait for their answer. Used by the event loop alone.

    clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = Pace(_KEPT)
        self._waiting = 0
        self._since = 0.0

    @property
    def wait_s(self) -> float:
        """What the next one would wait, by the pace of the last; 0 for as many as are always let in."""
        return self._waiting * self._pace.each_s if self._waiting >= _ALWAYS else 0.0

    @property
    def waiting(self) -> int:
        return self._waiting

    def join(self) -> None:
        if self._waiting == 0:
            self._since = self._clock()
        self._waiting += 1

    def leave(self) -> None:
        """Answered. Time in which nobody waited does not count."""
        now = self._clock()
        self._pace.took(1, now - self._since)
        self._since = now
        self._waiting -= 1


class Admission:
    """ASGI middleware that answers POST with 429, before anything is done, when the wait is too long.

    max_wait_s: what is too long. The answer is in the form of the path's door.
    """

    def __init__(self, app: ASGIApp, max_wait_s: float) -> None:
        self._app = app
        self._max_wait_s = max_wait_s
        self._line = Line()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].startswith(_APART):
            await self._app(scope, receive, send)
            return
        wait_s = self._line.wait_s
        if wait_s > self._max_wait_s:
            await self._refuse(wait_s, scope, receive, send)
            return
        arrived = False

        async def receive_noting() -> Message:
            nonlocal arrived
            message = await receive()
            # A body that is slow to come keeps nobody else waiting.
            if not arrived and message["type"] == "http.request" and not message.get("more_body", False):
                arrived = True
                self._line.join()
            return message

        try:
            await self._app(scope, receive_noting, send)
        finally:
            if arrived:
                self._line.leave()

    async def _refuse(self, wait_s: float, scope: Scope, receive: Receive, send: Send) -> None:
        error = QueueFull(
            f"{self._line.waiting} requests wait, which take some {wait_s:.1f} s",
            retry_after_s=math.ceil(wait_s),
        )
        facts = facts_of(Request(scope))
        facts.error_code = kind_of(error).code
        await refusal(scope["path"], error, facts.request_id)(scope, receive, send)
