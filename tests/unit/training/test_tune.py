"""The search for a recipe: what it validates on, that it goes on where it was, what it leaves behind."""

import json
from dataclasses import replace

import numpy as np
import pytest

from history.recording import ANOMALOUS, NORMAL, UNLABELLED
from tests.plant import SCALE, recording
from tests.unit.training.small_plant import small_recipe
from training import trial
from training.dataset import survey
from training.errors import NotEnoughData, TuningRefused
from training.recipe import read_recipe
from training.split import split
from training.trial import INJECTED, RECORDED, lay_ground, run_trial, with_faults
from training.tune import Study
from training.tune_report import JSON_FILE, PICTURE_FILE, RECIPE_FILE, write_report

RECIPE = small_recipe(batch_size=64, learning_rate=1e-2)
STEPS = 20


def runs(labelled: bool = True, faulty: bool = True, rows: int = 500) -> list:
    return [
        recording(f"run-{k}", rows, seed=k, fault=(300, 400) if faulty and k % 2 else None, labelled=labelled)
        for k in range(12)
    ]


def names(part) -> set[str]:
    return {item.name for item in part}


def test_no_recording_trains_calibrates_and_validates_a_trial_or_is_among_the_test_files():
    recordings = runs()
    ground = lay_ground(recordings, RECIPE, recordings[:2])
    later = split(recordings[2:], RECIPE, recordings[:2])
    validation = names(ground.parts.test)
    assert ground.faults == RECORDED
    assert validation
    assert not validation & names(ground.parts.train)
    assert validation | names(ground.parts.train) <= names(later.train)
    assert names(ground.parts.calibration)
    assert not names(ground.parts.calibration) & (validation | names(ground.parts.train))
    assert not {"run-0", "run-1"} & (validation | names(ground.parts.train) | names(ground.parts.calibration))


def test_what_calibration_has_no_use_for_is_learnt_from_unless_the_recipe_keeps_it_apart(monkeypatch):
    monkeypatch.setattr(trial, "MOST_CALIBRATION_RECORDINGS", 2)

    def learnt(recipe) -> int:
        ground = lay_ground(runs(), recipe)
        assert len(ground.parts.calibration) == 2
        assert not names(ground.parts.calibration) & names(ground.whole)
        assert names(ground.parts.train) | names(ground.parts.test) <= names(ground.whole)
        return len(ground.whole)

    later = split(runs(), RECIPE)
    assert learnt(RECIPE) == len(later.train) - 2
    apart = small_recipe(calibration_folds=0)
    assert learnt(apart) == len(split(runs(), apart).train)


def test_a_trial_leaves_out_the_sensors_that_the_training_that_follows_leaves_out(monkeypatch):
    ground = replace(lay_ground(runs(), RECIPE), whole=tuple(runs()))
    for item in ground.parts.train:
        item.values[:, 2] += np.linspace(0, 20 * SCALE[2], len(item))
    assert survey(ground.parts.train, RECIPE).drifting.tolist() == [False, False, True]
    assert not survey(ground.whole, RECIPE).drifting.any()
    used = []
    monkeypatch.setattr(trial, "begin", lambda experiments, population, *_: used.append(population) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_trial(ground, RECIPE)
    assert not used[0].drifting.any()


@pytest.mark.parametrize("labelled", [True, False], ids=["only normal labels", "no labels"])
def test_without_recorded_faults_injected_ones_are_to_be_found(labelled):
    recordings = runs(labelled=labelled, faulty=False)
    ground = lay_ground(recordings, RECIPE)
    assert ground.faults == INJECTED
    for item in ground.parts.test:
        assert {ANOMALOUS, NORMAL} <= set(item.labels.tolist())
    again = lay_ground(recordings, RECIPE)
    assert all(
        np.array_equal(a.values, b.values) for a, b in zip(ground.parts.test, again.parts.test, strict=True)
    )


def test_injected_faults_change_the_rows_that_are_labelled_and_no_others():
    item = recording("run", 900, seed=0, fault=(500, 560))
    with_more = with_faults(item, small_recipe(baseline_rows=200), np.random.default_rng(0))
    changed = (with_more.values != item.values).any(axis=1)
    assert not changed[:200].any()
    assert changed.any()
    assert (with_more.labels[changed] == ANOMALOUS).all()
    assert (with_more.labels[500:560] == UNLABELLED).all()
    assert not (with_more.values[500:560] != item.values[500:560]).any()


def test_recordings_without_a_window_of_normal_operation_are_refused():
    with pytest.raises(NotEnoughData):
        lay_ground([recording("run", 60, fault=(0, 60))], RECIPE)


def test_a_trial_that_learns_ranks_faults_above_normal_operation():
    reports = []
    recipe = small_recipe(reconstruction_steps=60, joint_steps=140, batch_size=64, learning_rate=1e-2)
    value = run_trial(lay_ground(runs(), recipe), recipe, on_rung=lambda *report: reports.append(report))
    assert [step for step, _ in reports] == [110, 140, 170, 200]
    assert reports[-1][1] == value
    # A shift of five deviations in one of three sensors is no hard case.
    assert value > 0.8


def study(path, pruner="median", steps=STEPS, data="data", base=RECIPE) -> Study:
    return Study(path / "tuning.db", lay_ground(runs(), base), base, steps, data, pruner)


def test_a_search_that_is_stopped_goes_on_and_leaves_a_report_and_a_recipe(tmp_path):
    first = study(tmp_path)
    seen = []
    # Stopped within the second trial.
    first.run(3, seen.append, stop=lambda: len(seen) == 2)
    assert len(first.counted) == 1

    second = study(tmp_path)
    second.run(3, seen.append)
    assert len(second.counted) == 3
    assert [standing.done for standing in seen] == [0, 1, 1, 2]
    assert seen[1].choices == seen[2].choices

    write_report(second, tmp_path / "report")
    content = json.loads((tmp_path / "report" / JSON_FILE).read_text())
    assert len(content["trials"]) == 3
    completed = [trial for trial in content["trials"] if not trial["given_up_early"]]
    assert content["best"]["value"] == max(trial["value"] for trial in completed)
    assert content["importances"] is None
    assert "recorded faults" in content["objective"]
    assert (tmp_path / "report" / PICTURE_FILE).stat().st_size > 20_000
    best = read_recipe(tmp_path / "report" / RECIPE_FILE)
    assert best == second.best_recipe
    # The steps of a trial are not those of the training that follows.
    assert best.steps == RECIPE.steps
    assert best.window_steps == content["best"]["choices"]["window_steps"]


def test_the_recipe_that_was_given_is_tried_first_and_again_when_it_was_interrupted(tmp_path):
    given = small_recipe(window_steps=12, units=[10, 5], batch_size=64, learning_rate=1e-2)
    first = study(tmp_path, base=given)
    seen = []
    first.run(2, seen.append, stop=lambda: len(seen) == 1)
    assert not first.counted
    second = study(tmp_path, base=given)
    second.run(2, seen.append)
    assert [second.chosen(standing.choices) == given for standing in seen] == [True, True, False]
    assert second.as_given is not None
    write_report(second, tmp_path / "report")
    content = json.loads((tmp_path / "report" / JSON_FILE).read_text())
    assert content["as_given"]["value"] == second.as_given.value
    said = (tmp_path / "report" / RECIPE_FILE).read_text()
    assert f"The recipe as it was given: {second.as_given.value:.4f}" in said


@pytest.mark.parametrize(
    "change",
    [{"units": [5]}, {"units": [10, 10]}, {"dropout": 0.25}, {"window_steps": 8}],
    ids=["out of range", "not half as wide", "between steps", "too short"],
)
def test_a_recipe_that_is_not_among_what_is_searched_is_not_tried(tmp_path, change):
    base = small_recipe(**({"window_steps": 12, "units": [10], "batch_size": 64} | change))
    begun = study(tmp_path, base=base)
    begun.run(1, stop=lambda: bool(begun.study.trials))
    assert not begun.study.trials[0].user_attrs["as_given"]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"data": "other"}, "data"), ({"steps": 30}, "steps"), ({"base": small_recipe(seed=9)}, "recipe")],
    ids=["data", "steps", "recipe"],
)
def test_a_search_that_was_begun_otherwise_is_refused(tmp_path, change, named):
    study(tmp_path)
    with pytest.raises(TuningRefused, match=f"begun with other {named}"):
        study(tmp_path, **change)


def test_a_storage_that_is_no_search_is_refused_by_name(tmp_path):
    (tmp_path / "tuning.db").write_text("something else, long enough to be read as a header of a file")
    with pytest.raises(TuningRefused, match=r"tuning\.db: cannot be opened"):
        study(tmp_path)


def test_deeper_layers_are_half_as_wide(tmp_path):
    choices = {"units": 20, "layers": 2, "cell": "gru", "dropout": 0.1, "window_steps": 16}
    recipe = study(tmp_path).chosen(choices)
    assert (recipe.units, recipe.cell, recipe.window_steps) == ([20, 10], "gru", 16)


def test_a_shortened_recipe_keeps_its_stages_in_proportion():
    assert (
        small_recipe().shortened(30).model_dump()
        == small_recipe(reconstruction_steps=10, joint_steps=20).model_dump()
    )
    staged = small_recipe(
        loss_weights=[{"from_step": 0}, {"from_step": 30, "classification": 1.0, "ramp_steps": 10}]
    ).shortened(30)
    assert staged.steps == 30
    assert [(stage.from_step, stage.ramp_steps) for stage in staged.loss_weights] == [(0, 0), (15, 5)]
