"""Recipes are read strictly."""

import pytest

from tests.conftest import ROOT
from training.errors import BadRecipe
from training.recipe import Recipe, read_recipe


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
    ],
    ids=["unknown-key", "unknown-cell", "out-of-range", "no-layer", "inconsistent", "no-toml"],
)
def test_a_bad_recipe_is_refused_with_file_and_key(tmp_path, content, named):
    path = tmp_path / "recipe.toml"
    path.write_text(content)
    with pytest.raises(BadRecipe, match=named) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


def test_a_recipe_file_that_is_absent_is_refused(tmp_path):
    with pytest.raises(BadRecipe, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")


def test_every_key_is_documented():
    text = (ROOT / "docs" / "training.md").read_text()
    missing = [key for key in Recipe.model_fields if f"`{key}`" not in text]
    assert not missing
