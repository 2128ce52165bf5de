"""Whom was just refused is not read from again at once: there would be nothing but refusals."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl

# So many are read from again in one turn of the event loop.
_AT_ONCE = 128


class Rest:
    """Connections that are not read from for a turn of the event loop or more; first come, first read.

    The loop reads whatever can be read before it does anything else. Many callers who ask again as soon as
    they are refused would keep it at that, and whoever was let in would wait for all of them.
    """

    def __init__(self) -> None:
        self._resting: deque[FlowControl] = deque()
        self._due = False

    def __len__(self) -> int:
        return len(self._resting)

    def send(self, flow: "FlowControl", loop: asyncio.AbstractEventLoop) -> None:
        """Read nothing from this connection until its turn comes."""
        flow.pause_reading()
        self._resting.append(flow)
        if not self._due:
            self._due = True
            loop.call_soon(self._end_some, loop)

    def _end_some(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(len(self._resting), _AT_ONCE)):
            self._resting.popleft().resume_reading()
        self._due = bool(self._resting)
        if self._due:
            loop.call_soon(self._end_some, loop)
