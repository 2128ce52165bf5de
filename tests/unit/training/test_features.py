"""What the head is told of a window is what the detector measures of it."""

from dataclasses import replace

import numpy as np
import pytest

from detector.operation import Operation
from detector.statistics import FLOOR, WindowStatistics, window_statistics
from tests.operations import any_operation
from training.features import LEVEL_LIMIT, WindowFeatures

STEPS, SENSORS = 12, 4


def features(operation: Operation, standardised: np.ndarray, observed: np.ndarray) -> np.ndarray:
    layer = WindowFeatures()
    layer.build(standardised.shape)
    layer.adapt(operation)
    return np.asarray(layer(np.where(observed, standardised, np.float32(0)), observed), np.float64)


def disagreements(operation: Operation, standardised: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """In deviations from the usual; what is missing lies at its level."""
    rows = operation.rows
    filled = np.where(observed, standardised, rows.level)
    precision = np.linalg.inv(rows.covariance)
    squares = np.square((filled - rows.level) @ precision) / precision.diagonal()
    count = observed.sum(axis=1)
    mean = (squares * observed).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, (np.log(mean + FLOOR) - rows.disagreement) / rows.disagreement_sd, 0.0)


def deviations(operation: Operation, told: WindowStatistics) -> tuple[np.ndarray, ...]:
    """Level, decorrelated level, scatter and roughness as the docstring of the layer says, in float64."""
    level = np.nan_to_num(told.level - operation.level)
    variances, axes = np.linalg.eigh(operation.covariance)
    spreads = (
        np.nan_to_num((getattr(told, name) - getattr(operation, name)) / getattr(operation, f"{name}_sd"))
        for name in ("scatter", "roughness")
    )
    return level, level @ (axes / np.sqrt(variances)), *spreads


def random_windows(seed: int, windows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    standardised = rng.normal(0, rng.exponential(3, (windows, 1, SENSORS)), (windows, STEPS, SENSORS))
    observed = np.ones(standardised.shape, np.bool_)
    # Some windows lack a sensor, some their last steps.
    observed &= ~(rng.random((windows, 1, SENSORS)) < 0.2)
    for window, length in enumerate(rng.integers(2, STEPS + 1, windows)):
        observed[window, length:] = False
    return standardised.astype(np.float32), observed


def test_features_are_the_detectors_statistics_in_deviations_from_normal_operation():
    operation = any_operation(np.random.default_rng(0), SENSORS)
    standardised, observed = random_windows(1)
    found = features(operation, standardised, observed)
    told = window_statistics(np.where(observed, standardised, np.float32(0)), observed)
    parts = [*deviations(operation, told), disagreements(operation, standardised, observed)]
    sizes = [np.log1p(np.square(part).mean(axis=1)) for part in parts[1:]]
    expected = np.concatenate([np.arcsinh(np.concatenate(parts, axis=1)), np.stack(sizes, 1)], axis=1)
    assert found.shape == (len(standardised), 5 * SENSORS + 4)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_disagreements_are_the_detectors_where_all_was_observed():
    operation = any_operation(np.random.default_rng(0), SENSORS)
    standardised, observed = random_windows(5)[0], np.ones((40, STEPS, SENSORS), np.bool_)
    rows = operation.rows
    told = rows.disagreements(standardised, None, standardised.mean(axis=1, dtype=np.float64))
    found = features(operation, standardised, observed)[:, 4 * SENSORS : 5 * SENSORS]
    expected = np.arcsinh((told - rows.disagreement) / rows.disagreement_sd)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_size_of_the_decorrelated_levels_is_the_distance_where_all_was_observed():
    operation = any_operation(np.random.default_rng(0), SENSORS)
    rng = np.random.default_rng(2)
    standardised = rng.normal(0, 2, (20, operation.steps, SENSORS)).astype(np.float32)
    observed = np.ones(standardised.shape, np.bool_)
    size = features(operation, standardised, observed)[:, 5 * SENSORS]
    distances = operation.distances(standardised.mean(axis=1), np.full(20, operation.steps, np.int32))
    np.testing.assert_allclose(np.expm1(size), distances, rtol=1e-3)


@pytest.mark.parametrize("filler", [0.0, 7.0, 1e4], ids=str)
def test_values_that_were_not_observed_tell_the_head_nothing(filler):
    operation = any_operation(np.random.default_rng(0), SENSORS)
    standardised, observed = random_windows(3)
    layer = WindowFeatures()
    layer.build(standardised.shape)
    layer.adapt(operation)
    clean = np.where(observed, standardised, np.float32(0))
    dirty = np.where(observed, standardised, np.float32(filler))
    np.testing.assert_allclose(
        np.asarray(layer(dirty, observed)), np.asarray(layer(clean, observed)), atol=1e-5
    )


def test_a_window_in_which_nothing_was_observed_has_no_features():
    operation = any_operation(np.random.default_rng(0), SENSORS)
    nothing = np.zeros((1, STEPS, SENSORS), np.bool_)
    assert not features(operation, np.ones(nothing.shape, np.float32), nothing).any()


def test_farther_is_told_as_farther_up_to_the_limit_and_stays_finite():
    operation = replace(any_operation(np.random.default_rng(0), SENSORS), level=np.zeros(SENSORS))
    sizes = np.array([1.0, 10.0, 100.0, LEVEL_LIMIT, 1e4])
    standardised = np.broadcast_to(sizes[:, None, None], (5, STEPS, SENSORS)).astype(np.float32)
    found = features(operation, standardised, np.ones(standardised.shape, np.bool_))
    assert np.isfinite(found).all()
    level, whole = found[:, 0], found[:, 5 * SENSORS]
    for told in (level, whole):
        assert (np.diff(told)[:3] > 1).all()
        assert told[4] == pytest.approx(told[3])
