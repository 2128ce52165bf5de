"""The folder of a run: what is in it, and what is not gone on with."""

import csv
import json

import numpy as np
import pytest

from tests.unit.training.small_plant import small_fit, small_recipe
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import RunRefused
from training.run import RunFolder


@pytest.fixture
def recipe():
    return small_recipe(
        units=[5, 4], dropout=0.1, attention=True, class_weights={"normal": 2.0},
        loss_weights=[{"reconstruction": 1.0}, {"from_step": 20, "classification": 0.5, "ramp_steps": 10}],
    )  # fmt: skip


@pytest.fixture
def begun(tmp_path, recipe):
    """A run of 30 steps, its folder and the fit."""
    run = RunFolder(tmp_path / "run", {"name": "x"})
    assert run.take_up("data") is None
    _, fitting = small_fit(recipe)
    fitting.run(until=30)
    run.save(fitting.state(), recipe)
    return tmp_path / "run", fitting


def test_a_run_that_is_opened_again_ends_with_the_same_weights(begun, recipe):
    folder, fitting = begun
    _, again = small_fit(recipe)
    run = RunFolder.open(folder)
    assert run.recipe == recipe
    assert run.order == {"name": "x"}
    assert run.other_versions == {}
    again.restore(run.take_up("data"))
    again.run()
    fitting.run()
    one, other = fitting.state(), again.state()
    assert one.curves == other.curves
    assert one.sampler == other.sampler
    for name in ("variables", "optimiser", "best"):
        assert all(map(np.array_equal, getattr(one, name), getattr(other, name))), name


def test_the_curves_are_a_table_by_step(begun):
    folder, fitting = begun
    rows = list(csv.DictReader((folder / "curves.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(1, 31))
    assert [float(row["reconstruction"]) for row in rows] == pytest.approx(
        fitting.curves.reconstruction, rel=1e-5
    )
    assert float(rows[0]["classification_weight"]) == 0.0
    assert 0.0 < float(rows[25]["classification_weight"]) < 0.5


def test_nothing_in_the_folder_is_pickled(begun):
    folder, _ = begun
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "recipe.toml", "curves.csv", "checkpoint.npz",
    }  # fmt: skip
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as content:
        assert all(content[name].dtype != object for name in content.files)


def test_a_run_on_other_data_is_refused(begun):
    with pytest.raises(RunRefused, match="files have changed"):
        RunFolder.open(begun[0]).take_up("other data")


def test_other_versions_of_the_libraries_are_told(begun):
    path = begun[0] / "run.json"
    content = json.loads(path.read_text())
    content["versions"]["keras"] = "1.0"
    path.write_text(json.dumps(content))
    assert RunFolder.open(begun[0]).other_versions["keras"][0] == "1.0"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"], ids=["empty", "cut", "list", "nothing in it"])
def test_a_folder_without_a_readable_run_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunRefused, match="holds no training run"):
        RunFolder.open(tmp_path)


def test_a_folder_in_use_is_refused_for_a_new_run_and_says_how_to_go_on(begun, tmp_path):
    with pytest.raises(RunRefused, match="--resume"):
        RunFolder(begun[0], {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunRefused, match=r"is not empty$"):
        RunFolder(tmp_path / "other", {})


def test_a_published_run_is_not_gone_on_with(begun, tmp_path):
    run = RunFolder.open(begun[0])
    run.finish(tmp_path / "models" / "x" / "1")
    with pytest.raises(RunRefused, match="nothing is left to do"):
        RunFolder.open(begun[0])


def test_a_crash_while_a_checkpoint_is_written_leaves_the_one_before(begun, monkeypatch):
    folder, fitting = begun
    path = folder / "checkpoint.npz"
    before = path.read_bytes()
    fitting.run(until=40)
    real = np.savez

    def cut(file, **arrays):
        real(file, **arrays)
        file.truncate(100)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", cut)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, fitting.state())
    assert path.read_bytes() == before
    assert load_checkpoint(path).step == 30


@pytest.mark.parametrize("keep", [0, 100, -200], ids=["empty", "cut at the front", "cut at the end"])
def test_a_damaged_checkpoint_is_refused_by_name(begun, keep):
    path = begun[0] / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunRefused, match=r"checkpoint\.npz: no checkpoint"):
        load_checkpoint(path)
