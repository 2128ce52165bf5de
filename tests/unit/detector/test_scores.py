"""From outputs to probabilities, errors and p-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.errors import ShapeMismatch
from detector.manifest import ProbabilityCalibration
from detector.scores import (
    ALONE_MARGIN,
    VOTE_LIMIT,
    classifier_score,
    combine,
    p_values,
    probabilities,
    reconstruction_error,
    reconstruction_score,
    sensor_errors,
    softmax,
    standardise_score,
    threshold,
)

logits = arrays(np.float32, (3, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32))
positive = st.floats(1e-3, 1e6)
scores = st.floats(-2, 50)
calibrations = st.builds(
    ProbabilityCalibration,
    st.floats(-10, 10),
    st.floats(0, 5),
    st.floats(0, 5),
    st.floats(0.05, 20),
    st.just("injected"),
    st.just(0.5),
    st.floats(0, 5),
)


@given(logits, st.floats(0.05, 20))
def test_softmax_sums_to_one_whatever_the_logits(values, temperature):
    shares = softmax(values, temperature)
    assert np.abs(shares.sum(axis=1) - 1).max() < 1e-6
    assert (shares >= 0).all()


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
    assert np.isnan(reconstruction_score(errors, np.ones(2), np.full(1, np.nan))[0])


def test_arrays_of_different_shapes_are_refused():
    with pytest.raises(ShapeMismatch):
        sensor_errors(
            np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), np.float32), np.ones((1, 2, 2), bool)
        )


def test_a_noisy_sensor_does_not_drown_a_quiet_one():
    typical = np.array([4.0, 0.01])
    quiet_is_strange = reconstruction_score(np.array([[4.0, 0.20]]), typical, np.ones(1))
    # As strange as if the noisy one had risen as many times.
    noisy_is_strange = reconstruction_score(np.array([[80.0, 0.01]]), typical, np.ones(1))
    assert quiet_is_strange == pytest.approx(noisy_is_strange)
    assert quiet_is_strange[0] > reconstruction_score(np.array([[4.0, 0.01]]), typical, np.ones(1))[0] + 0.8


SCALES = ["log", "log1p"]


@given(positive, positive, st.floats(1.01, 100), st.sampled_from(SCALES))
def test_reconstruction_score_sees_error_and_distance_alike(error, distance, factor, scale):
    def score(of_error: float, of_distance: float) -> float:
        found = reconstruction_score(np.array([[of_error]]), np.ones(1), np.array([of_distance]), scale=scale)
        return float(found[0])

    logarithm = np.log if scale == "log" else np.log1p
    assert score(error, error) == pytest.approx(logarithm(error), abs=1e-6)
    assert score(error, distance) == pytest.approx(score(distance, error), abs=1e-6)
    assert score(factor * error, distance) > score(error, distance)


@given(positive, positive, positive, st.floats(1.01, 100))
def test_either_distance_says_twice_as_much_as_the_error(error, distance, of_rows, factor):
    def score(of_error: float, *of_distances: float) -> float:
        distances, row_distances = map(np.atleast_1d, of_distances)
        return float(reconstruction_score(np.array([[of_error]]), np.ones(1), distances, row_distances)[0])

    assert score(error, error, error) == pytest.approx(np.log1p(error), abs=1e-6)
    assert score(error, distance, of_rows) == pytest.approx(score(error, of_rows, distance), abs=1e-6)
    one = score(error, distance, factor * error) - score(error, distance, error)
    other = score(factor * error, distance, of_rows) - score(error, distance, of_rows)
    assert one == pytest.approx(2 * other, abs=1e-6)
    assert other > 0


def test_a_level_that_lies_exactly_where_it_should_hides_no_error():
    """Of few sensors a distance near 0 is common, and its logarithm far below that of any error."""
    errors, distances = np.array([[20.0], [1.0]]), np.array([1e-4, 1.0])
    strange, ordinary = reconstruction_score(errors, np.ones(1), distances)
    assert strange > ordinary
    assert not np.greater(*reconstruction_score(errors, np.ones(1), distances, scale="log"))


@pytest.mark.parametrize("scale", SCALES)
def test_a_perfect_window_has_a_finite_score(scale):
    assert np.isfinite(reconstruction_score(np.zeros((1, 2)), np.ones(2), np.zeros(1), scale=scale)).all()


@pytest.mark.parametrize("scale", SCALES)
def test_a_window_with_nothing_observed_has_no_score_on_any_scale(scale):
    nothing = np.full((1, 2), np.nan)
    assert np.isnan(reconstruction_score(nothing, np.ones(2), np.full(1, np.nan), scale=scale)[0])


@pytest.mark.parametrize(
    "weight", [1 / 3, 3 / 4, 1.0], ids=["injected-faults", "recorded-faults", "head-only"]
)
def test_a_confident_classifier_cannot_hide_a_large_error(weight):
    confident = standardise_score(np.array([-1e6]), np.array(0.0), np.array(1.0))
    strange = standardise_score(np.array([25.0]), np.array(0.0), np.array(1.0))
    assert combine(confident, strange, weight)[0] >= 25.0 - ALONE_MARGIN


def test_a_wild_reconstruction_does_not_outvote_a_head_that_knows_the_fault():
    known_fault = combine(np.array([15.0]), np.array([5.0]), 0.75)[0]
    never_settled = combine(np.array([-1.0]), np.array([22.0]), 0.75)[0]
    assert known_fault > never_settled


@given(scores, scores, st.floats(0, 1))
def test_combined_score_is_the_weighted_mean_but_for_votes_beyond_the_limit(one, other, weight):
    combined = float(combine(np.array([one]), np.array([other]), weight)[0])
    mean = weight * min(one, VOTE_LIMIT) + (1 - weight) * min(other, VOTE_LIMIT)
    assert combined == pytest.approx(max(mean, other - ALONE_MARGIN), abs=1e-9)


@given(scores, scores, st.floats(0, 5), st.floats(0, 1))
def test_combined_score_never_falls_when_one_of_the_two_rises(one, other, more, weight):
    before = combine(np.array([one]), np.array([other]), weight)[0]
    assert combine(np.array([one + more]), np.array([other]), weight)[0] >= before - 1e-9
    assert combine(np.array([one]), np.array([other + more]), weight)[0] >= before - 1e-9


@given(logits, arrays(np.float64, (2, 3), elements=st.floats(-2, 50)), calibrations)
def test_probabilities_sum_to_one_whatever_the_logits(values, of_each, calibration):
    found = probabilities(values, *of_each, calibration)
    assert found.shape == (3, 4)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-9


@given(calibrations, arrays(np.float32, (1, 4), elements=st.floats(-50, 50, width=32)))
def test_probability_of_a_fault_never_falls_as_a_score_rises(calibration, values):
    steps, still = np.linspace(-2, 50, 40), np.zeros(40)

    def faulty(logits: np.ndarray, reconstruction: np.ndarray, combined: np.ndarray) -> np.ndarray:
        return 1.0 - probabilities(logits, reconstruction, combined, calibration)[:, 0]

    more_strange = np.tile(values, (40, 1))
    assert (np.diff(faulty(more_strange, steps, still)) >= -1e-12).all()
    assert (np.diff(faulty(more_strange, still, steps)) >= -1e-12).all()
    # The head's own score: all faults' logits rise, that of `normal` stays.
    more_strange[:, 1:] += steps[:, None].astype(np.float32)
    assert (np.diff(faulty(more_strange, still, still)) >= -1e-12).all()


def test_each_score_moves_the_log_odds_by_its_slope():
    calibration = ProbabilityCalibration(-1.0, 0.5, 0.25, 2.0, "injected", 0.5, 0.125)
    (row,) = probabilities(np.array([[0.0, 3.0]]), np.array([4.0]), np.array([6.0]), calibration)
    assert np.log(row[1] / row[0]) == pytest.approx(-1.0 + 0.5 * 3.0 + 0.25 * 4.0 + 0.125 * 6.0)


def test_faults_share_their_probability_by_the_softmax_with_its_temperature():
    calibration = ProbabilityCalibration(0.3, 0.5, 0.25, 2.0, "recorded", 0.5)
    (row,) = probabilities(np.array([[0.0, 1.0, 3.0]]), np.array([1.0]), np.array([1.0]), calibration)
    assert np.log(row[2] / row[1]) == pytest.approx((3.0 - 1.0) / 2.0)


def test_a_window_without_a_score_has_no_probabilities():
    calibration = ProbabilityCalibration(0.3, 0.5, 0.25, 2.0, "recorded", 0.5)
    score = np.array([np.nan, 1.0])
    found = probabilities(np.zeros((2, 3)), score, score, calibration)
    assert np.isnan(found).all(axis=1).tolist() == [True, False]


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
