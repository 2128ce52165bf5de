"""Every choice of the recipe learns; the same seed gives the same weights, however often a fit pauses."""

import numpy as np
import pytest

from tests.unit.training.small_plant import small_fit, small_recipe

CHOICES = {
    "by default": {},
    "cross-entropy of readings": {"reconstruction_loss": "bce"},
    "attention": {"attention": True},
    "gru": {"cell": "gru"},
    "rmsprop with exponential decay": {"optimiser": "rmsprop", "decay": "exponential"},
    "no clipping": {"clip_norm": 0.0},
    "balanced classes": {"class_weights": "balanced"},
    "stacked with dropout": {"units": [6, 5], "dropout": 0.1, "recurrent_dropout": 0.1},
    "a ramp": {
        "loss_weights": [
            {"reconstruction": 1.0},
            {"from_step": 40, "classification": 0.5, "ramp_steps": 60},
        ]
    },
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_every_choice_learns_to_reconstruct_and_to_classify(choice):
    steps = {"reconstruction_steps": 100, "joint_steps": 200, "learning_rate": 1e-2, "batch_size": 32}
    _, fitting = small_fit(small_recipe(**steps | choice))
    fitting.run()
    curves = fitting.curves
    assert np.isfinite([*curves.reconstruction, *curves.classification]).all()
    assert np.mean(curves.reconstruction[-30:]) < 0.97 * np.mean(curves.reconstruction[:30])
    assert np.mean(curves.classification[-30:]) < 0.9 * np.mean(curves.classification[:30])


def test_the_head_learns_nothing_before_its_weight_says_so():
    network, fitting = small_fit(small_recipe(reconstruction_steps=10, joint_steps=10))
    before = network.get_layer("logits").get_weights()
    fitting.run(until=10)
    assert all(map(np.array_equal, network.get_layer("logits").get_weights(), before))
    fitting.run()
    assert not all(map(np.array_equal, network.get_layer("logits").get_weights(), before))


DROPOUT = {"units": [5, 4], "dropout": 0.2, "recurrent_dropout": 0.2}


@pytest.mark.parametrize("choice", [{}, DROPOUT], ids=["plain", "dropout"])
def test_a_fit_that_pauses_stops_and_goes_on_elsewhere_ends_with_the_same_weights(choice):
    recipe = small_recipe(**choice)
    whole, at_once = small_fit(recipe)
    at_once.run()

    _, first = small_fit(recipe)
    first.run(until=13)
    first.run(stop=lambda: first.step == 31)
    state = first.state()
    assert state.step == 31
    # What happens to the first from here on is of no concern to the state.
    first.run(until=40)

    network, second = small_fit(recipe)
    second.restore(state)
    second.run()
    assert second.done
    assert second.curves == at_once.curves
    assert all(map(np.array_equal, network.get_weights(), whole.get_weights()))


def test_another_seed_gives_other_weights():
    one, fitting = small_fit(small_recipe(joint_steps=5))
    fitting.run()
    other, fitting = small_fit(small_recipe(joint_steps=5, seed=1))
    fitting.run()
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_the_best_weights_so_far_are_kept_while_later_ones_go_astray():
    network, fitting = small_fit(
        small_recipe(reconstruction_steps=100, joint_steps=100, decay="none", learning_rate=1e-2)
    )
    fitting.run(until=150)
    fitting.take_best()
    good = network.get_weights()
    # A state as it would be after a step that went badly wrong.
    for variable in network.trainable_variables:
        variable.assign(variable * 30.0)
    fitting.run()
    assert np.mean(fitting.curves.reconstruction[150:175]) > 2 * np.mean(
        fitting.curves.reconstruction[125:150]
    )
    fitting.take_best()
    assert all(map(np.array_equal, network.get_weights(), good))
