"""How far the rows of a window are from normal operation, and which sensors disagree with the others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.rows import Rows
from detector.statistics import FLOOR, levels
from tests.operations import any_rows

seeds = st.integers(0, 2**32 - 1)
STEPS = 20
Judged = tuple[np.ndarray, np.ndarray]


def judge(rows: Rows, standardised: np.ndarray, mask: np.ndarray | None = None) -> Judged:
    """Distances and disagreements."""
    given = (standardised.astype(np.float32), mask, levels(standardised, mask))
    return rows.distances(*given), rows.disagreements(*given)


def normal_windows(rows: Rows, rng: np.random.Generator, windows: int = 400) -> np.ndarray:
    drawn = rng.multivariate_normal(rows.level, rows.covariance, windows * STEPS)
    return drawn.reshape(windows, STEPS, -1).astype(np.float32)


def unseen(standardised: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same with missing readings, whole sensors and whole rows among them, and the mask."""
    mask = rng.random(standardised.shape) > 0.2
    mask &= (rng.random((len(mask), 1, mask.shape[2])) > 0.2) & (rng.random((*mask.shape[:2], 1)) > 0.2)
    return np.where(mask, standardised, np.float32(0)), mask


@given(seeds)
def test_a_complete_window_is_as_far_as_its_rows_are_by_a_direct_inverse(seed):
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    windows = rng.normal(0, 3, (5, STEPS, 4)).astype(np.float32)
    distances, disagreements = judge(rows, windows)
    precision = np.linalg.inv(rows.covariance)
    away = windows - rows.level
    np.testing.assert_allclose(
        distances, np.einsum("wti,ij,wtj->w", away, precision, away) / (STEPS * 4), rtol=1e-3
    )
    squares = np.square(away @ precision).mean(axis=1) / precision.diagonal()
    np.testing.assert_allclose(np.exp(disagreements) - FLOOR, squares, rtol=1e-3, atol=1e-4)


@given(seeds)
def test_a_disagreement_is_a_deviation_from_what_the_others_predict(seed):
    """By the formula for a conditional distribution instead of the inverse of the whole covariance."""
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    row = rng.normal(0, 3, 4).astype(np.float32)
    (found,) = judge(rows, row[None, None])[1]
    for sensor in range(4):
        others = np.arange(4) != sensor
        slope = np.linalg.solve(rows.covariance[others][:, others], rows.covariance[others, sensor])
        variance = rows.covariance[sensor, sensor] - slope @ rows.covariance[others, sensor]
        away = row[sensor] - rows.level[sensor] - slope @ (row - rows.level)[others]
        assert found[sensor] == pytest.approx(np.log(away**2 / variance + FLOOR), abs=1e-2)


def test_normal_operation_is_about_one_away_and_no_sensor_disagrees():
    rng = np.random.default_rng(0)
    rows = any_rows(rng)
    distances, disagreements = judge(rows, normal_windows(rows, rng))
    assert distances.mean() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(disagreements.mean(axis=0), 0.0, atol=0.1)


def test_sensors_that_disagree_to_and_fro_are_far_though_every_mean_is_where_it_was():
    together = replace(
        any_rows(np.random.default_rng(0), 3),
        level=np.zeros(3),
        covariance=np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    )
    swing = np.resize([1.0, -1.0], STEPS)
    alike = np.stack([swing, swing, swing], axis=1)[None]
    against = np.stack([swing, -swing, swing], axis=1)[None]
    (near, calm), (far, found) = judge(together, alike), judge(together, against)
    assert far[0] > 10 * near[0]
    assert (found[0, :2] > calm[0, :2] + 3).all()
    assert found[0, 2] == pytest.approx(calm[0, 2], abs=1e-3)


@given(seeds)
def test_a_window_is_judged_alone_as_among_others(seed):
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    windows, mask = unseen(rng.normal(0, 3, (9, STEPS, 4)).astype(np.float32), rng)
    for together, alone in zip(
        judge(rows, windows, mask),
        zip(*(judge(rows, windows[i : i + 1], mask[i : i + 1]) for i in range(9)), strict=True),
        strict=True,
    ):
        np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-5)


@given(seeds)
def test_a_mask_that_hides_nothing_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    windows = rng.normal(0, 3, (3, STEPS, 4)).astype(np.float32)
    for without, with_mask in zip(
        judge(rows, windows), judge(rows, windows, np.ones(windows.shape, np.bool_)), strict=True
    ):
        np.testing.assert_allclose(without, with_mask, rtol=1e-5, atol=1e-5)


@given(seeds)
def test_a_sensor_without_readings_is_marginalised_out(seed):
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    windows = rng.normal(0, 3, (3, STEPS, 4)).astype(np.float32)
    mask = np.ones(windows.shape, np.bool_)
    mask[:, :, 2] = False
    left = np.array([0, 1, 3])
    without = Rows(
        rows.level[left],
        rows.covariance[np.ix_(left, left)],
        rows.disagreement[left],
        rows.disagreement_sd[left],
    )
    distances, disagreements = judge(rows, np.where(mask, windows, 0), mask)
    expected, expected_disagreements = judge(without, windows[:, :, left])
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    np.testing.assert_allclose(disagreements[:, left], expected_disagreements, rtol=1e-4, atol=1e-4)
    assert np.isnan(disagreements[:, 2]).all()


def test_what_is_missing_is_never_used_and_padding_not_counted():
    rng = np.random.default_rng(1)
    rows = any_rows(rng)
    windows, mask = unseen(normal_windows(rows, rng, 50), rng)
    other = np.where(mask, windows, np.float32(1e6))
    given = (mask, levels(windows, mask))
    np.testing.assert_array_equal(rows.distances(windows, *given), rows.distances(other, *given))
    np.testing.assert_array_equal(rows.disagreements(windows, *given), rows.disagreements(other, *given))
    padded = np.pad(windows, ((0, 0), (0, 7), (0, 0)))
    padded_mask = np.pad(mask, ((0, 0), (0, 7), (0, 0)))
    for short, long in zip(judge(rows, windows, mask), judge(rows, padded, padded_mask), strict=True):
        np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-5)


def test_normal_operation_with_gaps_is_as_near_and_no_sensor_disagrees_more():
    rng = np.random.default_rng(2)
    rows = any_rows(rng)
    windows, mask = unseen(normal_windows(rows, rng), rng)
    distances, disagreements = judge(rows, windows, mask)
    assert np.nanmean(distances) == pytest.approx(1.0, abs=0.05)
    assert (np.nanmean(disagreements, axis=0) < 0.1).all()


def test_a_reading_that_is_missing_is_marginalised_out_of_its_row():
    rng = np.random.default_rng(5)
    rows = any_rows(rng)
    window = rng.normal(0, 3, (1, STEPS, 4)).astype(np.float32)
    mask = np.ones(window.shape, np.bool_)
    mask[0, ::2, 1] = False
    mask[0, 3] = False
    distance, _ = judge(rows, np.where(mask, window, 0), mask)
    away = window[0] - rows.level
    total = 0.0
    for row, there in zip(away, mask[0], strict=True):
        if there.any():
            total += row[there] @ np.linalg.solve(rows.covariance[np.ix_(there, there)], row[there])
    assert distance[0] == pytest.approx(total / mask.sum(), rel=1e-4)


def test_nothing_observed_has_no_distance_and_no_disagreement():
    rows = any_rows(np.random.default_rng(3))
    mask = np.zeros((2, STEPS, 4), np.bool_)
    mask[1] = True
    distances, disagreements = judge(rows, np.zeros((2, STEPS, 4), np.float32), mask)
    assert np.isnan(distances).tolist() == [True, False]
    assert np.isnan(disagreements).all(axis=1).tolist() == [True, False]


def test_no_windows_are_no_error():
    rows = any_rows(np.random.default_rng(3))
    distances, disagreements = judge(rows, np.zeros((0, STEPS, 4), np.float32))
    assert distances.shape == (0,)
    assert disagreements.shape == (0, 4)


def test_readings_as_far_off_as_can_be_have_a_finite_distance():
    rows = any_rows(np.random.default_rng(4))
    distances, disagreements = judge(rows, np.full((1, STEPS, 4), 1e4, np.float32))
    assert np.isfinite(distances).all()
    assert np.isfinite(disagreements).all()
