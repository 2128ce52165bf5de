"""Refusals of whom the gate (service/http/gate.py) does not let in: by the app, or by the server itself."""

import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import QueueFull
from service.http.doors import refusal
from service.http.gate import TURN, Gate, Turn
from service.http.problems import kind_of
from service.http.request_log import RAW_ID_HEADER, Beside, Facts, facts_in, facts_of, id_of, report
from service.measuring.metrics import Metrics

_FULL = kind_of(QueueFull("")).code


class Admission:
    """Who is let in, and when they are answered. Where the server has asked the gate already
    (cli/protocol.py), only that."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def concerns(self, scope: Scope) -> bool:
        return self._gate.concerns(scope)

    def enter(self, scope: Scope) -> Turn:
        """Raises QueueFull, before anything is done for this request."""
        turn: Turn | None = scope.get(TURN)
        if turn is not None:
            return turn
        error = self._gate.refuses(scope)
        if error is not None:
            raise error
        return self._gate.let_in(scope)

    @staticmethod
    def leave(turn: Turn, facts: Facts | None) -> None:
        turn.leave(refused=facts is not None and facts.error_code == _FULL)


def noting(receive: Receive, turn: Turn) -> Receive:
    """Takes the turn with the end of the body: one that is slow to come keeps nobody else waiting."""

    async def receive_noting() -> Message:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            turn.take()
        return message

    return receive_noting


class Admitted:
    """ASGI middleware that answers with 429 whom the gate does not let in, in the form of the path's door."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._admission.concerns(scope):
            await self._app(scope, receive, send)
            return
        try:
            turn = self._admission.enter(scope)
        except QueueFull as error:
            facts = facts_of(Request(scope))
            facts.error_code = kind_of(error).code
            await refusal(scope["path"], error, facts.request_id)(scope, receive, send)
            return
        try:
            await self._app(scope, noting(receive, turn), send)
        finally:
            self._admission.leave(turn, facts_in(scope))


class Brief:
    """Writes a refusal as the whole service would, without asking the whole service: refusing must stay
    cheaper than whatever comes, or those that were let in wait for refusals.

    beside: headers of every answer, as for `RequestLog`.
    """

    def __init__(self, metrics: Metrics, beside: Beside) -> None:
        self._metrics = metrics
        self._beside = beside

    def answer(self, scope: Scope, error: QueueFull, keep_alive: bool) -> bytes:
        """The answer to a request, counted and logged, as it goes over the wire after the status line."""
        started = time.perf_counter()
        facts = Facts(id_of(scope), error_code=kind_of(error).code)
        response = refusal(scope["path"], error, facts.request_id)
        headers = [
            *response.raw_headers,
            *self._beside(response.raw_headers),
            (RAW_ID_HEADER, facts.request_id.encode()),
        ]
        if not keep_alive:
            headers.append((b"connection", b"close"))
        report(self._metrics, facts, "POST", "unmatched", response.status_code, time.perf_counter() - started)
        return b"".join([b"%s: %s\r\n" % each for each in headers]) + b"\r\n" + bytes(response.body)
