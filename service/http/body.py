"""The body of a request: read raw, bounded in size, memory and time."""

import asyncio
import zlib
from functools import lru_cache

from starlette.requests import Request
from starlette.types import Receive

from detector.windows import Floats
from service.errors import (
    BodyTooLarge,
    BodyTooSlow,
    ClientLeft,
    QueueFull,
    UnsupportedEncoding,
    UnsupportedMediaType,
    WrongContent,
)
from service.http.exchange import exchange_of
from service.patience import until
from service.settings import MEGABYTE

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
TIMEOUT_HEADER = "Request-Timeout"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 1_000_000


class BodyBudget:
    """Bytes of bodies that may be in memory together. Used by the event loop alone.

    shown: a cell that says how many they are.
    """

    def __init__(self, limit_bytes: int, shown: Floats) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._shown = shown

    def hold(self) -> "Hold":
        return Hold(self)

    def add(self, count: int) -> None:
        """So many bytes more, or less. Raises QueueFull where more do not fit."""
        used = self._used + count
        if used > self._limit and count > 0:
            raise QueueFull("the bodies of other requests fill the memory set aside for them")
        self._used = self._shown[0] = used


class Hold:
    """One request's part of the budget, for `with`: given back when the request ends."""

    __slots__ = ("_budget", "bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.bytes = 0

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *raised: object) -> None:
        self._budget.add(-self.bytes)

    def take(self, count: int) -> None:
        """Raises QueueFull."""
        self._budget.add(count)
        self.bytes += count


def media_type(request: Request, accepted: tuple[str, ...]) -> str:
    """The body's content type. Raises UnsupportedMediaType unless it is one of `accepted`."""
    given = request.headers.get("content-type", "")
    name = _in_utf8(given)
    if name not in accepted:
        raise UnsupportedMediaType(
            f"the content type is {given!r}" if given else "the request names no content type",
            place="header.Content-Type",
            expected=" or ".join(accepted),
        )
    return name


@lru_cache(64)  # callers have few ways to say it, and say it each time
def _in_utf8(given: str) -> str:
    """The name of a content type; none if it is in another character set."""
    name, _, parameters = given.partition(";")
    charset = parameters.lower().partition("charset=")[2].strip().strip('"')
    return name.strip().lower() if charset in ("", "utf-8", "utf8", "us-ascii") else ""


def timeout_s(request: Request, limit_s: float) -> float:
    """How long the caller will wait: its header Request-Timeout, at most the service's limit, seconds."""
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return limit_s
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise WrongContent(
            f"{TIMEOUT_HEADER} is not a number of seconds",
            place=f"header.{TIMEOUT_HEADER}",
            expected="a number of seconds above 0",
        )
    return min(seconds, limit_s)


async def read_body(request: Request, limit: int, deadline: float, hold: Hold) -> bytes:
    """The whole body, decompressed. limit: bytes. deadline: time.monotonic seconds.

    Raises BodyTooLarge, BodyTooSlow, ClientLeft, QueueFull, UnsupportedEncoding.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedEncoding(
            f"the content encoding is {encoding!r}",
            place="header.Content-Encoding",
            expected="gzip or identity",
        )
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    exchange = exchange_of(request.scope)
    body = None if exchange is None else exchange.arrived()
    if body is None:
        try:
            with until(deadline):
                body = await _arrived(request.receive, limit, hold)
        except TimeoutError:
            raise BodyTooSlow("the body did not arrive in time") from None
    else:
        _count(len(body), len(body), limit, hold)
    if encoding == "identity":
        return body
    return await _unpacked(body, limit, hold)


async def _arrived(receive: Receive, limit: int, hold: Hold) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft("the connection closed while the body was read")
        chunk = message.get("body", b"")
        size += len(chunk)
        _count(len(chunk), size, limit, hold)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _unpacked(body: bytes, limit: int, hold: Hold) -> bytes:
    """Piece by piece, each counted before the next: many bombs at once are to be no more than one."""
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    pieces: list[bytes] = []
    size = 0
    rest = body
    while not decompressor.eof:
        try:
            piece = await asyncio.to_thread(decompressor.decompress, rest, _PIECE_BYTES)
        except zlib.error as error:
            raise UnsupportedEncoding(f"the body is not gzip: {error}", expected="a gzip stream") from None
        rest = decompressor.unconsumed_tail
        if not piece and not rest:
            break
        size += len(piece)
        _count(len(piece), size, limit, hold)
        pieces.append(piece)
    if not decompressor.eof or decompressor.unused_data:
        raise UnsupportedEncoding(
            "the gzip body is cut short or has data after its end", expected="one gzip stream"
        )
    return b"".join(pieces)


def _count(more: int, size: int, limit: int, hold: Hold) -> None:
    """So many more bytes of a body that has `size` now. Raises BodyTooLarge, QueueFull."""
    if size > limit:
        raise _too_large(limit)
    hold.take(more)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge("the body is too large", expected=f"at most {limit / MEGABYTE:g} MB")
