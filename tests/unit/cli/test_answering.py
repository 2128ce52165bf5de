"""Answers that are written in one piece, beside what uvicorn makes of the same messages."""

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from cli.answering import WholeAnswer
from service.http.exchange import EXCHANGE

PLAIN = [(b"content-length", b"2"), (b"content-type", b"application/json"), (b"X-Request-Id", b"7")]
DATE = (b"date", b"Sat, 28 Nov 2026 12:00:00 GMT")


class Transport:
    """What was written, piece by piece."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Flow:
    """Of a client that takes its answer at once."""

    write_paused = False
    read_paused = True

    def resume_reading(self) -> None:
        self.read_paused = False


def cycle_of(
    kind: type[RequestResponseCycle], *, method: str = "POST", keep_alive: bool = True
) -> tuple[RequestResponseCycle, Transport, list[str]]:
    transport, done = Transport(), list[str]()
    cycle: Any = kind(
        scope={"type": "http", "method": method},  # type: ignore[arg-type, typeddict-item]
        transport=transport,  # type: ignore[arg-type]
        flow=Flow(),  # type: ignore[arg-type]
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: done.append("done"),
    )
    return cycle, transport, done


def start(headers: list[tuple[bytes, bytes]], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def answered(kind: type[RequestResponseCycle], messages: list[dict[str, Any]], **of: Any) -> Any:
    """What was written, in how many pieces, and what became of the connection."""
    cycle, transport, done = cycle_of(kind, **of)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    asyncio.run(cycle.run_asgi(app))
    told = b"".join(transport.written), transport.closed, done, cycle.response_complete
    return told, len(transport.written)


ANSWERS = {
    "whole": ([start(PLAIN), body(b"{}")], {}),
    "refusal": ([start(PLAIN, 429), body(b"{}")], {}),
    "no more on this connection": ([start(PLAIN), body(b"{}")], {"keep_alive": False}),
    "closed by the app": ([start([*PLAIN, (b"Connection", b"close")]), body(b"{}")], {}),
    "in two pieces": ([start(PLAIN), body(b"{", more=True), body(b"}")], {}),
    "of no known length": ([start([]), body(b"{", more=True), body(b"}")], {}),
    "chunked": ([start([(b"transfer-encoding", b"chunked")]), body(b"{}")], {}),
    "length in capitals": ([start([(b"Content-Length", b"2")]), body(b"{}")], {}),
    "length given twice": ([start([*PLAIN, (b"content-length", b"2")]), body(b"{}")], {}),
    "nothing": ([start([], 204), body(b"")], {}),
    "head only": ([start(PLAIN), body(b"{}")], {"method": "HEAD"}),
    "large": ([start([(b"content-length", b"100000")]), body(b"x" * 100_000)], {}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_that_of_uvicorn(name: str) -> None:
    messages, of = ANSWERS[name]
    assert answered(WholeAnswer, messages, **of)[0] == answered(RequestResponseCycle, messages, **of)[0]


def test_whole_answer_is_one_write() -> None:
    assert answered(WholeAnswer, [start(PLAIN), body(b"{}")])[1] == 1


@pytest.mark.parametrize(
    "headers",
    [
        [*PLAIN, (b"x-note", b"a\r\nset-cookie: b")],
        [*PLAIN, (b"x-note", b"a\nb")],
        [*PLAIN, (b"x-note\r\nx", b"a")],
        [*PLAIN, (b"x-note", b"a\x00")],
        [(b"content-length", b"1")],
        [(b"content-length", b"3")],
        [*PLAIN, (b"content-length", b"3")],
    ],
)
def test_what_must_not_go_out_does_not(headers: list[tuple[bytes, bytes]]) -> None:
    told, _ = answered(WholeAnswer, [start(headers), body(b"{}")])
    assert b"set-cookie" not in told[0]
    assert b"\x00" not in told[0]
    assert told == answered(RequestResponseCycle, [start(headers), body(b"{}")])[0]


def test_app_that_fails_before_its_body_is_answered_for() -> None:
    cycle, transport, _ = cycle_of(WholeAnswer)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(PLAIN))
        raise ZeroDivisionError

    asyncio.run(cycle.run_asgi(app))
    assert transport.written[0].startswith(b"HTTP/1.1 500 ")
    assert transport.closed


def test_client_that_left_is_written_nothing() -> None:
    cycle, transport, done = cycle_of(WholeAnswer)
    cycle.disconnected = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(PLAIN))
        await send(body(b"{}"))

    asyncio.run(cycle.run_asgi(app))
    assert transport.written == []
    assert done == []


def test_body_that_is_there_is_handed_over_once() -> None:
    cycle, _, _ = cycle_of(WholeAnswer)
    cycle.body += b"{}"
    cycle.more_body = False
    assert cycle.arrived() == b"{}"
    assert not cycle.flow.read_paused
    assert bytes(cycle.body) == b""


@pytest.mark.parametrize("state", ["more_body", "disconnected", "response_complete"])
def test_messages_tell_of_a_body_that_is_not_there(state: str) -> None:
    cycle, _, _ = cycle_of(WholeAnswer)
    cycle.body += b"{}"
    cycle.more_body = False
    setattr(cycle, state, True)
    assert cycle.arrived() is None
    assert bytes(cycle.body) == b"{}"


def test_second_answer_is_not_written() -> None:
    cycle, transport, _ = cycle_of(WholeAnswer)
    assert cycle.answer(200, PLAIN, b"{}")
    assert not cycle.answer(200, PLAIN, b"{}")
    assert len(transport.written) == 1


@pytest.mark.parametrize("pieces", [[b"{}"], [b"{", b"}"], [b"", b"{}"], [b""]])
def test_body_in_pieces_is_received_as_by_uvicorn(pieces: list[bytes]) -> None:
    async def received(kind: type[RequestResponseCycle]) -> list[Any]:
        cycle, _, _ = cycle_of(RequestResponseCycle)
        cycle.body += b"sent ahead "
        if kind is WholeAnswer:
            WholeAnswer.become(cycle)
        told = []
        for piece in pieces:
            cycle.body += piece
        for more in (True, False):
            cycle.more_body = more
            cycle.message_event.set()
            told.append((len(cycle.body), await cycle.receive()))
            cycle.body += b"more"
        return told

    assert asyncio.run(received(WholeAnswer)) == asyncio.run(received(RequestResponseCycle))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by messages"])
def test_what_was_answered_refers_to_itself_no_more(whole: bool) -> None:
    """Else every request would wait for the garbage collector, with its body."""
    cycle, _, _ = cycle_of(WholeAnswer)
    cycle.offer()
    seen = weakref.ref(cycle)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if whole:
            assert scope["extensions"][EXCHANGE].answer(200, PLAIN, b"{}")
        else:
            await send(start(PLAIN))
            await send(body(b"{", more=True))
            await send(body(b"}"))

    asyncio.run(cycle.run_asgi(app))
    gc.disable()
    try:
        del cycle
        assert seen() is None
    finally:
        gc.enable()
