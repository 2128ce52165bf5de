"""How long the next request would wait, by a clock that the test moves."""

import pytest

from service.http.gate import Gate, Line, Turn


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
    for _ in range(200):
        for _ in range(20):
            line.join()
        clock.now += 0.02
        for _ in range(20):
            line.leave()
    for _ in range(100):
        line.join()
    assert line.wait_s == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("asked", [0, 7, 15])
def test_wait_is_the_same_wherever_in_a_burst_it_is_asked_for(line: Line, clock: Clock, asked: int) -> None:
    for _ in range(100):
        line.join()
    for _ in range(200):
        clock.now += 0.0318
        for place in range(16):
            if place == asked:
                waited_s = line.wait_s / line.waiting
            line.leave()
            clock.now += 0.0000125
            line.join()
    assert waited_s == pytest.approx(0.002, rel=0.01)


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


def test_who_is_refused_after_all_says_nothing_about_the_pace(line: Line, clock: Clock) -> None:
    for _ in range(500):
        line.join()
        line.join()
        line.leave(refused=True)
        clock.now += 0.01
        line.leave()
    for _ in range(100):
        line.join()
    assert line.wait_s == pytest.approx(1.0, rel=0.02)


def test_large_bodies_on_their_way_have_their_place(line: Line) -> None:
    """Else all whose heads are read in one turn of the event loop would be let in, however many."""
    turns = [Turn(line) for _ in range(100)]
    assert line.wait_s == pytest.approx(1.0, rel=0.02)
    for turn in turns[:50]:
        turn.take()
    for turn in turns[80:]:
        turn.leave()
    assert line.waiting == 80


def test_body_that_does_not_come_keeps_nobody_out(line: Line, clock: Clock) -> None:
    turns = [Turn(line) for _ in range(100)]
    clock.now += 1.1
    late = Turn(line)
    assert line.waiting == 1
    late.take()
    turns[0].take()
    assert line.waiting == 2


POST = {"type": "http", "method": "POST", "path": "/classify"}


def test_time_that_a_request_lay_unread_counts_towards_its_wait() -> None:
    gate = Gate(max_wait_s=0.5)
    assert gate.refuses(POST, 0.4) is None
    refused = gate.refuses(POST, 0.6)
    assert refused is not None
    assert refused.retry_after_s == 1


def test_unread_time_and_the_line_are_added() -> None:
    gate = Gate(max_wait_s=0.5)
    for _ in range(300):  # by the pace that is taken for granted at first, 1 ms each
        gate.line.join()
    assert gate.refuses(POST) is None
    assert gate.refuses(POST, 0.3) is not None


@pytest.mark.parametrize(
    "scope",
    [
        {**POST, "method": "GET"},
        {**POST, "path": "/models/reload"},
        {**POST, "path": "/assets/P-101/baseline"},
        {**POST, "type": "lifespan"},
    ],
    ids=["a question", "a reload", "a baseline", "no request"],
)
def test_gate_has_nothing_to_say_to(scope: dict[str, str]) -> None:
    assert Gate.concerns(POST)
    assert not Gate.concerns(scope)


def test_turn_is_taken_and_left_once(line: Line) -> None:
    turn = Turn(line)
    turn.take()
    turn.take()
    assert line.waiting == 1
    turn.leave()
    turn.leave()
    assert line.waiting == 0


def test_body_that_arrives_after_the_answer_takes_no_turn(line: Line) -> None:
    turn = Turn(line)
    turn.leave()
    turn.take()
    assert line.waiting == 0
