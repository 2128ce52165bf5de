"""Shrunk covariances: what must hold of them, and that their inverse is closer than the sample's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.windows import Floats
from training.covariance import linearly_shrunk, quadratically_shrunk

seeds = st.integers(0, 2**32 - 1)


def plant(rng: np.random.Generator, sensors: int) -> Floats:
    """A covariance some of whose directions hardly vary."""
    root = rng.normal(size=(sensors, sensors)) * np.logspace(0, -2, sensors)
    return np.asarray(root @ root.T + 1e-3 * np.eye(sensors))


def drawn(rng: np.random.Generator, covariance: Floats, rows: int) -> Floats:
    return np.asarray(rng.normal(size=(rows, len(covariance))) @ np.linalg.cholesky(covariance).T)


def distance(covariance: Floats, rows: Floats) -> float:
    """Mean squared distance per sensor of rows that were not measured."""
    inverse = np.linalg.inv(covariance)
    return float(np.einsum("ti,ij,tj->t", rows, inverse, rows).mean() / len(covariance))


@given(seeds, st.integers(1, 40), st.integers(1, 12))
def test_it_is_a_covariance_with_the_variance_of_the_sample_whatever_the_shape(seed, rows, sensors):
    rng = np.random.default_rng(seed)
    values = drawn(rng, plant(rng, sensors), rows)
    found = quadratically_shrunk(values)
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    assert np.linalg.eigvalsh(found)[0] > 0
    assert np.trace(found) == pytest.approx(np.square(values).sum() / rows)


@given(seeds, st.floats(1e-3, 1e3))
def test_it_turns_and_grows_with_the_data(seed, factor):
    rng = np.random.default_rng(seed)
    values = drawn(rng, plant(rng, 5), 12)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    found = quadratically_shrunk(values)
    np.testing.assert_allclose(
        quadratically_shrunk(values @ turn), turn.T @ found @ turn, rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(quadratically_shrunk(factor * values), factor**2 * found, rtol=1e-6)


def test_of_many_rows_it_is_the_covariance():
    rng = np.random.default_rng(0)
    covariance = plant(rng, 6)
    found = quadratically_shrunk(drawn(rng, covariance, 200_000))
    shares = np.linalg.eigvals(np.linalg.inv(found) @ covariance).real
    np.testing.assert_allclose(shares, 1.0, atol=0.1)


@pytest.mark.parametrize("rows", [60, 100], ids=["hardly-more-rows", "twice-as-many-rows"])
def test_rows_that_were_not_measured_are_about_one_away_where_the_sample_says_far(rows):
    rng = np.random.default_rng(1)
    covariance = plant(rng, 50)
    measured, later = drawn(rng, covariance, rows), drawn(rng, covariance, 4000)
    assert distance(quadratically_shrunk(measured), later) == pytest.approx(1.0, abs=0.25)
    assert distance(measured.T @ measured / rows, later) > 1.8
    # Towards the identity, directions that hardly vary become as wide as others.
    assert distance(linearly_shrunk(measured), later) < 0.75


def test_a_break_between_sensors_that_determine_each_other_is_seen():
    rng = np.random.default_rng(2)
    covariance = plant(rng, 50)
    measured = drawn(rng, covariance, 100)
    least = np.linalg.eigh(covariance)[1][:, 0]
    fault = 8 * np.sqrt(least @ covariance @ least) * least
    normal = drawn(rng, covariance, 2000)

    def seen(found: Floats) -> float:
        """Rows with the fault that are further away than 99 % of those without."""
        inverse = np.linalg.inv(found)
        far = np.einsum("ti,ij,tj->t", normal + fault, inverse, normal + fault)
        near = np.einsum("ti,ij,tj->t", normal, inverse, normal)
        return float((far > np.quantile(near, 0.99)).mean())

    assert seen(quadratically_shrunk(measured)) > seen(linearly_shrunk(measured)) + 0.2


def test_sensors_that_stand_still_or_repeat_each_other_are_no_error():
    assert np.array_equal(quadratically_shrunk(np.zeros((20, 3))), np.zeros((3, 3)))
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 3))
    twice = quadratically_shrunk(np.column_stack([values, values[:, 0], np.zeros(200)]))
    assert np.isfinite(twice).all()
    assert twice[0, 3] == pytest.approx(twice[0, 0], rel=0.05)
    assert twice[4, 4] == pytest.approx(0.0, abs=1e-3)
