"""How long the next request would wait, by a clock that the test moves."""

import pytest

from service.http.gate import Line


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Line:
    """One that has answered many requests, each in 10 ms."""
    line = Line(clock)
    for _ in range(500):
        line.join()
        clock.now += 0.01
        line.leave()
    return line


def test_wait_is_what_those_before_take(line: Line) -> None:
    for _ in range(100):
        line.join()
    assert line.wait_s == pytest.approx(1.0, rel=0.02)


def test_requests_that_are_answered_together_count_by_what_each_takes(line: Line, clock: Clock) -> None:
    for _ in range(50):
        for _ in range(20):
            line.join()
        clock.now += 0.02
        for _ in range(20):
            line.leave()
    for _ in range(100):
        line.join()
    assert line.wait_s == pytest.approx(0.1, rel=0.15)


def test_time_in_which_nobody_waits_is_no_sign_of_slowness(line: Line, clock: Clock) -> None:
    clock.now += 3600
    for _ in range(100):
        line.join()
    assert line.wait_s == pytest.approx(1.0, rel=0.02)


def test_few_are_always_let_in_however_slow_it_was(clock: Clock) -> None:
    line = Line(clock)
    line.join()
    clock.now += 600
    line.leave()
    for _ in range(15):
        line.join()
    assert line.wait_s == 0
    line.join()
    assert line.wait_s > 1
