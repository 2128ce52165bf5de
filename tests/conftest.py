"""Fixtures that many tests share: a real tiny trained model, and the folder of public data sets."""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from detector import Detector, ModelStore
from tests.plant import recording

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public data sets that figures are reported on. They are not part of the project."""
    folder = Path(os.environ.get("OFFNORMAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "skab").is_dir():
        pytest.skip(f"no data sets in {folder}; set OFFNORMAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def trained_store(request: pytest.FixtureRequest) -> Path:
    """Trained once, and again only when the code that trains it changes. Not to be written to."""
    digest = hashlib.sha256()
    for package in ("detector", "history", "training", "evaluation"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((ROOT / "tests" / "plant.py").read_bytes())
    folder = request.config.cache.mkdir(f"tiny-{digest.hexdigest()[:16]}") / "models"
    if not (folder / "tiny" / "2").is_dir():
        # Aside, then in one step: two runs of the tests may be at it together.
        aside = Path(tempfile.mkdtemp(dir=folder.parent))
        train_tiny_models(aside)
        with suppress(OSError):
            aside.rename(folder)
    return folder


def train_tiny_models(folder: Path) -> None:
    from training.pipeline import About, train
    from training.recipe import Recipe

    recordings = [
        recording(f"run-{k}", 700, seed=k, fault=(450, 550) if k % 2 else None, sensor=k % 3)
        for k in range(10)
    ]
    for seed in (0, 1):
        recipe = Recipe(
            window_steps=12,
            minimum_steps=4,
            units=[8],
            reconstruction_steps=150,
            joint_steps=250,
            learning_rate=5e-3,
            batch_size=64,
            baseline="pooled",
            baseline_rows=100,
            recovery_windows=2,
            seed=seed,
        )
        # On a plant as simple as this one a plain detector does as well; what tests need is a real model.
        train(
            recordings,
            About("tiny", "A made-up plant for tests."),
            ModelStore(folder),
            recipe,
            publish_anyway=True,
        )


@pytest.fixture
def tiny_store(trained_store: Path, tmp_path: Path) -> Path:
    """A store with the model `tiny`, versions 1 and 2, that a test may write to.

    Sensors Pressure, Flow and Temperature at 1 Hz, windows of 12 steps, at least 4, classes normal and
    anomalous.
    """
    return Path(shutil.copytree(trained_store, tmp_path / "models"))


@pytest.fixture(scope="session")
def tiny_detector(trained_store: Path) -> Detector:
    return Detector.load(ModelStore(trained_store).folder("tiny"))
