"""Normal operation as it is measured on recordings."""

from dataclasses import replace

import numpy as np
import pytest

from detector.operation import OPERATION_FILE, Operation
from detector.statistics import levels
from detector.windows import window_ends, windows_ending_at
from history.recording import Recording
from tests.plant import SCALE, recording
from training import operation as module
from training.dataset import Population, prepare, survey
from training.operation import LEVEL_FLOOR, SPREAD_FLOOR, mean_and_sd, measure_operation
from training.recipe import Recipe

RECIPE = Recipe(window_steps=12, minimum_steps=4, baseline="pooled", recovery_windows=2)


def measured(recordings: list[Recording]) -> tuple[Operation, Population]:
    population = survey(recordings, RECIPE)
    experiments = [prepare(item, population, RECIPE) for item in recordings]
    return measure_operation(experiments, RECIPE), population


def windows_of(
    population: Population, item: Recording, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised, 0 where missing; which are there; levels."""
    experiment = prepare(item, population, RECIPE)
    ends = window_ends(experiment.runs, RECIPE.window_steps)
    windows = np.stack(windows_ending_at(experiment.standardised, experiment.runs, ends, steps))
    observed = np.isfinite(windows)
    windows = np.where(observed, windows, np.float32(0))
    return windows, observed, levels(windows, observed)


def distances(operation: Operation, population: Population, item: Recording, steps: int) -> np.ndarray:
    level = windows_of(population, item, steps)[-1]
    return operation.distances(level, np.full(len(level), steps, np.int32))


@pytest.fixture(scope="module")
def plant() -> tuple[Operation, Population]:
    return measured([recording(f"run-{k}", 1200, seed=k) for k in range(4)])


def test_what_is_usually_missing_is_measured_where_a_sensor_is_there_at_all():
    whole, half, without = (recording(f"run-{k}", 400, seed=k) for k in range(3))
    half.values[::2, 0] = np.nan
    without.values[:, 1] = np.nan
    operation, _ = measured([whole, half, without])
    np.testing.assert_allclose(operation.coverage, [5 / 6, 1.0, 1.0], atol=0.01)


@pytest.mark.parametrize("steps", [4, 12], ids=["shortest", "full"])
def test_windows_of_normal_operation_that_were_not_measured_are_about_one_away(plant, steps):
    found = distances(*plant, recording("later", 4000, seed=77), steps)
    assert found.mean() == pytest.approx(1.0, abs=0.2)


def test_windows_between_the_measured_lengths_are_about_one_away(plant):
    found = [distances(*plant, recording("later", 4000, seed=77), steps).mean() for steps in range(5, 12)]
    assert found == pytest.approx([1.0] * len(found), abs=0.25)


@pytest.mark.parametrize("steps", [4, 12], ids=["shortest", "full"])
def test_rows_of_normal_operation_that_were_not_measured_are_about_one_away(plant, steps):
    operation, population = plant
    found = operation.rows.distances(*windows_of(population, recording("later", 4000, seed=77), steps))
    assert found.mean() == pytest.approx(1.0, abs=0.2)


def test_disagreements_of_later_normal_operation_are_what_was_measured(plant):
    operation, population = plant
    rows = operation.rows
    found = rows.disagreements(*windows_of(population, recording("later", 4000, seed=77), 12))
    np.testing.assert_allclose(
        (found.mean(axis=0) - rows.disagreement) / rows.disagreement_sd, 0.0, atol=0.25
    )
    np.testing.assert_allclose(found.std(axis=0), rows.disagreement_sd, rtol=0.25)


@pytest.mark.parametrize("seen_in", [1, 2], ids=["one-file", "half-of-the-files"])
def test_a_sensor_that_some_files_lack_varies_as_much_as_where_it_was_seen(plant, seen_in):
    runs = [recording(f"run-{k}", 1200, seed=k) for k in range(4)]
    for item in runs[seen_in:]:
        item.values[:, 2] = np.nan
    operation, population = measured(runs)
    for name in ("covariance", "short_covariance"):
        found, whole = getattr(operation, name), getattr(plant[0], name)
        assert found[2, 2] == pytest.approx(whole[2, 2], rel=0.25)
    assert operation.rows.covariance[2, 2] == pytest.approx(plant[0].rows.covariance[2, 2], rel=0.25)
    later = windows_of(population, recording("later", 4000, seed=77), 12)
    assert operation.rows.distances(*later).mean() == pytest.approx(1.0, abs=0.25)


def test_a_shifted_sensor_is_far(plant):
    item = recording("shifted", 1000, seed=78)
    item.values[:, 2] += 5 * SCALE[2]
    assert np.median(distances(*plant, item, 12)) > 5


def test_faults_are_no_part_of_normal_operation(plant):
    with_faults = [recording(f"run-{k}", 1200, seed=k, fault=(800, 1100), size=40.0) for k in range(4)]
    operation, _ = measured(with_faults)
    assert (np.diag(operation.covariance) < 2 * np.diag(plant[0].covariance)).all()


def test_sensors_in_another_order_are_measured_alike():
    recordings = [recording(f"run-{k}", 600, seed=k) for k in range(3)]
    order = [2, 0, 1]
    other = [item.select([item.sensors[i] for i in order]) for item in recordings]
    one, two = measured(recordings)[0], measured(other)[0]
    np.testing.assert_allclose(two.covariance, one.covariance[np.ix_(order, order)], rtol=1e-6)
    for name in ("level", "scatter", "scatter_sd", "roughness", "roughness_sd"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name)[order], rtol=1e-6, atol=1e-9)


def still(item: Recording) -> Recording:
    """Its last sensor never moves."""
    values = item.values.copy()
    values[:, 2] = 60.0
    return replace(item, values=values)


def unseen(item: Recording) -> Recording:
    """Its last sensor is never observed."""
    values = item.values.copy()
    values[:, 2] = np.nan
    return replace(item, values=values)


@pytest.mark.parametrize("change", [still, unseen], ids=lambda change: change.__name__)
def test_a_sensor_that_says_nothing_leaves_a_model_that_can_be_loaded(change, tmp_path):
    operation, population = measured([change(recording(f"run-{k}", 600, seed=k)) for k in range(3)])
    operation.save(tmp_path / OPERATION_FILE)
    loaded = Operation.load(tmp_path, 3)
    found = distances(loaded, population, change(recording("later", 2000, seed=77)), 12)
    assert np.isfinite(found).all()
    assert found.mean() < 1.3
    later = windows_of(population, change(recording("later", 2000, seed=77)), 12)
    found = loaded.rows.distances(*later)
    assert np.isfinite(found).all()
    assert found.mean() < 1.3


def test_a_flicker_of_a_sensor_that_never_moved_is_not_far():
    operation, population = measured([still(recording(f"run-{k}", 600, seed=k)) for k in range(3)])
    item = still(recording("later", 600, seed=77))
    calm = distances(operation, population, item, 12)
    item.values[:, 2] += 0.5 * LEVEL_FLOOR * population.scale[2]
    assert distances(operation, population, item, 12).mean() < calm.mean() + 0.2


def test_a_thinned_sample_of_windows_measures_the_same(plant, monkeypatch):
    monkeypatch.setattr(module, "MOST_WINDOWS", 400)
    thinned, _ = measured([recording(f"run-{k}", 1200, seed=k) for k in range(4)])
    np.testing.assert_allclose(thinned.covariance, plant[0].covariance, atol=0.1)
    assert not np.array_equal(thinned.covariance, plant[0].covariance)


def test_mean_and_deviation_pass_over_what_is_missing():
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0], [np.nan, np.nan, 5.0]])
    mean, sd = mean_and_sd(values, SPREAD_FLOOR)
    assert mean.tolist() == [2.0, 0.0, 5.0]
    assert sd.tolist() == [1.0, 1.0, SPREAD_FLOOR]
