"""What is learnt of the recordings before training, and what is left out."""

import numpy as np
import pytest

from tests.plant import SCALE, recording
from training.dataset import NORMAL, UNUSED, all_classes, prepare, row_states, survey
from training.describe import longest_runs
from training.errors import NotEnoughData
from training.recipe import Recipe
from training.sampling import WindowSampler

RECIPE = Recipe(window_steps=10, baseline_rows=100, recovery_windows=2)


def test_rows_after_a_fault_are_used_for_nothing():
    item = recording("run", 200, fault=(100, 120))
    state = row_states(item, ("normal", "anomalous"), recovery_rows=20)
    assert (state[:100] == NORMAL).all()
    assert (state[100:120] == 1).all()
    assert (state[120:140] == UNUSED).all()
    assert (state[140:] == NORMAL).all()


def test_named_faults_keep_injected_ones_apart():
    item = recording("run", 200, fault=(100, 120))
    item.labels[100:120] = "cavitation"
    assert all_classes([item]) == ("normal", "cavitation", "other")
    assert all_classes([recording("run", labelled=False)]) == ("normal", "anomalous")


def test_machines_at_different_operating_points_get_baselines_of_their_own():
    recipe = RECIPE.model_copy(update={"baseline_rows": 400})
    recordings = [recording(f"run-{k}", 600, seed=k) for k in range(5)]
    for k, item in enumerate(recordings):
        item.values[:] += 8 * k * SCALE
    population = survey(recordings, recipe)
    assert population.per_asset
    for item in recordings:
        rows = prepare(item, population, recipe).standardised[:400]
        assert np.abs(rows.mean(axis=0)).max() < 0.1
    # Faults of one machine are measured by its own scatter, not by how machines differ.
    assert (population.asset_scale < population.scale / 5).all()


def test_alike_machines_share_one_baseline():
    assert not survey([recording(f"run-{k}", 300, seed=k) for k in range(5)], RECIPE).per_asset


def test_days_of_one_slow_machine_share_one_baseline():
    """Their first rows differ by deviations, but tell nothing of where the machine is later."""
    recipe = RECIPE.model_copy(update={"baseline_rows": 400})
    rng = np.random.default_rng(0)
    recordings = [recording(f"day-{k}", 4000, seed=k) for k in range(5)]
    for item in recordings:
        item.values[:] += np.repeat(rng.normal(0, 8, 10), 400)[:, None] * SCALE
    assert not survey(recordings, recipe).per_asset


def test_a_sensor_that_wanders_is_left_out():
    item = recording("run", 600)
    item.values[:, 2] += np.linspace(0, 20 * SCALE[2], 600)
    population = survey([item], RECIPE)
    assert population.drifting.tolist() == [False, False, True]
    assert np.isnan(prepare(item, population, RECIPE).standardised[:, 2]).all()


def test_a_machine_whose_every_sensor_wanders_is_still_judged():
    item = recording("run", 600)
    item.values[:] += np.linspace(0, 1, 600)[:, None] * 20 * SCALE
    assert not survey([item], RECIPE).drifting.any()


def test_recordings_without_normal_operation_are_refused():
    item = recording("run", 100, fault=(0, 100))
    with pytest.raises(NotEnoughData, match="normal operation"):
        survey([item], RECIPE)


def test_no_sampled_window_spans_a_gap_or_mixes_states():
    item = recording("run", 300, fault=(150, 200))
    item.timestamps[60:] += 1000
    recipe = RECIPE.model_copy(
        update={"missing_share": 0.0, "shorten_share": 0.0, "offset_sd": 0.0, "injected_share": 0.01}
    )
    population = survey([item], recipe)
    experiment = prepare(item, population, recipe)
    sampler = WindowSampler([experiment], recipe, 2, np.random.default_rng(0))
    batch = sampler.draw(200)
    rows = {row.tobytes(): number for number, row in enumerate(experiment.standardised)}
    injected = range(80, 82)
    for index, (window, klass) in enumerate(zip(batch.standardised, batch.klass, strict=True)):
        if index in injected:
            continue
        numbers = [rows[row.tobytes()] for row in window]
        assert np.diff(numbers).tolist() == [1] * 9
        assert not numbers[0] < 60 <= numbers[-1]
        state = experiment.state[numbers]
        assert state[-1] == klass
        if klass == NORMAL:
            assert (state == NORMAL).all()


def test_a_batch_holds_recorded_injected_and_normal_windows():
    item = recording("run", 400, fault=(150, 200))
    population = survey([item], RECIPE)
    sampler = WindowSampler([prepare(item, population, RECIPE)], RECIPE, 2, np.random.default_rng(0))
    batch = sampler.draw(100)
    assert (batch.klass == 1).sum() == 40 + 20
    # Recorded faults are not to be reconstructed: what the machine should have done is not known.
    assert not batch.wanted[:40].any()
    injected = slice(40, 60)
    changed = np.abs(batch.standardised - batch.target)[injected]
    assert (changed.max(axis=(1, 2)) > 0.5).mean() > 0.7
    normal = slice(60, 100)
    kept = batch.observed[normal]
    assert np.array_equal(np.clip(batch.standardised[normal], -10, 10)[kept], batch.target[normal][kept])


def test_missing_and_padded_readings_are_zero_and_not_observed():
    item = recording("run", 400)
    recipe = RECIPE.model_copy(update={"missing_share": 0.9, "shorten_share": 0.9})
    population = survey([item], recipe)
    batch = WindowSampler([prepare(item, population, recipe)], recipe, 2, np.random.default_rng(0)).draw(100)
    assert (batch.standardised[~batch.observed] == 0).all()
    padded = np.arange(10)[None, :] >= batch.lengths[:, None]
    assert padded.any()
    assert not batch.observed[padded].any()
    assert not batch.wanted[padded].any()


def test_without_recorded_faults_half_of_a_batch_is_injected_ones():
    item = recording("run", 400)
    recipe = RECIPE.model_copy(update={"missing_share": 0.0})
    population = survey([item], recipe)
    batch = WindowSampler([prepare(item, population, recipe)], recipe, 2, np.random.default_rng(0)).draw(100)
    assert (batch.klass == 1).sum() == 50
    assert batch.wanted[:50].any()


def test_a_sensor_that_drifts_on_one_machine_alone_is_judged_by_a_wider_scale_there():
    recipe = RECIPE.model_copy(update={"baseline": "asset", "baseline_rows": 400})
    recordings = [recording(f"run-{k}", 600, seed=k) for k in range(5)]
    warming, steady = recordings[2], recordings[3]
    warming.values[:400, 1] += np.linspace(0, 4 * SCALE[1], 400)
    population = survey(recordings, recipe)
    assert not population.drifting.any()
    wide, usual = (prepare(item, population, recipe).baseline for item in (warming, steady))
    assert not wide.left_out.any()
    assert wide.scale[1] > 1.5 * usual.scale[1]
    assert wide.scale[0] < 1.5 * usual.scale[0]


def test_a_sensor_that_only_climbs_on_one_machine_is_left_out_there_alone():
    recipe = RECIPE.model_copy(update={"baseline": "asset", "baseline_rows": 400})
    recordings = [recording(f"run-{k}", 600, seed=k) for k in range(5)]
    recordings[2].values[:400, 1] += np.linspace(0, 40 * SCALE[1], 400)
    population = survey(recordings, recipe)
    missing = [np.isnan(prepare(r, population, recipe).standardised[:, 1]).all() for r in recordings]
    assert missing == [False, False, True, False, False]


def test_statistics_of_more_than_is_measured_are_of_stretches_all_over_the_recording(monkeypatch):
    monkeypatch.setattr("training.dataset.MOST_READINGS", 12_000)
    monkeypatch.setattr("training.dataset.STRETCH_ROWS", 100)
    item, recipe = recording("long", 10_000), Recipe(baseline="pooled")
    population = survey([item], recipe)
    measured = prepare(item, population, recipe).measured
    assert len(measured) == 4000
    assert np.diff(measured).min() == 1
    assert (np.diff(measured) > 1).sum() == 39
    assert measured[-1] > 9700
    np.testing.assert_allclose(population.center, item.values.mean(axis=0), rtol=0.01)


def test_flat_runs_are_counted_over_blocks(monkeypatch):
    item, recipe = recording("flat", 400), Recipe(baseline="pooled")
    item.values[100:163, 1] = 7.0
    item.values[120:130, 1] = np.nan
    experiment = prepare(item, survey([item], recipe), recipe)
    whole = longest_runs(experiment)
    monkeypatch.setattr("history.spool.BLOCK_BYTES", 24 * 9)
    assert whole.tolist() == longest_runs(experiment).tolist() == [1, 53, 1]
