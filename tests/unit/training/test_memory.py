"""Learning from eight times the data takes hardly more memory."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars
import pytest

SENSORS, FILES = 40, 4
RECIPE = """
window_steps = 8
units = [4]
reconstruction_steps = 2
joint_steps = 2
calibration_folds = 0
batch_size = 16
"""
# Small data, so that what bounds the part that statistics are measured on is small, too.
LEARN = """
import training.dataset
from cli.main import main
training.dataset.MOST_READINGS //= 8
main()
"""
# What is compiled for a larger network takes more than all this data.
SMALL_TRIALS = """
from training.recipe import Recipe
shortened = Recipe.shortened
small = {"window_steps": 8, "units": [4], "batch_size": 16}
Recipe.shortened = lambda recipe, steps: shortened(recipe.model_copy(update=small), steps)
"""


def write_history(folder: Path, rows: int) -> int:
    """Files of normal operation, one of them CSV; returns the bytes of their readings."""
    folder.mkdir()
    for number in range(FILES):
        rng = np.random.default_rng(number)
        load = rng.standard_normal(rows)
        frame = polars.DataFrame(
            {"time": np.arange(rows) + 1_700_000_000}
            | {f"s{k}": np.round(20 + load + rng.standard_normal(rows), 3) for k in range(SENSORS)}
        )
        if number:
            frame.write_parquet(folder / f"{number}.parquet", row_group_size=20_000)
        else:
            frame.head(rows // 10).write_csv(folder / f"{number}.csv")
    return (FILES - 1) * rows * SENSORS * 8


def own_memory(process: subprocess.Popen[str]) -> int:
    """Memory that only this process has, bytes: mapped files, which the system may drop, are not among it."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc")
@pytest.mark.parametrize(
    ("learn", "command"),
    [
        (LEARN, ["train", "--name", "x", "--publish-anyway"]),
        (SMALL_TRIALS + LEARN, ["tune", "--trials", "1", "--steps", "20"]),
    ],
    ids=["train", "tune"],
)
def test_memory_does_not_grow_with_the_data(tmp_path, learn, command):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    write_history(tmp_path / "test", 500)
    sizes, processes, peaks = [], [], [0, 0]
    for name, rows in (("once", 15_000), ("eight-times", 120_000)):
        sizes.append(write_history(tmp_path / name, rows))
        work = tmp_path / f"work-{name}"
        work.mkdir()
        files = [str(tmp_path / name), "--test", str(tmp_path / "test"), "--recipe", str(recipe)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", learn, *command, *files],
                cwd=work,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    while any(process.poll() is None for process in processes):
        peaks = [max(peak, own_memory(process)) for peak, process in zip(peaks, processes, strict=True)]
        time.sleep(0.01)
    for process in processes:
        assert process.returncode == 0, process.stdout.read()
    growth, data_growth = peaks[1] - peaks[0], sizes[1] - sizes[0]
    assert growth < 0.2 * data_growth, f"peaks of {peaks} bytes with {sizes} bytes of readings"
