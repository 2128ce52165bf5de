"""What a stretch of an asset's normal operation says of its sensors."""

import numpy as np
import pytest

from detector.baseline import ASSET_DRIFT_LIMIT, SCALE_FLOOR, commission, drift, measure

ROWS = 1000


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, 2))


def climbing(slope: float) -> np.ndarray:
    """Two sensors; the second climbs by `slope` deviations of its noise over the rows."""
    values = noise()
    values[:, 1] += np.linspace(0, slope, ROWS)
    return values


def test_noise_does_not_drift_and_a_ramp_drifts_by_2_8_deviations():
    values = np.stack([noise()[:, 0], np.linspace(-5, 5, ROWS)], axis=1)
    calm, ramp = drift(values, values.std(axis=0))
    assert calm < 0.3
    assert ramp == pytest.approx(0.8 * np.sqrt(12), rel=0.01)


def test_a_drifting_sensor_is_judged_by_a_wider_scale():
    values = climbing(4.0)
    baseline = commission(values, np.zeros(2), np.ones(2))
    _, plain, moved = measure(values)
    assert 1 < moved[1] < ASSET_DRIFT_LIMIT
    assert baseline.left_out.tolist() == [False, False]
    np.testing.assert_allclose(baseline.scale, plain * np.sqrt(1 + moved**2))
    assert baseline.scale[0] == pytest.approx(plain[0], rel=0.05)
    assert baseline.scale[1] > 1.5 * plain[1]


def test_a_sensor_that_does_nothing_but_climb_is_left_out():
    baseline = commission(climbing(40.0), np.zeros(2), np.ones(2))
    assert baseline.drift[1] > ASSET_DRIFT_LIMIT
    assert baseline.left_out.tolist() == [False, True]


def test_scale_never_shrinks_as_drift_grows():
    scales = [commission(climbing(slope), np.zeros(2), np.ones(2)).scale[1] for slope in range(0, 30, 3)]
    assert (np.diff(scales) > 0).all()


def test_a_calm_hour_does_not_make_a_scale_of_nothing():
    values = noise() * [1.0, 1e-6]
    baseline = commission(values, np.zeros(2), np.array([1.0, 5.0]))
    assert baseline.scale[1] >= SCALE_FLOOR * 5.0


def test_a_sensor_that_was_not_observed_keeps_what_the_model_knows_of_it():
    values = noise()
    values[:, 1] = np.nan
    baseline = commission(values, np.array([7.0, 8.0]), np.array([2.0, 3.0]))
    assert baseline.center[1] == 8.0
    assert baseline.scale[1] == 3.0
    assert not baseline.left_out[1]
    assert abs(baseline.center[0]) < 0.2
