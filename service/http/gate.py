"""Who is let in when more comes than can be answered: nobody who would have to wait for long.

The queue of a model (service/batching.py) is bounded by itself. But where requests are many and small,
reading and writing them is what takes the time, and they would wait unseen in front of it.
"""

import math
import time
from collections.abc import Callable

from starlette.types import Scope

from service.errors import QueueFull
from service.pace import Pace

# So many are let in whatever was measured: one request that was held up must not close the door.
ALWAYS = 16
# Of the last twenty bursts or so.
_KEPT = 0.95
# Answers follow one another batch by batch. Those that come sooner than this are of one burst: were each of
# them a report of its own, the wait before the first would be forgotten with the others.
_BURST_S = 0.001
# Seldom asked for, by few, and long: to wait for these is no sign of too much work.
_APART = ("/assets", "/models")
_SLOWEST_RETRY_S = 60
# So long a request whose body is still to come keeps its place; a slower one keeps nobody out.
_BODY_S = 1.0
TURN = "offnormal.turn"


class Line:
    """Requests that have arrived whole and wait for their answer, and those let in whose body is on its way:
    large bodies arrive in pieces, many at once, and all of them would be let in before the first is whole.
    Used by the event loop alone.

    clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = Pace(_KEPT)
        self._waiting = 0
        # Answered since the last report, from when on, and when the newest.
        self._answered = 0
        self._since = self._newest = 0.0
        # By when each gives up its place, the earliest first.
        self._coming: dict[object, float] = {}

    @property
    def wait_s(self) -> float:
        """What the next one would wait, by the pace of the last; 0 for as many as are always let in."""
        before = self.waiting
        return before * self._pace.each_s if before >= ALWAYS else 0.0

    @property
    def waiting(self) -> int:
        """How many are before the next one."""
        now = self._clock()
        while self._coming and self._coming[late := next(iter(self._coming))] < now:
            del self._coming[late]
        return self._waiting + len(self._coming)

    def expect(self, comer: object) -> None:
        """One more is let in, and its body not there yet."""
        self._coming[comer] = self._clock() + _BODY_S

    def expect_no_more(self, comer: object) -> None:
        """It has come, or never will."""
        self._coming.pop(comer, None)

    def join(self) -> None:
        if self._waiting == 0:
            self._report()
            self._since = self._newest = self._clock()
        self._waiting += 1

    def leave(self, refused: bool = False) -> None:
        """Answered. Time in which nobody waited does not count, and whoever was refused after all, by a queue
        that is full, is no sign of how fast the others are answered."""
        self._waiting -= 1
        if not refused:
            now = self._clock()
            if now - self._newest >= _BURST_S:
                self._report()
            self._answered += 1
            self._newest = now

    def _report(self) -> None:
        if self._answered:
            self._pace.took(self._answered, self._newest - self._since)
            self._answered, self._since = 0, self._newest


class Turn:
    """One request's place in the line: kept for it from its head on, taken once it has arrived whole.

    Either may be called again.
    """

    __slots__ = ("_left", "_line", "_taken")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._taken = self._left = False
        line.expect(self)

    def take(self) -> None:
        if not self._taken and not self._left:
            self._taken = True
            self._line.expect_no_more(self)
            self._line.join()

    def leave(self, refused: bool = False) -> None:
        if self._taken and not self._left:
            self._line.leave(refused)
        self._line.expect_no_more(self)
        self._left = True


class Gate:
    """Decides at the head of a request whether it comes in. Used by the event loop alone.

    max_wait_s: what is too long to wait.
    """

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self.line = Line()

    @staticmethod
    def concerns(scope: Scope) -> bool:
        """Whether this request asks for work that others have to wait for."""
        return scope["type"] == "http" and scope["method"] == "POST" and not scope["path"].startswith(_APART)

    def refuses(self, scope: Scope, waited_s: float = 0.0) -> QueueFull | None:
        """Why this request, which concerns the gate, is not let in.

        waited_s: how long it lay unread before, as far as is known.
        """
        wait_s = waited_s + self.line.wait_s
        if wait_s <= self._max_wait_s:
            return None
        return QueueFull(
            f"{self.line.waiting} requests wait, and with them this one would for some {wait_s:.1f} s",
            retry_after_s=min(math.ceil(wait_s), _SLOWEST_RETRY_S),
        )

    def let_in(self, scope: Scope) -> Turn:
        """Note that it was decided; whoever knows first that the body has arrived takes the turn."""
        turn = scope[TURN] = Turn(self.line)
        return turn
