"""Micro-batching: windows of many requests share one run of the network.

One worker thread per model. It takes whatever is waiting as soon as it is free, so nobody waits for a batch
to fill: an idle model answers at once, a busy one answers the next batch together.

While a batch runs that is soon done, the event loop waits for it: both need the interpreter, and to take it
from each other a thousand times a second costs a third of what one core can answer (docs/decisions/0032).
A batch that takes longer than a turn, whatever it was expected to take, runs beside the event loop.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import numpy as np
from msgspec import Struct

from detector import Detector, Options, Ruling, Scores, Verdict, Window
from detector.contributions import explain
from detector.runtime import Outputs
from detector.windows import Batch, Floats
from service.errors import DeadlinePassed, QueueFull
from service.pace import Pace
from service.patience import alarm_of

_SLOWEST_RETRY_S = 60
# The longest that the event loop waits for a batch.
TURN_S = 0.01
# Weight of all batches before the newest, in what a window takes.
_KEPT = 0.9
_log = logging.getLogger(__name__)


class BatchObserver(Protocol):
    """What the metrics are told of a queue."""

    def batch(
        self, windows: Sequence[Window], batch: Batch, outputs: Outputs, scores: Scores, seconds: float
    ) -> None:
        """Every batch, in the worker's thread. seconds: that the batch took."""

    def waiting(self, windows: int) -> None:
        """How many windows wait, whenever that changes; for one thread at a time."""


class Judged(Struct, frozen=True):
    """The verdicts of one request, and where its time went, seconds.

    evidence: (windows, sensors), how strange each sensor of an anomalous window is (`Operation.evidence`),
        and of any other that was to be explained; NaN for the rest.
    """

    verdicts: list[Verdict]
    evidence: Floats
    queue_s: float
    infer_s: float
    verdict_s: float


@dataclass(eq=False, slots=True)
class _Job:
    """Windows that are run together. deadline, submitted: seconds of time.monotonic.

    aside: the event loop does not wait for them.
    """

    windows: Sequence[Window]
    options: Options
    deadline: float
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Judged]"
    aside: bool = False
    submitted: float = field(default_factory=time.monotonic)
    abandoned: bool = False

    def abandon(self) -> None:
        """Nobody waits for it any more, and whatever it came to is of no interest."""
        self.abandoned = True
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()

    def ring(self) -> None:
        """Its time is over."""
        if not self.future.done():
            self.future.set_exception(DeadlinePassed("the answer was not ready in time"))


_Result = tuple[_Job, Judged | Exception]


class _Bell:
    """One thread rings, one other waits to hear it. Rung again before it was heard, it is heard once.

    A bare lock: Condition and Event make one anew for each wait, and take several of them.
    """

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # it was rung already
            self._silence.release()

    def heard(self, timeout_s: float = -1) -> bool:
        """Wait, -1: for ever. Whether it was rung by then."""
        return self._silence.acquire(timeout=timeout_s)

    def forget(self) -> None:
        """What was rung until now."""
        self._silence.acquire(blocking=False)


class Batcher:
    """The queue in front of one model and the thread behind it."""

    def __init__(
        self, detector: Detector, *, queue_windows: int, batch_windows: int, observer: BatchObserver
    ) -> None:
        self._detector = detector
        self._limit = queue_windows
        self._batch_windows = batch_windows
        self._observer = observer
        self._jobs: deque[_Job] = deque()
        # For all that is set below.
        self._lock = threading.Lock()
        self._closed = False
        self._waiting = 0
        # The event loop in which a turn is to come; the one that waits in its turn, and what it finds then.
        self._turn_due: asyncio.AbstractEventLoop | None = None
        self._waited_by: asyncio.AbstractEventLoop | None = None
        self._settled: list[_Result] = []
        self._busy_since: float | None = None
        self._wake, self._rested = _Bell(), _Bell()
        self._pace = Pace(_KEPT)
        name = f"{detector.manifest.name}/{detector.manifest.version}"
        self._thread = threading.Thread(target=self._work, name=f"offnormal {name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Windows in the queue, without those that are being run."""
        return self._waiting

    def hangs(self, after_s: float) -> bool:
        """Whether the worker died, or has been at one batch for longer than `after_s`."""
        since = self._busy_since
        return (not self._thread.is_alive() and not self._closed) or (
            since is not None and time.monotonic() - since > after_s
        )

    async def judge(
        self, windows: Sequence[Window], options: Options, deadline: float, *, aside: bool = False
    ) -> Judged:
        """Verdicts in the order of the windows.

        deadline: time.monotonic seconds. aside: nobody is in a hurry, and the event loop is to go on.
        Raises QueueFull at once, also where the wait would outlast the
        deadline; DeadlinePassed, or what the model raises.
        """
        loop = asyncio.get_running_loop()
        size = self._batch_windows
        jobs = [
            _Job(windows[start : start + size], options, deadline, loop, loop.create_future(), aside)
            for start in range(0, len(windows), size)
        ]
        self._submit(jobs, len(windows), deadline)
        alarm = alarm_of(loop)
        try:
            for job in jobs:
                alarm.add(job, deadline)
            parts = []
            for job in jobs:
                parts.append(await job.future)
        finally:
            for job in jobs:
                alarm.drop(job)
                job.abandon()
        return parts[0] if len(parts) == 1 else _joined(parts)

    def close(self, timeout_s: float) -> None:
        """Finish what is queued, accept nothing more, end the thread."""
        with self._lock:
            self._closed = True
        self._wake.ring()
        self._thread.join(timeout_s)

    def _submit(self, jobs: Sequence[_Job], count: int, deadline: float) -> None:
        with self._lock:
            wait_s = self._waiting * self._pace.each_s
            retry_after_s = min(max(math.ceil(wait_s), 1), _SLOWEST_RETRY_S)
            if self._closed or self._waiting + count > self._limit:
                raise QueueFull(
                    f"{self._waiting} windows wait for this model, {count} more do not fit",
                    retry_after_s=retry_after_s,
                )
            # What cannot be in time would only make the others late. With nothing waiting it is tried,
            # or one slow batch could close the queue for good.
            if self._waiting and time.monotonic() + wait_s > deadline:
                raise QueueFull(
                    f"the {self._waiting} windows that wait for this model take some {wait_s:.1f} s, "
                    "longer than this request has",
                    retry_after_s=retry_after_s,
                )
            self._jobs.extend(jobs)
            self._waiting += count
            self._observer.waiting(self._waiting)
            self._ask_for_turn(jobs[0].loop)

    def _ask_for_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """On that event loop, holding the lock. A worker that is busy takes by itself what waits."""
        if self._turn_due is not loop and self._busy_since is None:
            self._turn_due = loop
            loop.call_soon(self._gather, loop, 0)

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Begin the turn once nobody came in the event loop's last round: who has arrived is read first, and
        comes along. before: windows that waited in the round before."""
        waiting = self._waiting
        if before < waiting < self._batch_windows:
            loop.call_soon(self._gather, loop, waiting)
        else:
            self._turn(loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the worker run what waits, and wait for it if that is soon done."""
        with self._lock:
            self._turn_due = None
            if self._busy_since is not None or not self._jobs:
                return
            first = self._jobs[0]
            soon = not first.aside and len(first.windows) * self._pace.each_s <= TURN_S
            self._busy_since = time.monotonic()
            self._rested.forget()
            if soon:
                self._waited_by = loop
        self._wake.ring()
        if soon:
            self._rested.heard(TURN_S)
            with self._lock:
                self._waited_by = None
                results, self._settled = self._settled, []
            _settle(results)

    def _work(self) -> None:
        while jobs := self._take():
            self._run(jobs)
            self._rest()

    def _rest(self) -> None:
        """Until the next turn, unless something waits."""
        with self._lock:
            if self._jobs or self._closed:
                self._busy_since = time.monotonic()
            else:
                self._busy_since = None
                self._rested.ring()

    def _take(self) -> list[_Job]:
        """As many waiting jobs as fit one batch, at least one; none only once closed and empty."""
        while True:
            with self._lock:
                if self._busy_since is not None or self._closed:
                    taken = self._take_some()
                    if taken:
                        return taken
                    if self._jobs:
                        continue
                    self._busy_since = None  # nobody waited for any of them
                    self._rested.ring()
                    if self._closed:
                        return []
            self._wake.heard()

    def _take_some(self) -> list[_Job]:
        """None of those for which nobody waits any more. Holding the lock."""
        taken: list[_Job] = []
        count = 0
        while self._jobs and (not taken or count + len(self._jobs[0].windows) <= self._batch_windows):
            job = self._jobs.popleft()
            self._waiting -= len(job.windows)
            # Running what nobody waits for any more would only make the others late.
            if not job.abandoned and time.monotonic() < job.deadline:
                taken.append(job)
                count += len(job.windows)
        self._observer.waiting(self._waiting)
        return taken

    def _run(self, jobs: Sequence[_Job]) -> None:
        started = time.monotonic()
        windows = [window for job in jobs for window in job.windows]
        try:
            batch, outputs = self._detector.run(windows)
            scores = self._detector.interpret(windows, batch, outputs)
            inferred = time.monotonic()
            ruled = [self._rule(job, scores, first) for job, first in zip(jobs, _places(jobs), strict=True)]
            evidence = self._evidence(jobs, ruled, scores)
            results = self._results(jobs, ruled, scores, evidence, started, inferred)
        except Exception as error:
            if len(jobs) == 1:
                self._deliver([(jobs[0], error)])
            else:  # one request's windows must not cost the others their answer
                for job in jobs:
                    self._run([job])
            return
        self._deliver(results)
        try:
            self._observer.batch(windows, batch, outputs, scores, time.monotonic() - started)
        except Exception:  # a defect in the metrics must not stop the model
            _log.exception("the batch could not be counted")
        self._pace.took(len(windows), time.monotonic() - started)

    def _rule(self, job: _Job, scores: Scores, first: int) -> list[Verdict] | Exception:
        """Verdicts of one request, still without contributions, or what is wrong with it alone."""
        try:
            return [
                self._detector.verdict(window, scores, first + index, job.options)
                for index, window in enumerate(job.windows)
            ]
        except Exception as error:
            return error

    def _evidence(
        self, jobs: Sequence[_Job], ruled: Sequence[list[Verdict] | Exception], scores: Scores
    ) -> Floats:
        """Of all windows of a batch that need it, (windows, sensors), at once: one by one it would cost more
        than to score them. NaN for the others."""
        evidence = np.full((len(scores.combined), len(self._detector.sensors)), np.nan)
        wanted = [
            first + index
            for job, verdicts, first in zip(jobs, ruled, _places(jobs), strict=True)
            if not isinstance(verdicts, Exception)
            for index, verdict in enumerate(verdicts)
            if verdict.ruling is Ruling.ANOMALOUS
            or (job.options.explain and verdict.ruling is not Ruling.CANNOT_JUDGE)
        ]
        if wanted:
            evidence[wanted] = self._detector.evidence(scores, wanted)
        return evidence

    def _results(
        self,
        jobs: Sequence[_Job],
        ruled: Sequence[list[Verdict] | Exception],
        scores: Scores,
        evidence: Floats,
        started: float,
        inferred: float,
    ) -> list[_Result]:
        # Of the whole batch at once: request by request it would cost several times as much.
        told = (
            self._detector.contributions(scores, evidence) if any(job.options.explain for job in jobs) else []
        )
        results: list[_Result] = []
        for job, verdicts, first in zip(jobs, ruled, _places(jobs), strict=True):
            if isinstance(verdicts, Exception):
                results.append((job, verdicts))
                continue
            rows = slice(first, first + len(verdicts))
            answers = list(map(explain, verdicts, told[rows])) if job.options.explain else verdicts
            took_s = time.monotonic() - inferred
            results.append(
                (job, Judged(answers, evidence[rows], started - job.submitted, inferred - started, took_s))
            )
        return results

    def _deliver(self, results: Sequence[_Result]) -> None:
        """Hand results over to the event loops that wait for them, once per loop. One that waits in its turn
        finds them at the end of it; others have to be woken."""
        for loop in {job.loop for job, _ in results}:
            mine = [(job, result) for job, result in results if job.loop is loop]
            with self._lock:
                if self._waited_by is loop:
                    self._settled += mine
                    continue
            try:
                loop.call_soon_threadsafe(_settle, mine)
            except RuntimeError:
                continue  # that loop is closed, and nobody waits on it


def _places(jobs: Sequence[_Job]) -> Iterator[int]:
    """Where each job's windows begin in the batch."""
    return accumulate((len(job.windows) for job in jobs[:-1]), initial=0)


def _settle(results: Sequence[_Result]) -> None:
    for job, result in results:
        if job.future.done():
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)


def _joined(parts: Sequence[Judged]) -> Judged:
    return Judged(
        [verdict for part in parts for verdict in part.verdicts],
        np.concatenate([part.evidence for part in parts]),
        max(part.queue_s for part in parts),
        sum(part.infer_s for part in parts),
        sum(part.verdict_s for part in parts),
    )
