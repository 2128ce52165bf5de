"""The folder of one training run: what was asked, on which data, how far it came; from it, it goes on.

| file | what |
|---|---|
| `run.json` | the order as it was given, the fingerprint of the data, versions, what was published |
| `recipe.toml` | every choice, defaults too |
| `curves.csv` | losses, their weights and the learning rate by step |
| `checkpoint.npz` | network, optimiser, random numbers, and the best weights so far |
"""

import csv
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from training.checkpoint import Curves, FitState, load_checkpoint, save_checkpoint
from training.errors import RunRefused
from training.recipe import Recipe, read_recipe
from training.schedule import learning_rate, loss_weights

RUN_FILE = "run.json"
RECIPE_FILE = "recipe.toml"
CURVES_FILE = "curves.csv"
CHECKPOINT_FILE = "checkpoint.npz"
CURVES_HEADER = (
    "step", "reconstruction", "classification",
    "reconstruction_weight", "classification_weight", "learning_rate",
)  # fmt: skip
LIBRARIES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that a trained model depends on."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


class RunFolder:
    """A run, written to its folder from its first state on."""

    def __init__(self, path: Path, order: Mapping[str, Any]) -> None:
        """order: what was asked for, as JSON can hold it. Raises RunRefused for a folder that is in use."""
        self.path = path
        self._content: dict[str, Any] = {"order": dict(order)}
        if path.is_dir() and any(path.iterdir()):
            hint = (
                f"; `offnormal train --resume {path}` goes on with it" if (path / RUN_FILE).exists() else ""
            )
            raise RunRefused(f"{path}: is not empty{hint}")
        if path.exists() and not path.is_dir():
            raise RunRefused(f"{path}: is no folder")

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """A run that was begun. Raises RunRefused when there is none, or nothing is left to do."""
        try:
            content = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))
            content["order"], content["data_sha256"], content["versions"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunRefused(f"{path}: holds no training run that can be read: {error}") from None
        if content.get("published"):
            raise RunRefused(f"{path}: was published as {content['published']}; nothing is left to do")
        run = cls.__new__(cls)
        run.path, run._content = path, content
        return run

    @property
    def order(self) -> dict[str, Any]:
        return dict(self._content["order"])

    @property
    def recipe(self) -> Recipe:
        """Raises BadRecipe."""
        return read_recipe(self.path / RECIPE_FILE)

    @property
    def other_versions(self) -> dict[str, tuple[str, str]]:
        """Libraries that are not of the version that the run began with: that one, and today's."""
        began = self._content.get("versions", {})
        return {name: (began[name], now) for name, now in versions().items() if began.get(name, now) != now}

    def take_up(self, data_sha256: str) -> FitState | None:
        """The state to go on from, None at the beginning.

        Raises RunRefused when the data is not what the run began with.
        """
        if "data_sha256" not in self._content:
            self._content |= {"data_sha256": data_sha256}
            return None
        if self._content["data_sha256"] != data_sha256:
            raise RunRefused(f"{self.path}: the files have changed since the run began; begin a new one")
        return load_checkpoint(self.path / CHECKPOINT_FILE)

    def save(self, state: FitState, recipe: Recipe) -> None:
        """Write the state; before the first one, what the run is. Raises RunRefused where it cannot."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / RUN_FILE).exists():
                self._content |= {"began": _now(), "versions": versions()}
                (self.path / RECIPE_FILE).write_text(recipe_toml(recipe), encoding="utf-8")
            save_checkpoint(self.path / CHECKPOINT_FILE, state)
            _write_curves(self.path / CURVES_FILE, state.curves, recipe)
            self._write()
        except OSError as error:
            raise RunRefused(f"{self.path}: cannot be written to: {error.strerror}") from None

    def finish(self, published: Path) -> None:
        """Note where the model is, in a run that was written at all."""
        if (self.path / RUN_FILE).exists():
            self._content["published"] = str(published)
            self._write()

    def _write(self) -> None:
        aside = self.path / f".{RUN_FILE}"
        aside.write_text(json.dumps(self._content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(aside, self.path / RUN_FILE)


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as `read_recipe` takes it; keys that find their value by themselves are left out."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def _write_curves(path: Path, curves: Curves, recipe: Recipe) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CURVES_HEADER)
        for step, losses in enumerate(zip(curves.reconstruction, curves.classification, strict=True)):
            numbers = (*losses, *loss_weights(step, recipe), learning_rate(step, recipe))
            writer.writerow([step + 1, *(f"{number:.6g}" for number in numbers)])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
