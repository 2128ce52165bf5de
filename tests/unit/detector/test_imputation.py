"""Missing readings of a row, from those that are there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import imputation
from detector.imputation import impute
from tests.operations import any_covariance

SENSORS = 6


def filled(covariance: np.ndarray, rows: np.ndarray, observed: np.ndarray) -> np.ndarray:
    return impute(np.where(observed, rows, 0.0), observed, covariance, np.linalg.inv(covariance))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_a_row_is_as_far_as_what_was_observed_of_it(seed, share):
    rng = np.random.default_rng(seed)
    covariance = any_covariance(rng, SENSORS)
    rows = rng.normal(0, 3, (40, SENSORS))
    observed = rng.random(rows.shape) < share
    found = filled(covariance, rows, observed)
    precision = np.linalg.inv(covariance)
    for row, there, whole in zip(rows, observed, found, strict=True):
        part = row[there]
        of_part = part @ np.linalg.solve(covariance[np.ix_(there, there)], part) if there.any() else 0.0
        assert whole @ precision @ whole == pytest.approx(of_part, rel=1e-6, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_a_missing_reading_is_the_mean_given_the_others(seed):
    rng = np.random.default_rng(seed)
    covariance = any_covariance(rng, SENSORS)
    rows = rng.normal(0, 3, (30, SENSORS))
    observed = rng.random(rows.shape) < 0.6
    found = filled(covariance, rows, observed)
    np.testing.assert_array_equal(found[observed], rows[observed])
    for row, there, whole in zip(rows, observed, found, strict=True):
        if there.any():
            gain = np.linalg.solve(covariance[np.ix_(there, there)], covariance[np.ix_(there, ~there)])
            np.testing.assert_allclose(whole[~there], row[there] @ gain, rtol=1e-6, atol=1e-9)


def test_rows_are_filled_alone_as_among_many_that_do_not_fit_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    covariance = any_covariance(rng, SENSORS)
    rows = rng.normal(0, 3, (200, SENSORS))
    observed = rng.random(rows.shape) < rng.uniform(0.1, 1.0, (200, 1))
    together = filled(covariance, rows, observed)
    monkeypatch.setattr(imputation, "_MOST_NUMBERS", 20)
    np.testing.assert_allclose(filled(covariance, rows, observed), together, rtol=1e-9, atol=1e-12)


def test_without_a_reading_a_row_lies_at_the_mean():
    covariance = any_covariance(np.random.default_rng(0), SENSORS)
    nothing = np.zeros((2, SENSORS), np.bool_)
    np.testing.assert_array_equal(filled(covariance, np.ones((2, SENSORS)), nothing), np.zeros((2, SENSORS)))
