"""Stand-ins for the final network: what it would say of recordings had it not learnt from them."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from detector.onnx_runtime import MODEL_FILE, OnnxRuntime
from detector.operation import Operation
from detector.runtime import Runtime
from training.dataset import Experiment, Population
from training.export import export_onnx
from training.fit import Fitting, OnStep
from training.operation import measure_operation
from training.recipe import Recipe

# Optimiser steps of a stand-in, as a share of the final network's: it has less to learn from.
STEPS_SHARE = 0.5
# Windows of all recordings, and of one, that say enough for every figure; more only cost time.
MOST_WINDOWS, MOST_OF_EACH = 200_000, 6000


@dataclass(frozen=True, slots=True)
class Network:
    """A fitted network. learnt: the recordings that it learnt from; operation: of those."""

    runtime: Runtime
    operation: Operation
    learnt: Sequence[Experiment]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A network, and recordings that it has not learnt from.

    most_windows: of all these recordings together, that it is heard on.
    """

    network: Network
    held_out: Sequence[Experiment]
    most_windows: int = MOST_WINDOWS

    @property
    def most_of_each(self) -> int:
        """Windows of one recording, at most."""
        return min(MOST_OF_EACH, max(1, self.most_windows // len(self.held_out)))


Finish = Callable[[Callable[[str], None], OnStep | None], list[Rehearsal]]
"""Waits for all rehearsals. Called with `on_stage` and `on_step`, as `rehearsals` is."""


@contextmanager
def in_company(
    fitting: Fitting,
    folds: Sequence[Sequence[Experiment]],
    population: Population,
    recipe: Recipe,
    stop: Callable[[], bool],
) -> Iterator[Finish]:
    """Rehearsals of a fit that has yet to run: beside it where there is a second core, else after it.

    A step is too small for two cores, but two fits are not. The rehearsals are the same either way. Those
    under way end with the block. stop: asked from the other thread, too.
    """
    if not folds or cores() < 2:
        yield lambda on_stage, on_step: list(
            rehearsals(fitting, folds, population, recipe, on_stage, on_step, stop)
        )
        return
    over, watching = Event(), list[OnStep]()
    double = fitting.double()

    def on_step(step: int, steps: int, reconstruction: float, classification: float) -> None:
        for watch in watching:
            watch(step, steps, reconstruction, classification)

    def run() -> list[Rehearsal]:
        def ended() -> bool:
            return over.is_set() or stop()

        return list(rehearsals(double, folds, population, recipe, lambda stage: None, on_step, ended))

    with ThreadPoolExecutor(1, thread_name_prefix="stand-ins") as company:
        running = company.submit(run)

        def finish(on_stage: Callable[[str], None], watch: OnStep | None) -> list[Rehearsal]:
            on_stage("Stand-ins")
            watching.extend([] if watch is None else [watch])
            return running.result()

        try:
            yield finish
        finally:
            over.set()


def cores() -> int:
    """Cores that this process may use, or as many threads as it was told to."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rehearsals(
    fitting: Fitting,
    folds: Sequence[Sequence[Experiment]],
    population: Population,
    recipe: Recipe,
    on_stage: Callable[[str], None],
    on_step: OnStep | None,
    stop: Callable[[], bool],
) -> Iterator[Rehearsal]:
    """For each fold, a network fitted on the other folds (cross-conformal prediction: Vovk 2015).

    fitting: the final fit; its compiled step serves each fold, and it is left as it was. on_stage: called
    with what begins now, in words. Ends early when `stop` says so.
    """
    brief = recipe.shortened(max(1, round(STEPS_SHARE * recipe.steps)))
    final = fitting.state()
    try:
        for number, held_out in enumerate(folds, start=1):
            on_stage(f"Stand-in {number} of {len(folds)}")
            others = [experiment for fold in folds if fold is not held_out for experiment in fold]
            operation = measure_operation(others, recipe)
            rng = np.random.default_rng([recipe.seed, 4, number])
            fitting.begin_again(others, operation, len(population.classes), brief, rng)
            fitting.run(None, on_step, stop)
            if stop():
                return
            yield Rehearsal(Network(_runtime(fitting, population), operation, others), held_out)
    finally:
        fitting.restore(final)


def _runtime(fitting: Fitting, population: Population) -> Runtime:
    with tempfile.TemporaryDirectory() as name:
        export_onnx(fitting.network, population.center, population.scale, Path(name) / MODEL_FILE)
        return OnnxRuntime(Path(name))
