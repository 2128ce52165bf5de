"""Recipes are read strictly."""

import re

import pytest

from tests.conftest import ROOT
from training.errors import BadRecipe
from training.recipe import LossWeights, Recipe, read_recipe

STAGE = "[[loss_weights]]\nfrom_step = {}\n"


def test_values_of_the_file_and_of_the_command_line_replace_defaults(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('cell = "gru"\nunits = [16, 8]\nseed = 3\n')
    recipe = read_recipe(path, seed=5, window_steps=None)
    assert (recipe.cell, recipe.units, recipe.seed, recipe.window_steps) == ("gru", [16, 8], 5, 30)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("unitz = [3]", "unitz"),
        ('cell = "rnn"', "cell"),
        ("learning_rate = -1", "learning_rate"),
        ("units = []", "units"),
        ("window_steps = 8\nminimum_steps = 9", "minimum_steps"),
        ("window_steps = ", "cannot be read"),
        ('reconstruction_loss = "mae"', "reconstruction_loss"),
        ('optimiser = "sgd"', "optimiser"),
        ('decay = "linear"', "decay"),
        ("clip_norm = -1", "clip_norm"),
        ('class_weights = "some"', "class_weights"),
        ("class_weights = { normal = -1.0 }", "class_weights"),
        (STAGE.format(5), "begin at 0"),
        (STAGE.format(0) + STAGE.format(0), "rise"),
        (STAGE.format(0) + STAGE.format(99999), "never reached in 1500 optimiser steps"),
        (STAGE.format(0) + "reconstruction = 0", "nothing is learnt from step 0"),
        (STAGE.format(0) + "ramp_steps = 5", "nothing to ramp from"),
        (STAGE.format(0) + STAGE.format(10) + "ramp_steps = 9\n" + STAGE.format(15), "by step 15"),
        ("classification_weight = 2\n" + STAGE.format(0), "replaces classification_weight"),
        (STAGE.format(0) + "weight = 3", "weight"),
    ],
    ids=[
        "unknown-key", "unknown-cell", "out-of-range", "no-layer", "inconsistent", "no-toml", "unknown-loss",
        "unknown-optimiser", "unknown-decay", "negative-norm", "unknown-class-weights", "negative-weight",
        "stages-begin-late", "stages-repeat", "stage-beyond-the-end", "stage-without-weight",
        "ramp-from-nothing", "ramp-cut-short", "weights-twice", "unknown-key-of-a-stage",
    ],
)  # fmt: skip
def test_a_bad_recipe_is_refused_with_file_and_key(tmp_path, content, named):
    path = tmp_path / "recipe.toml"
    path.write_text(content)
    with pytest.raises(BadRecipe, match=named) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


def test_a_recipe_file_that_is_absent_is_refused(tmp_path):
    with pytest.raises(BadRecipe, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")


def documented(default: object) -> str:
    if default is None:
        return "by itself"
    if isinstance(default, tuple):
        return str(list(default))
    if isinstance(default, bool | list):
        return str(default).lower()
    return str(default)


def test_the_table_of_keys_in_the_guide_is_the_recipe():
    text = (ROOT / "docs" / "training.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| `\w+` \|", line)]
    assert rows == [
        f"| `{key}` | {documented(entry.default)} | {entry.description} |"
        for key, entry in Recipe.model_fields.items()
    ]


def test_the_guide_explains_every_key_of_a_loss_weight():
    text = (ROOT / "docs" / "training.md").read_text()
    assert not [key for key in LossWeights.model_fields if f"{key} = " not in text]
