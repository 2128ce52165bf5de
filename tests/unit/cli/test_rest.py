"""Connections that are not read from for a while, in an event loop that the test turns."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from cli.rest import Rest


class Flow:
    """Whether a connection is read from."""

    def __init__(self) -> None:
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Loop:
    """Runs what was called for, one turn at a time."""

    def __init__(self) -> None:
        self._next: list[Callable[[], None]] = []

    def call_soon(self, function: Any, *arguments: Any) -> None:
        self._next.append(lambda: function(*arguments))

    def turn(self) -> int:
        """How many functions were called."""
        now, self._next = self._next, []
        for function in now:
            function()
        return len(now)


def resting(count: int) -> tuple[Rest, list[Flow], Loop]:
    rest, flows, loop = Rest(), [Flow() for _ in range(count)], Loop()
    for flow in flows:
        rest.send(cast(Any, flow), cast(asyncio.AbstractEventLoop, loop))
    return rest, flows, loop


def test_connection_is_not_read_from_before_the_next_turn() -> None:
    _, (flow,), loop = resting(1)
    assert not flow.reading
    loop.turn()
    assert flow.reading


def test_a_turn_lets_so_many_be_read_from_in_the_order_of_their_coming() -> None:
    rest, flows, loop = resting(300)
    loop.turn()
    assert [flow.reading for flow in flows] == [True] * 128 + [False] * 172
    assert len(rest) == 172


def test_all_are_read_from_in_the_end_and_the_loop_is_left_alone() -> None:
    _, flows, loop = resting(300)
    while loop.turn():
        pass
    assert all(flow.reading for flow in flows)


def test_whoever_comes_later_is_read_from_too() -> None:
    rest, _, loop = resting(1)
    loop.turn()
    later = Flow()
    rest.send(cast(Any, later), cast(asyncio.AbstractEventLoop, loop))
    loop.turn()
    assert later.reading
