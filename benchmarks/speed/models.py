"""The models that are served: real ones, trained briefly on simulated operation of a plant.

    python -m benchmarks.speed.models FOLDER

How well they detect does not matter here, only that everything about them is whole: the network's size, its
calibration, its operation. They are trained by the project's own pipeline and opened by all servers alike.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks import code
from benchmarks.speed.places import ROOT
from detector import Detector, ModelStore
from detector.errors import DetectorError
from detector.windows import Floats
from history.quality import measure_quality
from history.recording import Recording
from history.twin import Twin

START = 1_790_000_000.0
# Packages whose code a model depends on.
MADE_BY = ("detector", "history", "training")


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be served. rows: of each recording that it is trained on."""

    name: str
    steps: int
    sensors: int
    units: int
    rows: int
    batch_size: int


WINDOW = Subject("window", steps=60, sensors=8, units=64, rows=1500, batch_size=64)
WIDE = Subject("wide", steps=300, sensors=300, units=16, rows=2000, batch_size=4)
SUBJECTS = (WINDOW, WIDE)

RECORDINGS = 8
OPTIMISER_STEPS = 20


def store_of(subject: Subject, folder: Path) -> Path:
    """The store that holds this model alone, as the code of now trains it."""
    known = f"{subject} {RECORDINGS} {OPTIMISER_STEPS} {_code()}"
    return folder / f"{subject.name}-{hashlib.sha256(known.encode()).hexdigest()[:12]}"


@cache
def _code() -> str:
    return code.sha256(ROOT, (path for package in MADE_BY for path in (ROOT / package).rglob("*.py")))


def is_whole(subject: Subject, folder: Path) -> bool:
    """Whether the model is there and opens."""
    with suppress(DetectorError):
        Detector.load(ModelStore(store_of(subject, folder)).folder(subject.name))
        return True
    return False


def windows_of(subject: Subject, folder: Path, count: int, seed: int) -> Floats:
    """(count, steps, sensors) of normal operation, as the model's own twin simulates it."""
    twin = Twin.load(ModelStore(store_of(subject, folder)).folder(subject.name) / "twin.npz")
    rows = twin.simulate(count * subject.steps, np.random.default_rng(seed))
    return rows.reshape(count, subject.steps, subject.sensors)


def build(subject: Subject, folder: Path) -> None:
    """Train and publish the model in place of what was there."""
    from training.pipeline import About, train
    from training.recipe import Recipe

    for former in folder.glob(f"{subject.name}-*"):
        shutil.rmtree(former, ignore_errors=True)
    store = store_of(subject, folder)
    recordings = list(_recordings(subject))
    recipe = Recipe.model_validate(
        {
            "window_steps": subject.steps,
            "units": [subject.units],
            "batch_size": subject.batch_size,
            "reconstruction_steps": OPTIMISER_STEPS,
            "joint_steps": OPTIMISER_STEPS,
            "calibration_folds": 0,
            "baseline": "pooled",
            "recovery_windows": 1,
        }
    )
    train(
        recordings[:-1],
        About(subject.name, "For benchmarks of speed: trained too briefly to be of other use."),
        ModelStore(store),
        recipe,
        test=recordings[-1:],
        publish_anyway=True,
    )


def _recordings(subject: Subject) -> Iterator[Recording]:
    rng = np.random.default_rng(0)
    sensors = tuple(f"Sensor{number}" for number in range(1, subject.sensors + 1))
    mixing = np.tril(rng.normal(0.0, 0.3, (subject.sensors, subject.sensors)), -1) / np.sqrt(subject.sensors)
    twin = Twin(
        sensors,
        rng.uniform(1.0, 100.0, subject.sensors),
        rng.uniform(0.1, 5.0, subject.sensors),
        0.8 * np.eye(subject.sensors)[None],
        0.6 * (np.eye(subject.sensors) + mixing),
    )
    for number in range(RECORDINGS):
        # The last is what the model is reported on; every row of it is judged.
        rows = subject.rows if number < RECORDINGS - 1 else subject.steps + 200
        values = twin.simulate(rows, rng)
        stamps = START + np.arange(rows, dtype=np.float64)
        quality = measure_quality(sensors, values, np.zeros(values.shape, np.bool_), stamps)
        yield Recording(f"run-{number}", sensors, values, stamps, None, np.arange(1, rows + 1), quality)


if __name__ == "__main__":
    for wanted in SUBJECTS:
        if not is_whole(wanted, Path(sys.argv[1])):
            build(wanted, Path(sys.argv[1]))
