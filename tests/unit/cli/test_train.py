"""`offnormal train`: from files to a published model."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector import Detector, ModelStore
from tests.unit.cli.plant_files import write_run

RECIPE = """
window_steps = 12
units = [6]
batch_size = 32
reconstruction_steps = {steps}
joint_steps = {steps}
baseline = "pooled"
baseline_rows = 60
recovery_windows = 1
"""


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    for k in range(8):
        write_run(folder, f"run-{k}.csv", rows=300, fault=(200, 240) if k % 2 else None, seed=k)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(steps=15))
    return path


def command(*arguments: object, anyway: bool = True) -> list[str]:
    """anyway: publish the model though plain detectors are as good, as on such plain files they are."""
    flags = ["--publish-anyway"] if anyway else []
    return [sys.executable, "-m", "cli.main", "train", *map(str, arguments), *flags]


def train(
    *arguments: object, anyway: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, anyway=anyway), capture_output=True, text=True, timeout=200, check=False, cwd=cwd
    )


def test_a_folder_of_files_becomes_a_model_that_loads_and_says_what_it_is(exports, recipe, tmp_path):
    models = tmp_path / "models"
    result = train(
        exports, "--name", "pump7", "--models", models, "--recipe", recipe, "--unit", "Pressure=bar",
        "--description", "Made up.", "--licence", "CC0", "--test", exports / "run-1.csv",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "Published" in result.stdout
    assert "run-1" not in result.stderr
    # Nothing of TensorFlow's own chatter.
    assert "oneDNN" not in result.stderr
    folder = ModelStore(models).folder("pump7")
    manifest = Detector.load(folder).manifest
    assert manifest.sensors[0].unit == "bar"
    assert manifest.training_data.files == 7
    assert manifest.metrics["files"] == 1
    assert manifest.metrics["f1"] is not None
    card = (folder / "CARD.md").read_text()
    assert "Made up." in card
    assert "CC0" in card
    assert "run-1.csv" in card
    assert (folder / "report" / "run-1.png").stat().st_size > 10_000
    assert sorted(path.name for path in (models / "pump7").iterdir()) == ["1"]


def test_the_same_seed_and_files_give_the_same_model(exports, recipe, tmp_path):
    figures = []
    for name in ("one", "two"):
        assert train(exports, "--name", name, "--models", tmp_path, "--recipe", recipe).returncode == 0
        manifest = json.loads((tmp_path / name / "1" / "manifest.json").read_text())
        figures.append((manifest["metrics"], manifest["calibration"], manifest["training_data"]["sha256"]))
    assert figures[0] == figures[1]


def test_a_model_that_does_not_beat_plain_detectors_is_published_only_when_told_so(exports, recipe, tmp_path):
    refused = train(
        exports, "--name", "x", "--models", "models", "--recipe", recipe, anyway=False, cwd=tmp_path
    )
    assert refused.returncode == 1
    assert "Does not beat" in refused.stderr
    assert "--publish-anyway" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not any((tmp_path / "models").glob("x/*"))
    (run,) = (tmp_path / "runs").iterdir()

    told = train("--resume", run, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    folder = tmp_path / "models" / "x" / "1"
    Detector.load(folder)
    assert "Published although it does not beat them all" in (folder / "CARD.md").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("time,a\nx,y\nz,w\n", "number"),
        ("time,a,b\n2026-01-01T00:00:00,1,2\n", "row"),
        ("", "empty"),
    ],
    ids=["no-numbers", "one-row", "empty"],
)
def test_a_file_that_cannot_be_learnt_from_is_refused_by_name(tmp_path, recipe, content, said):
    (tmp_path / "bad.csv").write_text(content)
    result = train(tmp_path / "bad.csv", "--name", "x", "--models", tmp_path / "models", "--recipe", recipe)
    assert result.returncode == 1
    assert "bad.csv" in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "models").exists()


def test_files_without_normal_operation_are_refused(tmp_path, recipe):
    for k in range(5):
        write_run(tmp_path / "faulty", f"run-{k}.csv", rows=120, fault=(0, 120), seed=k)
    result = train(tmp_path / "faulty", "--name", "x", "--models", tmp_path / "models", "--recipe", recipe)
    assert result.returncode == 1
    assert "normal operation" in result.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--name", "x", "--run-folder", "."], 1, "is not empty"),
        (["--resume", "."], 2, "takes no files"),
        (["--name", "x", "--label-columns", "a,a"], 2, "different columns"),
        (["--name", "x", "--label-column", "a", "--label-columns", "a,b"], 2, "not both"),
        (["--name", "x", "--label-names", "normal"], 2, "VALUE=CLASS"),
        (["--name", "x", "--label-names", "1=a,1=b"], 2, "one value twice"),
        (["--name", "../x"], 1, "cannot name a model"),
        (["--name", "x", "--unit", "Pressure"], 2, "SENSOR=UNIT"),
        (["--name", "x", "--window", "3"], 1, "window_steps"),
        ([], 2, "--name"),
    ],
    ids=[
        "run-folder-in-use", "resume-with-files", "column-twice", "columns-two-ways", "no-pair",
        "value-twice", "bad-name", "bad-unit", "window-too-small", "no-name",
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(exports, tmp_path, arguments, code, said):
    result = train(exports, "--models", tmp_path / "models", *arguments)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "models").exists()


def interrupted(cwd: Path, *arguments: object, by: signal.Signals) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a training that gets a signal while it fits.

    Its bar is no sign of it on a pipe, so the run's own folder is: it is there after the first hundred steps.
    """
    process = subprocess.Popen(
        command(*arguments, "--run-folder", cwd / "run"),
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    waited = time.monotonic() + 150
    while not (cwd / "run" / "run.json").exists() and process.poll() is None and time.monotonic() < waited:
        time.sleep(0.02)
    process.send_signal(by)
    said, told = process.communicate(timeout=100)
    return process.returncode, said, told


@pytest.fixture
def long_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "long.toml"
    path.write_text(RECIPE.format(steps=1500))
    return path


def test_a_training_that_was_interrupted_and_goes_on_gives_the_same_model(exports, long_recipe, tmp_path):
    ordered = (exports, "--name", "x", "--recipe", long_recipe, "--seed", "4", "--unit", "Pressure=bar")
    code, _, told = interrupted(tmp_path, *ordered, "--models", "models", by=signal.SIGINT)
    assert code == 130
    assert "Traceback" not in told
    assert not any((tmp_path / "models").glob("x/*"))
    assert "offnormal train --resume" in told
    run = tmp_path / "run"
    steps = len((run / "curves.csv").read_text().splitlines()) - 1
    assert 100 <= steps < 3000

    (tmp_path / "elsewhere").mkdir()
    resumed = subprocess.run(
        command("--resume", run),
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert len((run / "curves.csv").read_text().splitlines()) == 3001

    assert train(*ordered, "--models", tmp_path / "whole").returncode == 0
    one, other = tmp_path / "models" / "x" / "1", tmp_path / "whole" / "x" / "1"
    for name in ("model.onnx", "twin.npz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, other)]
    for key in ("metrics", "calibration", "recipe", "sensors", "training_data"):
        assert manifests[0][key] == manifests[1][key], key
    assert manifests[0]["sensors"][0]["unit"] == "bar"

    again = train("--resume", run)
    assert again.returncode == 1
    assert "nothing is left to do" in again.stderr


def test_an_interrupted_training_publishes_its_best_weights_if_asked_to(exports, long_recipe, tmp_path):
    code, said, told = interrupted(
        tmp_path, exports, "--name", "x", "--models", "models", "--recipe", long_recipe,
        "--publish-interrupted", by=signal.SIGTERM,
    )  # fmt: skip
    assert code == 0, told
    assert "Published models/x/1" in said
    folder = tmp_path / "models" / "x" / "1"
    stopped = Detector.load(folder).manifest.recipe["stopped_at_step"]
    assert 100 <= stopped < 3000
    assert f"interrupted after step {stopped}" in (folder / "CARD.md").read_text()


def test_an_interrupted_training_without_a_folder_gets_one_and_leaves_the_store_as_it_was(exports, tmp_path):
    recipe = tmp_path / "long.toml"
    recipe.write_text(RECIPE.format(steps=100_000))
    process = subprocess.Popen(
        command(exports, "--name", "x", "--models", "models", "--recipe", recipe),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "TensorFlow" in line:
            break
    # Once the store is being written to, the fit begins; before, Ctrl-C has nothing to keep.
    while not (tmp_path / "models" / "x").exists():
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 143
    assert "Traceback" not in said
    assert not any((tmp_path / "models").glob("x/*"))
    (run,) = (tmp_path / "runs").iterdir()
    assert f"offnormal train --resume runs/{run.name}" in said
    assert (run / "checkpoint.npz").exists()


def test_a_run_on_other_data_is_not_gone_on_with(exports, long_recipe, tmp_path):
    ordered = (exports, "--name", "x", "--models", "models", "--recipe", long_recipe)
    assert interrupted(tmp_path, *ordered, by=signal.SIGINT)[0] == 130
    write_run(exports, "run-0.csv", rows=300, fault=None, seed=99)
    result = train("--resume", tmp_path / "run")
    assert result.returncode == 1
    assert "have changed" in result.stderr


def test_losses_are_written_for_tensorboard(exports, recipe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tmp_path / "board"
    result = train(
        exports, "--name", "x", "--models", tmp_path / "models", "--recipe", recipe, "--tensorboard", board
    )
    assert result.returncode == 0, result.stderr
    events = EventAccumulator(str(board), size_guidance={"tensors": 0})
    events.Reload()
    assert "loss/reconstruction" in events.Tags()["tensors"]
    assert [event.step for event in events.Tensors("loss/total")] == list(range(1, 31))
