"""`offnormal tune`: a search that can be interrupted, and whose result trains."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.cli.plant_files import write_run

RECIPE = """
window_steps = 12
reconstruction_steps = 10
joint_steps = 10
baseline = "pooled"
baseline_rows = 60
recovery_windows = 1
"""


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A folder with exports of twelve runs and a recipe."""
    for k in range(12):
        write_run(tmp_path / "exports", f"run-{k}.csv", rows=300, fault=(200, 240) if k % 2 else None, seed=k)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", *map(str, arguments)]


def run(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=250, check=False
    )


def finished(storage: Path) -> int:
    """Trials in the storage that are at their end."""
    if not storage.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{storage}?mode=ro", uri=True) as connection:
            count = connection.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')")
            return int(count.fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_a_search_is_interrupted_goes_on_and_its_recipe_trains(plant):
    search = ("tune", "exports", "--recipe", "recipe.toml", "--storage", "search.db", "--steps", "20")
    process = subprocess.Popen(
        command(*search, "--trials", "1000"),
        cwd=plant, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    waited = time.monotonic() + 150
    while finished(plant / "search.db") < 1 and process.poll() is None and time.monotonic() < waited:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=100)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "The same command continues search.db" in told.replace("\n", " ")
    assert "Best of" in said
    done = finished(plant / "search.db")
    assert done >= 1

    again = run(plant, *search, "--trials", done + 1, "--report", "found")
    assert again.returncode == 0, again.stderr
    assert f"going on after {done} trials" in again.stderr
    assert f"Best of {done + 1} trials" in again.stdout
    content = json.loads((plant / "found" / "tuning.json").read_text())
    assert len(content["trials"]) == done + 1

    # Twenty steps need not make it better than plain detectors.
    recipe = ("--recipe", "found/best-recipe.toml", "--publish-anyway")
    trained = run(plant, "train", "exports", "--name", "x", *recipe)
    assert trained.returncode == 0, trained.stderr
    assert "Published models/x/1" in trained.stdout
    manifest = json.loads((plant / "models" / "x" / "1" / "manifest.json").read_text())
    assert manifest["window"]["steps"] == content["best"]["choices"]["window_steps"]


def test_a_long_search_goes_on_in_new_processes_by_itself(plant):
    """A process that has done its share is replaced: what it compiled for its trials goes with it."""
    code = "import cli.tune; cli.tune.TRIALS_OF_A_PROCESS = 1; from cli.main import main; main()"
    search = ("tune", "exports", "--recipe", "recipe.toml", "--storage", "search.db", "--steps", "20")
    result = subprocess.run(
        [sys.executable, "-c", code, *search, "--trials", "2"],
        cwd=plant, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("Loading TensorFlow") == 2
    assert "going on after 1 trials" in result.stderr
    assert result.stdout.count("Best of 2 trials") == 1
    assert finished(plant / "search.db") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--trials", "0"], 2, "--trials"),
        (["--steps", "1"], 2, "--steps"),
        (["--pruner", "none"], 2, "--pruner"),
        (["--storage", "exports"], 2, "--storage"),
        (
            ["--storage", "recipe.toml", "--recipe", "recipe.toml"],
            1,
            "recipe.toml: cannot be opened as a study",
        ),
    ],
    ids=["no-trial", "no-steps", "unknown-pruner", "storage-is-a-folder", "storage-is-a-text"],
)
def test_bad_arguments_are_refused(plant, arguments, code, said):
    result = run(plant, "tune", "exports", *arguments)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
