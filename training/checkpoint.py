"""The state of a fit between two steps, in memory and as one file. Nothing in it is pickled."""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import RunRefused

Arrays = list[NDArray[Any]]
_LISTS = ("variables", "optimiser", "best")


@dataclass(slots=True)
class Curves:
    """Losses by optimiser step, before their weights: of the reconstruction, and of the classes."""

    reconstruction: list[float] = field(default_factory=list)
    classification: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FitState:
    """Everything that the next step depends on.

    step: steps that are done. variables: of the network, seeds of dropout among them; optimiser: of the
    optimiser. sampler: state of its random numbers. best: the weights with the lowest loss so far, and
    best_loss that loss.
    """

    step: int
    variables: Arrays
    optimiser: Arrays
    sampler: dict[str, Any]
    curves: Curves
    best: Arrays
    best_loss: float


def save_checkpoint(path: Path, state: FitState) -> None:
    """Write a state, whole or not at all: a crash leaves the file as it was."""
    text = json.dumps({"step": state.step, "sampler": state.sampler, "best_loss": state.best_loss})
    arrays = {f"{name}.{index}": array for name in _LISTS for index, array in enumerate(getattr(state, name))}
    curves = np.array([state.curves.reconstruction, state.curves.classification])
    aside = path.with_name(f".{path.name}")
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, state=np.array(text), curves=curves, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def load_checkpoint(path: Path) -> FitState:
    """Raises RunRefused when the file is no checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as content:
            stored = json.loads(str(content["state"]))
            variables, optimiser, best = (_list(content, name) for name in _LISTS)
            curves = Curves(*(losses.tolist() for losses in content["curves"]))
            return FitState(
                stored["step"], variables, optimiser, stored["sampler"], curves, best, stored["best_loss"]
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise RunRefused(f"{path}: no checkpoint that can be read: {error}") from None


def _list(content: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    return [content[f"{name}.{index}"] for index in range(sum(key.startswith(f"{name}.") for key in content))]
