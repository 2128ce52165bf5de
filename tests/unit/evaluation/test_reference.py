"""The plain detectors: fitted, scored, stored."""

import numpy as np
import pytest

from evaluation.errors import EvaluationError
from evaluation.reference import References, normal_stretches, z2

STEPS = 10


def normal_rows(rows: int = 2000, seed: int = 0) -> np.ndarray:
    """Three sensors: the first two move together, the third alone; all of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    common, own, noise = rng.standard_normal((3, rows))
    return np.stack([common, common + 0.1 * noise, own], axis=1)


@pytest.fixture(scope="module")
def references() -> References:
    return References.fit([normal_rows()], STEPS)


def test_z2_is_the_mean_of_the_squares_of_what_was_observed():
    windows = [np.array([[1.0, np.nan], [3.0, 2.0]]), np.array([[np.nan, np.nan]]), np.array([[2.0, np.inf]])]
    assert z2(windows) == pytest.approx([(1 + 9 + 4) / 3, np.nan, 4.0], nan_ok=True)


def test_components_keep_nine_tenths_of_the_variance(references):
    """Of a total of about 3.01, the common direction has about 2 and the single sensor 1."""
    assert references.components.shape == (2, 3)
    assert references.variances == pytest.approx([2.0, 1.0], rel=0.1)
    assert np.abs(references.components[0]) == pytest.approx([0.5**0.5, 0.5**0.5, 0], abs=0.05)


def test_broken_correlation_is_seen_by_pca_and_not_by_z2(references):
    broken = normal_rows(STEPS, seed=1)
    broken[:, 1] = normal_rows(STEPS, seed=2)[:, 1]
    assert references.pca([broken])[0] > references.limit("pca", 0.01)
    assert z2([broken])[0] < references.limit("z2", 0.01)


def test_shift_of_a_single_sensor_is_seen_by_both(references):
    shifted = normal_rows(STEPS, seed=1)
    shifted[:, 2] += 4.0
    assert references.pca([shifted])[0] > references.limit("pca", 0.01)
    assert z2([shifted])[0] > references.limit("z2", 0.01)


@pytest.mark.parametrize("name", ["pca", "z2"])
def test_limit_keeps_to_the_budget_on_normal_operation_not_fitted_on(references, name):
    rows = normal_rows(20_000, seed=9)
    windows = [rows[start : start + STEPS] for start in range(0, len(rows), STEPS)]
    scores = references.pca(windows) if name == "pca" else z2(windows)
    assert np.mean(scores >= references.limit(name, 0.05)) == pytest.approx(0.05, abs=0.02)


def test_budget_below_one_window_gives_way_to_one_window(references):
    assert references.limit("z2", 1e-9) == np.nextafter(references.z2_normal[-1], np.inf)


def test_stretches_of_normal_rows_end_at_faults_and_gaps():
    rows = np.arange(10.0)[:, None]
    normal = np.array([True, True, False, True, True, True, True, True, False, True])
    stretches = normal_stretches(rows, normal, [slice(0, 5), slice(5, 10)])
    assert [part[:, 0].tolist() for part in stretches] == [[0, 1], [3, 4], [5, 6, 7], [9]]


def test_missing_readings_neither_count_nor_hide_the_rest(references):
    shifted = normal_rows(STEPS, seed=1)
    shifted[:, 2] += 4.0
    shifted[:, 0] = np.nan
    nothing = np.full((STEPS, 3), np.nan)
    scores = references.pca([shifted, nothing])
    assert scores[0] > references.limit("pca", 0.01)
    assert np.isnan(scores[1])


def test_short_windows_are_scored_beside_full_ones(references):
    rows = normal_rows(STEPS, seed=1)
    together = references.pca([rows, rows[-3:], rows])
    assert together == pytest.approx([*references.pca([rows]), *references.pca([rows[-3:]]), together[0]])


def test_sensors_that_are_always_missing_or_constant_do_not_break_the_fit():
    rows = normal_rows()
    rows[:, 0] = np.nan
    rows[:, 1] = 0.0
    fitted = References.fit([rows], STEPS)
    scores = fitted.pca([rows[:STEPS], rows[:STEPS] + np.array([0, 0, 5.0])])
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0]


def test_no_stretch_as_long_as_a_window_is_refused():
    with pytest.raises(EvaluationError, match="10 consecutive"):
        References.fit([normal_rows(STEPS - 1)] * 3, STEPS)


def test_what_was_saved_scores_the_same(references, tmp_path):
    references.save(tmp_path / "reference.npz")
    loaded = References.load(tmp_path / "reference.npz", sensors=3)
    windows = [normal_rows(STEPS, seed=seed) for seed in range(5)]
    assert loaded.pca(windows) == pytest.approx(references.pca(windows))
    assert loaded.limit("z2", 0.02) == references.limit("z2", 0.02)


def write_nothing(path):
    path.write_bytes(b"")


def write_half_a_file(path):
    References.fit([normal_rows()], STEPS).save(path)
    path.write_bytes(path.read_bytes()[:1000])


def write_other_arrays(path):
    np.savez(path, center=np.zeros(3))


def write_pickle(path):
    np.savez(path, **{name: np.array([{}], dtype=object) for name in References.__slots__})


def write_two_sensors(path):
    References.fit([normal_rows()[:, :2]], STEPS).save(path)


@pytest.mark.parametrize(
    "write", [write_nothing, write_half_a_file, write_other_arrays, write_pickle, write_two_sensors]
)
def test_file_that_does_not_fit_is_refused_by_name(tmp_path, write):
    path = tmp_path / "reference.npz"
    write(path)
    with pytest.raises(EvaluationError, match=r"reference\.npz"):
        References.load(path, sensors=3)
