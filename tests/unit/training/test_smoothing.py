"""Offsets of normal windows: wide where few levels were seen, never below the least."""

import numpy as np
import pytest

from training.smoothing import LEAST_OFFSET, offset_deviations

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
