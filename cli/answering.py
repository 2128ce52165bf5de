"""Requests and answers as uvicorn has them, but copied less often, and answers written in one piece."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from service.http.exchange import EXCHANGE, RawHeader

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

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


class Pieces:
    """What has come of a body, in place of uvicorn's bytearray: grown piece by piece and handed over, that
    copies everything twice."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def __iadd__(self, piece: bytes) -> "Pieces":
        self._pieces.append(piece)
        self._size += len(piece)
        return self

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class WholeAnswer(RequestResponseCycle):
    """A request, and an answer whose head waits for the first of its body: where that is all of it, both are
    written at once. Everything else, what is wrong included, is left to uvicorn.

    It can be an `Exchange` (service/http/exchange.py).
    """

    _head: Any = None

    @classmethod
    def become(cls, cycle: RequestResponseCycle) -> None:
        """Of a request that begins: uvicorn makes cycles by itself, of its own class."""
        pieces = Pieces()
        if cycle.body:  # it was sent ahead, and waited for others
            pieces += bytes(cycle.body)
        cycle.__class__ = cls
        cycle.body = pieces  # type: ignore[assignment]

    def offer(self) -> None:
        """To be the `Exchange` of its scope, until the answer is out: what refers to itself any longer waits
        for the garbage collector."""
        self.scope["extensions"] = {EXCHANGE: self}  # type: ignore[dict-item]

    def _withdraw(self) -> None:
        self.scope.pop("extensions", None)

    async def receive(self) -> "ASGIReceiveEvent":
        message = await super().receive()
        self.body = Pieces()  # type: ignore[assignment]
        return message

    def arrived(self) -> bytes | None:
        if self.more_body or self.disconnected or self.response_complete:
            return None
        body, self.body = bytes(self.body), Pieces()  # type: ignore[assignment]
        self.message_event.clear()
        self.flow.resume_reading()
        return body

    async def send(self, message: "ASGISendEvent") -> None:
        if not self.response_started:
            if message["type"] == "http.response.start":
                self._head = message
                return
            if self._head is not None:
                head, rest = self._head, cast("Any", message)
                if _is_whole(rest) and self.answer(
                    head["status"], head.get("headers", ()), rest.get("body", b"")
                ):
                    return
                await super().send(self._head)
        await super().send(message)
        if self.response_complete:
            self._withdraw()

    def answer(self, status: int, headers: Iterable[RawHeader], body: bytes) -> bool:
        if (
            self.response_started
            or len(body) > _MOST_BYTES
            or self.scope["method"] == "HEAD"
            or self.flow.write_paused
            or self.disconnected
            or self.access_log
        ):
            return False
        length = (b"content-length", b"%d" % len(body))
        headers = [*self.default_headers, *headers]
        if length not in headers:
            return False
        lines = [b"%s: %s\r\n" % length if header == length else header_line(*header) for header in headers]
        if None in lines:
            return False
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join([STATUS_LINE[status], *lines, end, body]))  # type: ignore[list-item]
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self._withdraw()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def _is_whole(message: Any) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)
