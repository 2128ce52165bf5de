"""Offsets of windows: wide where few levels were seen, never below the least, and as sensors go together."""

import numpy as np
import pytest

from training.smoothing import LEAST_OFFSET, offset_deviations, offset_mixing

STEPS = 10


def deviations(rows: np.ndarray) -> np.ndarray:
    return offset_deviations(rows.astype(np.float32), np.arange(STEPS - 1, len(rows)), STEPS)


def wandering(rows: int) -> np.ndarray:
    """A sensor that holds each of many levels for a while, and one whose level never moves."""
    rng = np.random.default_rng(0)
    held = np.repeat(rng.standard_normal(-(-rows // 50)), 50)[:rows]
    return np.stack([held / max(held.std(), 1e-9), rng.standard_normal(rows)], axis=1)


def test_a_level_that_wanders_is_moved_by_the_bandwidth_of_its_density():
    wide, least = deviations(wandering(1000))
    # 99 windows share no step.
    assert wide == pytest.approx(1.06 * 99**-0.2, rel=0.1)
    assert least == LEAST_OFFSET


def test_fewer_windows_are_moved_further():
    few, many = deviations(wandering(300))[0], deviations(wandering(20_000))[0]
    assert few > deviations(wandering(1000))[0] > many == LEAST_OFFSET


def test_a_machine_that_never_settles_is_not_moved_beyond_all_faults():
    assert deviations(100 * wandering(1000)).max() < 0.5


def test_a_sensor_that_was_never_seen_and_windows_with_gaps_have_an_offset_too():
    rows = wandering(1000)
    rows[::3, 0] = np.nan
    rows[:, 1] = np.nan
    found = deviations(rows)
    assert found[0] > LEAST_OFFSET
    assert found[1] == LEAST_OFFSET


def test_one_window_is_enough():
    assert (deviations(wandering(STEPS)) >= LEAST_OFFSET).all()


def correlations(rows: np.ndarray) -> np.ndarray:
    mixing = offset_mixing(rows.astype(np.float32), np.arange(STEPS - 1, len(rows)), STEPS)
    return mixing.T @ mixing


def together(rows: int) -> np.ndarray:
    """Two sensors that wander together, and one by itself."""
    rng = np.random.default_rng(1)
    first, second = np.repeat(rng.standard_normal((2, -(-rows // STEPS))), STEPS, axis=1)[:, :rows]
    return np.stack([first, 3.0 * first + 0.1 * second, second], axis=1)


def test_sensors_that_go_together_are_moved_together():
    assert correlations(together(20_000)) == pytest.approx(
        np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), abs=0.1
    )


def test_of_few_windows_little_is_believed():
    few, many = correlations(together(30)), correlations(together(3000))
    assert abs(few[0, 1]) < many[0, 1]
    assert few.diagonal() == pytest.approx(1.0)


def test_a_sensor_that_never_moves_or_was_never_seen_is_moved_by_itself():
    rows = together(1000)
    rows[:, 1], rows[:, 2] = 5.0, np.nan
    found = correlations(rows)
    assert np.isfinite(found).all()
    assert found == pytest.approx(np.eye(3), abs=0.01)


def test_one_window_says_nothing_of_what_goes_together():
    assert correlations(together(STEPS)) == pytest.approx(np.eye(3))
