"""HTTP as uvicorn speaks it, with bounds on what it would take without end: heads, and connections."""

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from cli.answering import WholeAnswer
from cli.patience import PatientProtocol
from cli.rest import Rest
from cli.unread import unread_s
from service.http.gate import ALWAYS

if TYPE_CHECKING:
    from starlette.types import Scope

    from service.http.gate import Turn
    from service.settings import Settings

_KILOBYTE = 1000
# Of a body that its handler has not taken yet; it does in the event loop's next turn.
_MOST_AHEAD_BYTES = 1_000_000
_HEAD_TOO_LARGE = "The head of the request is too large."
_TOO_MANY_CONNECTIONS = "Too many connections."


class _HeadTooLarge(Exception):
    """Ends the parser's work; the parser makes an error of its own of it."""


class LimitedProtocol(PatientProtocol):
    """Refuses, in plain text and before the service sees anything, what is not to be taken in.

    A head that is too large gets 431, a connection too many 503; either is then closed.
    """

    max_head_bytes: ClassVar[int]
    max_connections: ClassVar[int]
    rest: ClassVar[Rest]

    # Fed while a head is read; in the piece that is being fed, and in the one in which the head began. Both
    # may hold something else, too.
    _head_bytes = _piece_bytes = _first_bytes = 0
    _reading_head = True
    _refused = False
    _turn: "Turn | None" = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(503, _TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        # The parser keeps a head that never ends to itself, so what it is fed is counted here.
        self._piece_bytes = len(data)
        if self._reading_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > self.max_head_bytes:
            self._refuse(431, _HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._reading_head, self._head_bytes, self._first_bytes = True, 0, self._piece_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._first_bytes + self._head_bytes > self.max_head_bytes < self._head_size():
            self._refuse(431, _HEAD_TOO_LARGE)
            raise _HeadTooLarge
        self._reading_head = False
        super().on_headers_complete()

    def _head_size(self) -> int:
        """Bytes."""
        return len(self.url) + sum(map(len, chain.from_iterable(self.headers)))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Ask at the head of the request whether it is let in: until its body is read, it cost little."""
        WholeAnswer.become(cycle)
        resources = self._resources
        gate, brief = resources.gate, resources.brief
        scope: Scope = cycle.scope  # type: ignore[assignment]
        if not gate.concerns(scope):
            self._begin(cycle, app)
            return
        # So few callers are let in however late it is.
        waited_s = unread_s(self.transport) if len(self.connections) > ALWAYS else 0.0
        error = gate.refuses(scope, waited_s)
        if error is None:
            turn = gate.let_in(scope)
            if cycle.more_body:
                self._turn = turn
            else:
                turn.take()
            self._begin(cycle, app)
        elif brief is not None and self._may_be_brief(cycle):
            keep_alive = cycle.keep_alive and not resources.draining.is_set()
            self.transport.write(STATUS_LINE[429] + brief.answer(scope, error, keep_alive))
            cycle.response_started = cycle.response_complete = True
            if not keep_alive:
                self.transport.close()
            self.on_response_complete()
            self.rest.send(self.flow, self.loop)
        else:
            self._begin(cycle, app)

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        cast("WholeAnswer", cycle).offer()
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """As uvicorn's, which stops reading after every piece of a large body."""
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > _MOST_AHEAD_BYTES:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        # Not only when its handler asks for the body: until then others would be let in who come later.
        if self._turn is not None:
            self._turn.take()
            self._turn = None
        super().on_message_complete()

    def _may_be_brief(self, cycle: RequestResponseCycle) -> bool:
        """Not where requests were sent ahead, or answers are not taken: each waits for the one before."""
        return cycle is self.cycle and not self.flow.write_paused and not self.transport.is_closing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        if self._refused:
            return
        self._refused = True
        content = message.encode()
        self.transport.write(
            STATUS_LINE[status] + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            b"x-content-type-options: nosniff\r\ncontent-length: %d\r\n\r\n" % len(content) + content
        )
        self.transport.close()


def protocol_of(settings: "Settings") -> type[LimitedProtocol]:
    """The protocol with the bounds of these settings."""

    class Protocol(LimitedProtocol):
        max_head_bytes = settings.max_head_kb * _KILOBYTE
        max_connections = settings.max_connections
        rest = Rest()

    return Protocol
