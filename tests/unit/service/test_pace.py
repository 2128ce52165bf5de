"""What something takes now."""

import pytest

from service.pace import Pace


def test_pace_follows_what_things_take_now() -> None:
    pace = Pace(kept=0.9)
    for _ in range(50):
        pace.took(10, 1.0)
    assert pace.each_s == pytest.approx(0.1, rel=0.01)
    for _ in range(50):
        pace.took(100, 1.0)
    assert pace.each_s == pytest.approx(0.01, rel=0.05)


def test_one_thing_that_was_held_up_says_less_than_many_that_were_not() -> None:
    pace = Pace(kept=0.9)
    for _ in range(50):
        pace.took(10, 1.0)
    pace.took(1, 3.0)
    assert pace.each_s < 0.15
