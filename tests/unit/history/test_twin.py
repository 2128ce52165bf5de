"""The twin behaves like the data it was fitted to, and never runs away."""

import time
from pathlib import Path

import numpy as np
import pytest

from history.errors import TooFewRows, UnreadableFile
from history.twin import Twin, stationary_variance


def plant(rows: int, seed: int = 1) -> np.ndarray:
    """Three sensors: a slow one, one that follows it, and one on its own. Standardised."""
    rng = np.random.default_rng(seed)
    values = np.zeros((rows + 200, 3))
    for t in range(1, len(values)):
        values[t, 0] = 0.9 * values[t - 1, 0] + rng.normal()
        values[t, 1] = 0.5 * values[t - 1, 1] + 0.4 * values[t - 1, 0] + 0.5 * rng.normal()
        values[t, 2] = rng.normal()
    values = values[200:]
    return (values - values.mean(axis=0)) / values.std(axis=0)


def white(rows: int, sensors: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(rows, sensors))


def fitted(*recordings: np.ndarray, lags: int = 2) -> Twin:
    sensors = recordings[0].shape[1]
    center, scale = np.arange(sensors) * 10.0, 1.0 + np.arange(sensors)
    return Twin.fit([f"s{i}" for i in range(sensors)], recordings, center, scale, lags)


def test_simulated_rows_have_the_data_s_levels_spreads_and_correlations() -> None:
    data = plant(5000)
    rows = fitted(data).simulate(20_000, np.random.default_rng(2))

    simulated = (rows - np.arange(3) * 10.0) / (1.0 + np.arange(3))
    np.testing.assert_allclose(simulated.mean(axis=0), 0, atol=0.12)
    np.testing.assert_allclose(simulated.std(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(np.corrcoef(simulated.T), np.corrcoef(data.T), atol=0.06)
    for lag in (1, 5):
        ours, theirs = (np.mean(x[lag:, 0] * x[:-lag, 0]) for x in (simulated, data))
        assert ours == pytest.approx(theirs, abs=0.08)


def test_same_random_state_gives_the_same_rows() -> None:
    twin = fitted(plant(500))
    first, second = (twin.simulate(50, np.random.default_rng(4)) for _ in range(2))

    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, twin.simulate(50, np.random.default_rng(5)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(np.cumsum(white(400, 3), axis=0) / 20, id="random walk"),
        pytest.param(np.exp(np.linspace(0, 6, 400))[:, None] * np.ones(3) / 400, id="explosion"),
        pytest.param(np.repeat(white(400, 1), 3, axis=1), id="three times the same"),
        pytest.param(white(400, 3) * [1, 1, 0], id="one constant"),
        pytest.param(np.zeros((400, 3)), id="all constant"),
        pytest.param(white(5, 3), id="five rows"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lags", [1, 2, 4])
def test_twin_is_stable_whatever_it_was_fitted_to(data: np.ndarray, lags: int) -> None:
    if len(data) < lags + 2:
        pytest.skip("fewer rows than lags")
    twin = fitted(data, lags=lags)
    rows = twin.simulate(3000, np.random.default_rng(2))

    companion = np.vstack([np.hstack(list(twin.transition)), np.eye(3 * lags)[: 3 * (lags - 1)]])
    assert np.abs(np.linalg.eigvals(companion)).max() < 0.999
    assert np.isfinite(rows).all()
    # Deviations in units of the data's own, which may be 0.
    away = np.abs((rows - twin.center) / twin.scale)
    assert (away <= 8 * data.std(axis=0) + 1e-3).all()


def test_rows_with_missing_readings_are_passed_over() -> None:
    data = plant(3000)
    holed = data.copy()
    holed[::37, 1] = np.nan
    whole, part = fitted(data), fitted(holed)

    np.testing.assert_allclose(part.transition, whole.transition, atol=0.08)


def test_recordings_are_not_joined() -> None:
    one, two = plant(400), plant(400, seed=9)
    np.testing.assert_allclose(fitted(one, two).transition, fitted(two, one).transition, atol=1e-9)


def test_mean_that_the_rows_have_left_goes_into_the_centre() -> None:
    np.testing.assert_allclose(
        fitted(plant(500) + np.array([1.0, 0, 0])).center, [1.0, 10.0, 20.0], atol=0.02
    )


def test_too_few_complete_rows_are_refused() -> None:
    data = plant(100)
    data[::3, 0] = np.nan
    with pytest.raises(TooFewRows, match="4 consecutive complete rows"):
        fitted(data)
    with pytest.raises(TooFewRows):
        Twin.fit(["a"], [], np.zeros(1), np.ones(1))


def test_three_hundred_sensors_on_few_rows_are_fitted_in_seconds() -> None:
    data = white(400, 300)
    began = time.perf_counter()
    rows = fitted(data).simulate(200, np.random.default_rng(2))

    assert time.perf_counter() - began < 20
    assert np.isfinite(rows).all()
    away = (rows - np.arange(300) * 10.0) / (1.0 + np.arange(300))
    assert away.std() == pytest.approx(1.0, abs=0.1)


def test_saved_twin_is_the_same_twin(tmp_path: Path) -> None:
    twin = fitted(plant(300))
    twin.save(tmp_path / "twin.npz")
    loaded = Twin.load(tmp_path / "twin.npz")

    assert loaded.sensors == twin.sensors
    np.testing.assert_array_equal(
        loaded.simulate(10, np.random.default_rng(1)), twin.simulate(10, np.random.default_rng(1))
    )


@pytest.mark.parametrize(
    "spoil", ["absent", "truncated", "rubbish", "pickled", "other arrays", "wrong shapes"]
)
def test_file_that_is_no_twin_is_refused(spoil: str, tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    twin = fitted(plant(300))
    twin.save(path)
    content = path.read_bytes()
    if spoil == "absent":
        path.unlink()
    elif spoil == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif spoil == "rubbish":
        path.write_bytes(b"rubbish")
    elif spoil == "pickled":
        np.savez(path, sensors=np.array([{}], object), center=twin.center, scale=twin.scale)
    elif spoil == "other arrays":
        np.savez(path, a=np.zeros(3))
    else:
        Twin(twin.sensors, twin.center[:2], twin.scale, twin.transition, twin.noise_cholesky).save(path)
    with pytest.raises(UnreadableFile, match="is not a twin"):
        Twin.load(path)


def test_stationary_variance_of_a_known_process() -> None:
    # x(t) = 0.8 x(t-1) + e: variance 1 / (1 - 0.64).
    np.testing.assert_allclose(stationary_variance(np.array([[[0.8]]]), np.eye(1)), [1 / 0.36], rtol=1e-9)
