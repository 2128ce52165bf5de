"""What is measured of each sensor of a window, against the same in plain words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.statistics import FLOOR, levels, window_statistics

readings = arrays(np.float32, (2, 6, 3), elements=st.floats(-1000, 1000, width=32))
masks = arrays(np.bool_, (2, 6, 3))


def given_as_the_network_gives_it(values, observed):
    return np.where(observed, values, np.float32(0))


@given(readings, masks)
def test_statistics_are_those_of_the_observed_readings_alone(values, observed):
    found = window_statistics(given_as_the_network_gives_it(values, observed), observed)
    for window, sensor in np.ndindex(2, 3):
        seen = observed[window, :, sensor]
        column = values[window, :, sensor].astype(np.float64)
        changes = [column[k + 1] - column[k] for k in range(5) if seen[k] and seen[k + 1]]
        expected = (
            column[seen].mean() if seen.any() else np.nan,
            np.log(column[seen].var() + FLOOR) if seen.sum() > 1 else np.nan,
            np.log(np.mean(np.square(changes)) + FLOOR) if changes else np.nan,
        )
        got = tuple(getattr(found, name)[window, sensor] for name in ("level", "scatter", "roughness"))
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-3, nan_ok=True)


@given(readings, masks)
def test_the_level_alone_is_that_of_all_statistics(values, observed):
    standardised = given_as_the_network_gives_it(values, observed)
    whole = window_statistics(standardised, observed).level
    np.testing.assert_array_equal(levels(standardised, observed), whole)


def test_a_moved_window_differs_in_its_level_only():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 30, 2)).astype(np.float32)
    observed = np.ones(values.shape, np.bool_)
    one, other = (window_statistics(values + np.float32(move), observed) for move in (0, 64))
    assert other.level == pytest.approx(one.level + 64, abs=1e-4)
    assert other.scatter == pytest.approx(one.scatter, abs=1e-4)
    assert other.roughness == pytest.approx(one.roughness, abs=1e-4)


def test_a_stuck_sensor_has_the_least_roughness_and_a_restless_one_much():
    steps = np.arange(20)
    columns = [np.full(20, 3.0), np.sin(steps / 5), np.where(steps % 2, 1.0, -1.0)]
    values = np.stack(columns, axis=1)[None].astype(np.float32)
    stuck, smooth, restless = window_statistics(values, np.ones(values.shape, np.bool_)).roughness[0]
    assert stuck == pytest.approx(np.log(FLOOR))
    assert stuck < smooth < restless


@pytest.mark.parametrize("steps", [1, 2], ids=["one-step", "two-steps"])
def test_windows_too_short_for_a_statistic_have_none_of_it(steps):
    values = np.ones((1, steps, 2), np.float32)
    found = window_statistics(values, np.ones(values.shape, np.bool_))
    assert np.isfinite(found.level).all()
    assert np.isfinite(found.scatter).all() == (steps > 1)
    assert np.isfinite(found.roughness).all() == (steps > 1)


def test_readings_at_the_networks_limit_stay_finite():
    values = np.where(np.arange(12) % 2, 1e4, -1e4)[None, :, None].astype(np.float32)
    found = window_statistics(values, np.ones(values.shape, np.bool_))
    assert np.isfinite([found.level, found.scatter, found.roughness]).all()
