"""One temperature sensor of a large machine, 5 minutes, four faults (Numenta Anomaly Benchmark)."""

import numpy as np

from benchmarks.quality import datasets, figures
from benchmarks.quality.figures import Figures
from benchmarks.quality.protocol import NO_TEST, Protocol, Work, recipe
from history.recording import NORMAL
from training.recipe import Recipe
from training.split import rows_of


def _recipe(part: str) -> Recipe:
    return recipe(test_share=NO_TEST)


def _measure(work: Work, part: str, chosen: Recipe) -> Figures:
    recording = datasets.machine_temperature(work.data)
    first_fault = int(np.argmax(np.asarray(recording.labels) != NORMAL))
    before = rows_of(recording, slice(0, first_fault))
    rest = rows_of(recording, slice(first_fault, len(recording)))
    detector = work.train([datasets.unlabelled(before)], chosen)
    return figures.measure(detector, [rest], 0, work.report)


MACHINE_TEMPERATURE = Protocol(
    "nab-machine-temperature", datasets.MACHINE_TEMPERATURE, ("",), 100, _recipe, _measure
)
