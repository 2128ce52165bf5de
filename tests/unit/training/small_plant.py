"""A fit small enough for a test: three sensors, windows of 8 steps, a hundred or so optimiser steps."""

import keras
import numpy as np

from tests.plant import recording
from training.dataset import prepare, survey
from training.fit import Fitting, begin
from training.recipe import Recipe

SMALL = {
    "window_steps": 8,
    "units": [5],
    "batch_size": 16,
    "reconstruction_steps": 20,
    "joint_steps": 40,
    "baseline": "pooled",
    "baseline_rows": 60,
    "recovery_windows": 1,
}


def small_recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(SMALL | changes)


def small_fit(recipe: Recipe) -> tuple[keras.Model, Fitting]:
    recordings = [recording(f"run-{k}", 200, seed=k, fault=(120, 160) if k % 2 else None) for k in range(4)]
    population = survey(recordings, recipe)
    experiments = [prepare(item, population, recipe) for item in recordings]
    fitting = begin(experiments, population, recipe, np.random.default_rng([recipe.seed, 2]))
    return fitting.network, fitting
