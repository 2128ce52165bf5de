"""`offnormal train`: from files to a published model."""

import json
import os
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


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", "train", *map(str, arguments)]


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=200, check=False)


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
        (["--name", "../x"], 1, "cannot name a model"),
        (["--name", "x", "--unit", "Pressure"], 2, "SENSOR=UNIT"),
        (["--name", "x", "--window", "3"], 1, "window_steps"),
        ([], 2, "--name"),
    ],
    ids=["bad-name", "bad-unit", "window-too-small", "no-name"],
)
def test_bad_arguments_are_refused(exports, tmp_path, arguments, code, said):
    result = train(exports, "--models", tmp_path / "models", *arguments)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "models").exists()


def test_an_interrupted_training_leaves_the_store_as_it_was(exports, tmp_path):
    models = tmp_path / "models"
    recipe = tmp_path / "long.toml"
    recipe.write_text(RECIPE.format(steps=100_000))
    process = subprocess.Popen(
        command(exports, "--name", "x", "--models", models, "--recipe", recipe),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "TensorFlow" in line:
            break
    time.sleep(8)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not models.exists() or not any(models.rglob("*"))
