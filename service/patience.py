"""Waiting no longer than until a deadline, with one alarm for all that wait on an event loop.

`asyncio.timeout` sets a timer for each wait and takes it away again, although nearly every wait ends in time;
in a request that takes 300 microseconds that is 20 of them (docs/decisions/0015).
"""

import asyncio
import math
import time
from types import TracebackType
from typing import Protocol


class until:  # noqa: N801  a context manager that reads like asyncio.timeout
    """`with until(deadline):` raises TimeoutError at the deadline, time.monotonic seconds.

    For use within a task, which is interrupted where it waits. A cancellation of the task by somebody else
    stays one. A deadline that has passed already ends the first wait.
    """

    __slots__ = ("_alarm", "_cancelling", "_deadline", "_task", "rung")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.rung = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for what waits in a task")
        loop = task.get_loop()
        self._task, self._cancelling = task, task.cancelling()
        self._alarm = alarm_of(loop)
        self._alarm.add(self, self._deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.drop(self)
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


class Waiting(Protocol):
    """What can be told that its time is over. It is looked up by identity."""

    def ring(self) -> None: ...


class Alarm:
    """Rings at the earliest deadline. Set anew only for one that is earlier than what it is set for: what it
    is set for has mostly ended long before, and then it looks for the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waits: dict[Waiting, float] = {}
        self._at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def add(self, wait: Waiting, deadline: float) -> None:
        """deadline: time.monotonic seconds; one that has passed already rings in the loop's next turn."""
        self._waits[wait] = deadline
        if deadline < self._at:
            self._set(deadline)

    def drop(self, wait: Waiting) -> None:
        """It has ended, or has been rung."""
        self._waits.pop(wait, None)

    def _set(self, deadline: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._at = deadline
        self._handle = self._loop.call_later(max(deadline - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        self._handle, self._at = None, math.inf
        now = time.monotonic()
        for wait in [wait for wait, deadline in self._waits.items() if deadline <= now]:
            del self._waits[wait]
            wait.ring()
        if self._waits:
            self._set(min(self._waits.values()))


_alarms: dict[asyncio.AbstractEventLoop, Alarm] = {}


def alarm_of(loop: asyncio.AbstractEventLoop) -> Alarm:
    return _alarms.get(loop) or _new_alarm(loop)


def _new_alarm(loop: asyncio.AbstractEventLoop) -> Alarm:
    for closed in [known for known in list(_alarms) if known.is_closed()]:
        _alarms.pop(closed, None)
    return _alarms.setdefault(loop, Alarm(loop))
