"""From outputs to probabilities, errors and p-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.errors import ShapeMismatch
from detector.scores import (
    classifier_score,
    combine,
    p_values,
    reconstruction_error,
    reconstruction_score,
    sensor_errors,
    softmax,
    standardise_score,
    threshold,
)

logits = arrays(np.float32, (3, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32))


@given(logits, st.floats(0.05, 20))
def test_probabilities_sum_to_one_whatever_the_logits(values, temperature):
    probabilities = softmax(values, temperature)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-6
    assert (probabilities >= 0).all()


@given(arrays(np.float32, (2, 3), elements=st.floats(-50, 50, width=32)))
def test_log_odds_agree_with_the_probabilities(values):
    normal = softmax(values)[:, 0]
    assert np.allclose(1 / (1 + np.exp(classifier_score(values))), normal, atol=1e-9)


def test_reconstruction_error_counts_observed_readings_only():
    observed = np.array([[[1.0, 9.0], [3.0, 9.0]]], np.float32)
    expected = np.zeros((1, 2, 2), np.float32)
    mask = np.array([[[True, False], [True, False]]])
    errors = sensor_errors(observed, expected, mask)
    assert errors[0, 0] == pytest.approx(5.0)
    assert np.isnan(errors[0, 1])
    assert reconstruction_error(errors, mask)[0] == pytest.approx(5.0)


def test_reconstruction_error_weighs_readings_not_sensors():
    observed = np.array([[[2.0, 1.0], [2.0, 0.0]]], np.float32)
    mask = np.array([[[True, True], [True, False]]])
    errors = sensor_errors(observed, np.zeros((1, 2, 2), np.float32), mask)
    assert reconstruction_error(errors, mask)[0] == pytest.approx((4 + 4 + 1) / 3)


def test_a_window_with_nothing_observed_has_no_error_and_no_score():
    mask = np.zeros((1, 2, 2), np.bool_)
    errors = sensor_errors(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32), mask)
    assert np.isnan(reconstruction_error(errors, mask)[0])
    assert np.isnan(reconstruction_score(errors, np.ones(2))[0])


def test_arrays_of_different_shapes_are_refused():
    with pytest.raises(ShapeMismatch):
        sensor_errors(
            np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), np.float32), np.ones((1, 2, 2), bool)
        )


def test_a_noisy_sensor_does_not_drown_a_quiet_one():
    typical = np.array([4.0, 0.01])
    calm = reconstruction_score(np.array([[4.0, 0.01]]), typical)
    strange = reconstruction_score(np.array([[4.0, 0.20]]), typical)
    assert strange[0] > calm[0] + 2


def test_a_confident_classifier_cannot_hide_a_large_error():
    confident = standardise_score(np.array([-1e6]), np.array(0.0), np.array(1.0))
    strange = standardise_score(np.array([20.0]), np.array(0.0), np.array(1.0))
    assert combine(confident, strange)[0] > 5


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=50).map(sorted).map(np.array),
    st.floats(-12, 12),
    st.floats(0.01, 0.99),
)
def test_threshold_and_p_value_decide_alike(normal, score, rate):
    value = p_values(np.array([score]), normal)[0]
    assert (score >= threshold(normal, rate)) == (value <= rate + 1e-12)


def test_p_value_is_the_share_of_normal_windows_that_scored_at_least_as_high():
    normal = np.arange(99.0)
    assert p_values(np.array([98.0, 98.5, -1.0, 49.0]), normal) == pytest.approx([0.02, 0.01, 1.0, 0.51])


def test_p_values_of_normal_scores_are_uniform():
    rng = np.random.default_rng(0)
    values = p_values(rng.normal(size=4000), np.sort(rng.normal(size=4000)))
    for rate in (0.01, 0.05, 0.2, 0.5):
        assert abs((values <= rate).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 2000)
