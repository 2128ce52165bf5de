"""What changes from step to step."""

from itertools import pairwise

import pytest

from training.recipe import Recipe
from training.schedule import learning_rate, loss_weights

SHORT = {"reconstruction_steps": 100, "joint_steps": 100}


def test_the_reconstruction_comes_first_and_then_both_unless_said_otherwise():
    recipe = Recipe()
    assert {loss_weights(step, recipe) for step in range(600)} == {(1.0, 0.0)}
    assert {loss_weights(step, recipe) for step in range(600, 1500)} == {(1.0, 0.5)}


def test_weights_are_constant_without_a_first_stage():
    recipe = Recipe(reconstruction_steps=0, reconstruction_weight=2.0, classification_weight=0.25)
    assert {loss_weights(step, recipe) for step in range(900)} == {(2.0, 0.25)}


def test_weights_rise_in_a_straight_line_over_the_steps_of_a_ramp():
    recipe = Recipe(
        **SHORT,
        loss_weights=[
            {"reconstruction": 1.0},
            {"from_step": 50, "reconstruction": 0.2, "classification": 0.8, "ramp_steps": 3},
            {"from_step": 120, "reconstruction": 0.0, "classification": 1.0},
        ],
    )
    assert loss_weights(49, recipe) == (1.0, 0.0)
    for step, expected in enumerate([(0.8, 0.2), (0.6, 0.4), (0.4, 0.6), (0.2, 0.8)], start=50):
        assert loss_weights(step, recipe) == pytest.approx(expected)
    assert loss_weights(119, recipe) == (0.2, 0.8)
    assert loss_weights(120, recipe) == (0.0, 1.0)


@pytest.mark.parametrize(("decay", "last"), [("cosine", 0.0), ("exponential", 0.01), ("none", 1.0)])
def test_the_rate_warms_up_and_decays(decay, last):
    recipe = Recipe(**SHORT, decay=decay, learning_rate=0.1)
    rates = [learning_rate(step, recipe) for step in range(201)]
    assert rates[:20] == pytest.approx([0.005 * (step + 1) for step in range(20)])
    assert max(rates) == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in pairwise(rates[20:]))
    assert rates[200] == pytest.approx(0.1 * last)
