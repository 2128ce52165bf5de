"""Waiting no longer than until a deadline, with one timer for all that wait on an event loop.

`asyncio.timeout` sets a timer for each wait and takes it away again, although nearly every wait ends in time;
in a request that takes 300 microseconds that is 20 of them (docs/decisions/0015).
"""

import asyncio
import math
import time
from types import TracebackType


class until:  # noqa: N801  a context manager that reads like asyncio.timeout
    """`with until(deadline):` raises TimeoutError at the deadline, time.monotonic seconds.

    For use within a task, which is interrupted where it waits. A cancellation of the task by somebody else
    stays one. A deadline that has passed already ends the first wait.
    """

    __slots__ = ("_cancelling", "_deadline", "_task", "_timer", "rung")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.rung = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for what waits in a task")
        loop = task.get_loop()
        self._task, self._cancelling = task, task.cancelling()
        self._timer = _timers.get(loop) or _timer_of(loop)
        self._timer.add(self, self._deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.waits.pop(self, None)
        # Nobody else cancelled the task: the cancellation ends here.
        if (
            self.rung
            and self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error

    def ring(self) -> None:
        self.rung = True
        self._task.cancel()


class _Timer:
    """Rings at the earliest deadline. Set anew only for one that is earlier than what it is set for: what it
    is set for has mostly ended long before, and then it looks for the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waits: dict[until, float] = {}
        self._at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def add(self, wait: until, deadline: float) -> None:
        self.waits[wait] = deadline
        if deadline < self._at:
            self._set(deadline)

    def _set(self, deadline: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._at = deadline
        self._handle = self._loop.call_later(max(deadline - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        self._handle, self._at = None, math.inf
        now = time.monotonic()
        for wait in [wait for wait, deadline in self.waits.items() if deadline <= now]:
            del self.waits[wait]
            wait.ring()
        if self.waits:
            self._set(min(self.waits.values()))


_timers: dict[asyncio.AbstractEventLoop, _Timer] = {}


def _timer_of(loop: asyncio.AbstractEventLoop) -> _Timer:
    for closed in [known for known in list(_timers) if known.is_closed()]:
        _timers.pop(closed, None)
    return _timers.setdefault(loop, _Timer(loop))
