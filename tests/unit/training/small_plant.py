"""A fit small enough for a test: three sensors, windows of 8 steps, a hundred or so optimiser steps."""

import keras
import numpy as np

from tests.plant import recording
from training.architecture import build_network
from training.dataset import prepare, survey
from training.fit import Fitting
from training.losses import class_weights
from training.recipe import Recipe
from training.sampling import WindowSampler

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
    keras.utils.set_random_seed(recipe.seed)
    network = build_network(
        3, 2, recipe.cell, recipe.units, recipe.input_clip, recipe.dropout, recipe.recurrent_dropout,
        recipe.attention,
    )  # fmt: skip
    sampler = WindowSampler(experiments, recipe, 2, np.random.default_rng([recipe.seed, 2]))
    weights = class_weights(recipe, population.classes, sampler.class_shares)
    return network, Fitting(network, sampler, recipe, weights)
