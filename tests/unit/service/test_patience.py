"""Deadlines that share one timer behave as asyncio's own timeouts do."""

import asyncio
import gc
import time
import weakref

import pytest
import uvloop

from service.patience import until


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    def run(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


def soon(seconds):
    return time.monotonic() + seconds


def test_a_wait_that_lasts_too_long_ends_at_its_deadline(run):
    async def waits():
        started = time.monotonic()
        with pytest.raises(TimeoutError), until(soon(0.05)):
            await asyncio.sleep(20)
        return time.monotonic() - started

    assert 0.04 < run(waits()) < 5


def test_a_wait_that_ends_in_time_returns_and_nothing_rings_later(run):
    async def waits():
        with until(soon(0.05)):
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        return "undisturbed"

    assert run(waits()) == "undisturbed"


def test_a_deadline_that_has_passed_ends_the_first_wait(run):
    async def waits():
        with pytest.raises(TimeoutError), until(soon(-1)):
            await asyncio.sleep(20)

    run(waits())


def test_an_earlier_deadline_that_comes_later_rings_first(run):
    ended = []

    async def wait(name, seconds):
        with pytest.raises(TimeoutError), until(soon(seconds)):
            await asyncio.sleep(20)
        ended.append(name)

    async def waits():
        tasks = [asyncio.create_task(wait(*each)) for each in (("c", 0.15), ("a", 0.05), ("b", 0.1))]
        await asyncio.gather(*tasks)

    run(waits())
    assert ended == ["a", "b", "c"]


def test_the_timer_goes_on_after_the_wait_that_it_was_set_for_ended(run):
    async def waits():
        with until(soon(0.02)):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), until(soon(0.1)):
            await asyncio.sleep(20)

    run(waits())


def test_a_cancellation_from_elsewhere_stays_one(run):
    async def wait():
        with until(soon(20)):
            await asyncio.sleep(20)

    async def waits():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(waits())


def test_an_error_of_what_waits_is_passed_on(run):
    async def waits():
        with until(soon(20)):
            raise KeyError("its own")

    with pytest.raises(KeyError):
        run(waits())


def test_the_outer_of_two_deadlines_ends_both(run):
    async def waits():
        with pytest.raises(TimeoutError), until(soon(0.05)), until(soon(20)):
            await asyncio.sleep(20)

    run(waits())


def test_a_loop_that_is_gone_is_let_go_of_when_the_next_one_waits(run):
    async def waits():
        with until(soon(20)):
            await asyncio.sleep(0)
        return weakref.ref(asyncio.get_running_loop())

    loop = run(waits())
    other = run(waits())
    gc.collect()
    assert loop() is None
    assert other() is not None
