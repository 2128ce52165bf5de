"""The micro-batcher by itself: batches, bounds, cancellation, closing."""

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from detector import Detector, Options, Ruling, Window
from detector.runtime import Outputs
from detector.windows import Batch
from service.batching import Batcher
from service.errors import DeadlinePassed, QueueFull
from tests.plant import SCALE, normal_operation


class Stage:
    """Stands between batcher and network: counts batches, holds them while shut."""

    def __init__(self, detector: Detector) -> None:
        self._runtime = detector.runtime
        self.name = "staged"
        self.sizes: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def run(self, batch: Batch) -> Outputs:
        self.sizes.append(len(batch))
        self.reached.set()
        assert self.open.wait(20)
        return self._runtime.run(batch)


class Uncounted:
    def batch(self, *_: object) -> None:
        raise RuntimeError("a defect in the metrics")

    def waiting(self, windows: int) -> None:
        pass


@pytest.fixture
def stage(tiny_detector: Detector) -> Stage:
    return Stage(tiny_detector)


@pytest.fixture
def batcher(tiny_detector: Detector, stage: Stage) -> Iterator[Batcher]:
    detector = Detector(tiny_detector.artefact, stage, tiny_detector.operation)
    batcher = Batcher(detector, queue_windows=20, batch_windows=8, observer=Uncounted())
    yield batcher
    stage.open.set()
    batcher.close(10)


def windows(count: int, seed: int = 0) -> list[Window]:
    return [Window(normal_operation(12, seed + k)) for k in range(count)]


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


async def until_reached(stage: Stage) -> None:
    await asyncio.to_thread(stage.reached.wait, 10)


def test_idle_model_answers_at_once(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        for _ in range(3):
            await batcher.judge(windows(1), Options(), soon())

    asyncio.run(run())
    assert stage.sizes == [1, 1, 1]


@pytest.mark.parametrize(("callers", "batches"), [(1, [1]), (6, [6]), (10, [8, 2])])
def test_who_comes_while_others_are_read_comes_along(
    batcher: Batcher, stage: Stage, callers: int, batches: list[int]
) -> None:
    async def run() -> None:
        tasks = []
        for _ in range(callers):  # one in each round of the event loop
            tasks.append(asyncio.create_task(batcher.judge(windows(1), Options(), soon())))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert stage.sizes == batches


def test_more_windows_than_a_batch_keep_their_order(
    batcher: Batcher, stage: Stage, tiny_detector: Detector
) -> None:
    judged = asyncio.run(batcher.judge(windows(20), Options(), soon()))
    assert stage.sizes == [8, 8, 4]
    alone = tiny_detector.judge(windows(20))
    assert [v.p_value for v in judged.verdicts] == [v.p_value for v in alone]


def test_requests_with_different_options_share_a_batch(batcher: Batcher, stage: Stage) -> None:
    async def run() -> list[bool]:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        plain = asyncio.create_task(batcher.judge(windows(2), Options(), soon()))
        explained = asyncio.create_task(batcher.judge(windows(2), Options(explain=True), soon()))
        await asyncio.sleep(0.05)
        stage.open.set()
        await first
        return [(await task).verdicts[0].contributions is not None for task in (plain, explained)]

    assert asyncio.run(run()) == [False, True]
    assert stage.sizes == [1, 4]


def test_budget_that_one_request_cannot_have_is_its_own_error(batcher: Batcher, stage: Stage) -> None:
    from detector.errors import UnsupportedBudget

    async def run() -> list[object]:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        tasks = [
            asyncio.create_task(batcher.judge(windows(1), options, soon()))
            for options in (Options(false_alarm_rate=1e-9), Options())
        ]
        await asyncio.sleep(0.05)
        stage.open.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    bad, good = asyncio.run(run())
    assert isinstance(bad, UnsupportedBudget)
    assert not isinstance(good, BaseException)


def test_full_queue_refuses_at_once_and_takes_more_once_it_is_empty(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        waiting = asyncio.create_task(batcher.judge(windows(18), Options(), soon()))
        await asyncio.sleep(0.05)
        assert batcher.waiting == 18
        with pytest.raises(QueueFull) as refused:
            await batcher.judge(windows(3), Options(), soon())
        assert refused.value.retry_after_s >= 1
        fits = asyncio.create_task(batcher.judge(windows(2), Options(), soon()))
        await asyncio.sleep(0.05)
        stage.open.set()
        await asyncio.gather(first, waiting, fits)
        assert batcher.waiting == 0

    asyncio.run(run())


def test_cancelled_caller_is_not_run_and_breaks_no_other(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        gone = asyncio.create_task(batcher.judge(windows(5), Options(), soon()))
        stays = asyncio.create_task(batcher.judge(windows(2), Options(), soon()))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        stage.open.set()
        assert len((await stays).verdicts) == 2
        await first

    asyncio.run(run())
    assert stage.sizes == [1, 2]


def test_caller_cancelled_while_its_batch_runs_breaks_no_other(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        first.cancel()
        stage.open.set()
        assert len((await batcher.judge(windows(1), Options(), soon())).verdicts) == 1

    asyncio.run(run())


def test_deadline_ends_the_wait_and_the_windows_are_not_run(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        started = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await batcher.judge(windows(2), Options(), soon(0.1))
        assert time.monotonic() - started < 5
        stage.open.set()
        await first

    asyncio.run(run())
    assert stage.sizes == [1]


def test_event_loop_stays_free_while_the_network_runs(batcher: Batcher, stage: Stage) -> None:
    async def run() -> int:
        stage.open.clear()
        task = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        ticks = 0
        while ticks < 20:
            await asyncio.sleep(0.005)
            ticks += 1
        assert not task.done()
        stage.open.set()
        await task
        return ticks

    assert asyncio.run(run()) == 20


def test_requests_that_arrive_together_are_run_together(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        await asyncio.gather(*(batcher.judge(windows(1), Options(), soon()) for _ in range(5)))

    asyncio.run(run())
    assert stage.sizes == [5]


def test_event_loop_does_not_wait_for_what_is_run_aside(
    batcher: Batcher, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.batching.TURN_S", 20.0)

    async def run() -> None:
        stage.open.clear()
        task = asyncio.create_task(batcher.judge(windows(1), Options(), soon(), aside=True))
        await until_reached(stage)
        stage.open.set()  # by the event loop, or by nobody
        assert len((await task).verdicts) == 1

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 10


def test_event_loop_waits_for_what_is_soon_done(
    batcher: Batcher, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.batching.TURN_S", 20.0)
    turns: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stage.open.clear()
        task = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        threading.Timer(0.3, stage.open.set).start()
        while not task.done():
            turns.append(loop.time())
            await asyncio.sleep(0)
        await task

    asyncio.run(run())
    assert max(later - earlier for earlier, later in pairwise(turns)) > 0.2


def test_closing_answers_what_waits_and_takes_nothing_more(batcher: Batcher, stage: Stage) -> None:
    async def run() -> None:
        stage.open.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        waiting = asyncio.create_task(batcher.judge(windows(10), Options(), soon()))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close, 10))
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull):
            await batcher.judge(windows(1), Options(), soon())
        stage.open.set()
        await closing
        assert len((await waiting).verdicts) == 10
        await first

    asyncio.run(run())
    assert not batcher.hangs(0.001)


def test_batch_equals_its_windows_alone(batcher: Batcher, tiny_detector: Detector) -> None:
    mixed = [Window(normal_operation(4 + k % 9, k)) for k in range(16)]
    together = asyncio.run(batcher.judge(mixed, Options(), soon())).verdicts
    for window, verdict in zip(mixed, together, strict=True):
        (alone,) = tiny_detector.judge([window])
        assert verdict.ruling == alone.ruling
        np.testing.assert_allclose(verdict.probabilities, alone.probabilities, atol=1e-6)


def test_evidence_is_that_of_each_anomalous_window_in_its_place(batcher: Batcher) -> None:
    mixed = windows(20)
    for place in range(0, 20, 3):
        mixed[place].values[:, place % 2] += 30 * SCALE[place % 2]
    judged = asyncio.run(batcher.judge(mixed, Options(), soon()))
    assert judged.evidence.shape == (20, 3)
    for place, (verdict, evidence) in enumerate(zip(judged.verdicts, judged.evidence, strict=True)):
        assert np.isfinite(evidence).all() == (verdict.ruling is Ruling.ANOMALOUS)
        if place % 3 == 0:
            assert verdict.ruling is Ruling.ANOMALOUS
            assert evidence.argmax() == place % 2


def test_request_that_could_not_be_in_time_is_refused_while_there_is_room(
    batcher: Batcher, stage: Stage
) -> None:
    async def run() -> None:
        for _ in range(3):
            stage.open.clear()
            slow = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
            await asyncio.sleep(0.3)  # so much takes one window, by now
            stage.open.set()
            await slow
        stage.open.clear()
        stage.reached.clear()
        first = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await until_reached(stage)
        waiting = asyncio.create_task(batcher.judge(windows(8), Options(), soon()))
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull) as refused:
            await batcher.judge(windows(1), Options(), soon(1))
        assert refused.value.retry_after_s in range(2, 4)
        patient = asyncio.create_task(batcher.judge(windows(1), Options(), soon()))
        await asyncio.sleep(0.05)
        stage.open.set()
        await asyncio.gather(first, waiting, patient)

    asyncio.run(run())
