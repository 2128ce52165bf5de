"""HTTP as uvicorn speaks it, but with patience that ends.

uvicorn waits for ever for the rest of a request's head, and for a client to read its answer; either would let
a few idle callers hold connections and memory (docs/decisions/0025-every-wait-for-a-client-ends.md).
The body has its own limit of time, in service/http/body.py.
"""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from cli.unread import has_unread

if TYPE_CHECKING:
    from service.resources import Resources

# At the end of the service, how long a connection without a request is still kept.
_LAST_S = 0.2
# Timers run before what has arrived is read; after so long it has been.
_SECOND_LOOK_S = 0.05
_log = logging.getLogger("service.connections")


class PatientProtocol(HttpToolsProtocol):
    """One connection.

    Whenever no request is under way, a timer runs: uvicorn's own between requests (`keep_alive_s`), and one
    for the head (`head_timeout_s`) from the connection's start and from the first byte after an answer, which
    may be of the body of a request that was answered at its head. More bytes do not set it back. An answer
    that waits to be taken has a third (`unread_timeout_s`).
    """

    _heard = False
    _within_message = False
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    @property
    def _under_way(self) -> bool:
        """Whether a request is being answered. Its body may still come."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._resources: Resources = self.app_state["resources"]
        self._resources.metrics.connections[0] += 1
        # Requests that are not answered yet: callers may send the next ones ahead.
        self._cycles: deque[RequestResponseCycle] = deque()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._resources.metrics.connections[0] -= 1
        self._head_arrived()
        self._taken()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        super().data_received(data)
        if self._under_way or self.transport.is_closing() or self._head_timer is not None:
            return
        if self._within_message:
            self._await_head()
        elif self.timeout_keep_alive_task is None:
            # Behind the body of a request that was refused at its head: a connection between two requests.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        self._within_message = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._within_message = False
        self._head_arrived()
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        if self.cycle is not None:
            self._cycles.append(self.cycle)
        if self._resources.draining.is_set() and self.cycle is not None:
            # Whoever keeps this connection is to leave it before it is closed.
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():  # which waits for the client to take the rest
            self._await_taking()

    def timeout_keep_alive_handler(self) -> None:
        """The next request may be there already, and not read yet; data that comes takes the timer away."""
        self.timeout_keep_alive_task = self.loop.call_later(_SECOND_LOOK_S, self._part)

    def shutdown(self) -> None:
        """Answer what is under way; close soon, but not on a request that is just arriving."""
        if self._under_way:
            super().shutdown()
        else:
            self.loop.call_later(_LAST_S, self._part)

    def _part(self) -> None:
        # Who asks in this moment is answered.
        if not self._under_way and not has_unread(self.transport):
            self.transport.close()
            self._await_taking()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._taken()

    def _await_head(self) -> None:
        seconds = self._resources.settings.head_timeout_s
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        """Unless it is there and only this process was too busy to read it: it is looked at once more."""
        self._head_timer = self.loop.call_later(_SECOND_LOOK_S, self._head_is_missing)

    def _head_is_missing(self) -> None:
        self._head_timer = None
        # The first bytes of all, in this moment: they set the timer anew. Later ones might go on for ever.
        if self._heard or not has_unread(self.transport):
            self._close("slow_head")

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_taking(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        if self._unread_timer is None and waiting:
            self._look_later(waiting)

    def _look_later(self, waiting: int) -> None:
        seconds = self._resources.settings.unread_timeout_s
        self._unread_timer = self.loop.call_later(seconds, self._look, waiting)

    def _look(self, before: int) -> None:
        """Give up a client that took nothing since the last look. before: bytes that waited then."""
        self._unread_timer = None
        waiting = self.transport.get_write_buffer_size()
        if waiting >= before:
            self._close("unread_answer")
        elif waiting:
            self._look_later(waiting)

    def _taken(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _close(self, reason: str) -> None:
        self._resources.metrics.given_up_connections[reason][0] += 1
        client = self.client[0] if self.client else None
        _log.info("connection given up", extra={"fields": {"reason": reason, "client": client}})
        for cycle in self._cycles:
            cycle.disconnected = True  # what is still to be written goes nowhere
        # Not `close`, which would wait once more for what the client does not take.
        self.transport.abort()
