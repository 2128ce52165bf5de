"""What a protocol of measurement is, and what it is given to work with."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector import Detector, ModelStore
from history.recording import Recording
from training.recipe import Recipe

# Optimiser steps of a trial run, whose figures mean nothing.
QUICK_STEPS = 60
# So that every recording is trained on: what is judged is kept apart by the protocol itself.
NO_TEST = 1e-9

Report = Callable[[tuple[Any, ...]], None]


def recipe(**changes: object) -> Recipe:
    """The default recipe but for these."""
    return Recipe.model_validate(changes)


@dataclass(frozen=True, slots=True)
class Work:
    """data: folder of all data sets. models: the store of the project. scratch: an empty folder that nobody
    needs afterwards. report: hears ("stage", words) and ("step", done, of)."""

    data: Path
    models: Path
    scratch: Path
    report: Report

    def train(self, recordings: Sequence[Recording], chosen: Recipe) -> Detector:
        """The model that `offnormal train` makes of these recordings. Raises TrainingError."""
        # TensorFlow takes seconds to import, and only those who train need it.
        from training.pipeline import About, train

        trained = train(
            recordings,
            About("measured"),
            ModelStore(self.scratch),
            chosen,
            on_stage=lambda stage: self.report(("stage", stage)),
            on_step=lambda step, steps, *losses: self.report(("step", step, steps)),
            # Models that lose to plain detectors are what is to be found out.
            publish_anyway=True,
        )
        self.report(("stage", "Judging"))
        return Detector.load(trained.folder)


@dataclass(frozen=True, slots=True)
class Protocol:
    """data: folder below that of all data sets. parts: trainings that make up one measurement. cost: seconds
    of a part on one core, about; only the order of work follows from it. recipe: of a part; None where
    nothing is trained, and seeds are of no use. measure: the figures of a part, as dataclasses; its recipe
    already has the seed."""

    name: str
    data: str
    parts: tuple[str, ...]
    cost: float
    recipe: Callable[[str], Recipe] | None
    measure: Callable[[Work, str, Recipe], Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement that needs no other. quick: for trying out the benchmark, with hardly any training."""

    protocol: Protocol
    part: str
    seed: int
    quick: bool = False

    @property
    def name(self) -> str:
        part = f" {self.part}" if self.part else ""
        return f"{self.protocol.name}{part}" + (f" seed {self.seed}" if self.protocol.recipe else "")

    @property
    def recipe(self) -> Recipe:
        if self.protocol.recipe is None:
            return recipe()
        chosen = self.protocol.recipe(self.part).model_copy(update={"seed": self.seed})
        return chosen.shortened(QUICK_STEPS) if self.quick else chosen


def tasks(needs: Iterable[tuple[Protocol, str]], seeds: Sequence[int], quick: bool = False) -> list[Task]:
    """Each once, longest first, so that the last to end is a short one. needs: protocols and their parts."""
    found = [
        Task(protocol, part, seed, quick)
        for protocol, part in dict.fromkeys(needs)
        for seed in (seeds if protocol.recipe else (0,))
    ]
    return sorted(found, key=lambda task: -task.protocol.cost)
