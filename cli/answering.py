"""Answers as uvicorn writes them, but in one piece."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

# A larger body is not copied behind its head.
_MOST_BYTES = 65_536
# Of these uvicorn makes more than a line.
_FOR_THE_SERVER = (b"connection", b"content-length", b"transfer-encoding")


@lru_cache(1024)  # most headers are those of every answer
def header_line(name: bytes, value: bytes) -> bytes | None:
    """A header as it goes over the wire; None for one that may not, or that the server has to heed."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        return None
    name = name.lower()
    return None if name in _FOR_THE_SERVER else b"%s: %s\r\n" % (name, value)


class WholeAnswer(RequestResponseCycle):
    """A request, and an answer whose head waits for the first of its body.

    Where that is all of it, both are written at once. Everything else, what is wrong included, is left to
    uvicorn.
    """

    _head: Any = None

    async def send(self, message: "ASGISendEvent") -> None:
        if not self.response_started:
            if message["type"] == "http.response.start":
                self._head = message
                return
            if self._head is not None:
                if self._write_whole(self._head, message):
                    return
                await super().send(self._head)
        await super().send(message)

    def _write_whole(self, head: Any, message: Any) -> bool:
        """Whether this could be done."""
        body = message.get("body", b"")
        if (
            message["type"] != "http.response.body"
            or message.get("more_body", False)
            or len(body) > _MOST_BYTES
            or self.scope["method"] == "HEAD"
            or self.flow.write_paused
            or self.disconnected
            or self.access_log
        ):
            return False
        length = (b"content-length", b"%d" % len(body))
        headers = [*self.default_headers, *head.get("headers", ())]
        if length not in headers:
            return False
        lines = [b"%s: %s\r\n" % length if header == length else header_line(*header) for header in headers]
        if None in lines:
            return False
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join([STATUS_LINE[head["status"]], *lines, end, body]))  # type: ignore[list-item]
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
