"""What a server may offer beside the messages of ASGI: a body that has arrived whole, at once, and to take an
answer in one piece.

Most requests are as small as that, and their messages, each awaited through every layer, cost more than to
read their window (docs/decisions/0015). An extension of the scope, as ASGI has them; under a server without
it everything works by messages.
"""

from collections.abc import Iterable
from typing import Protocol

from starlette.types import Scope

RawHeader = tuple[bytes, bytes]
EXCHANGE = "offnormal.exchange"


class Exchange(Protocol):
    """One request, as the server has it."""

    def arrived(self) -> bytes | None:
        """The body, if all of it is there; handed over once. None where there are messages to wait for."""

    def answer(self, status: int, headers: Iterable[RawHeader], body: bytes) -> bool:
        """Write a whole answer, `content-length` among its headers. False where that cannot be done at once:
        nothing was written then."""


def exchange_of(scope: Scope) -> Exchange | None:
    found: Exchange | None = scope.get("extensions", {}).get(EXCHANGE)
    return found
