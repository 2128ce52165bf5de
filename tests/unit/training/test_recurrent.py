"""Recurrent layers are Keras' own, outputs and gradients, whatever is asked of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.dropout import Dropout
from training.recurrent import GRUCell, LSTMCell, Recurrent

WINDOWS, STEPS, FEATURES, UNITS = 7, 9, 5, 6
LAYERS = {"lstm": (keras.layers.LSTM, LSTMCell), "gru": (keras.layers.GRU, GRUCell)}
MASKS = {
    "all steps": None,
    "padded": np.arange(STEPS) < np.array([1, 2, 4, 6, 8, 9, 9])[:, None],
    "holes": np.random.default_rng(3).random((WINDOWS, STEPS)) < 0.6,
}
DROPOUTS = {
    "no dropout": {},
    "dropout": {"dropout": 0.4},
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "both dropouts": {"dropout": 0.3, "recurrent_dropout": 0.3},
}
OUTPUTS = {
    "last": {},
    "sequence": {"return_sequences": True},
    "sequence and states": {"return_sequences": True, "return_state": True},
}


def twins(cell, dropouts, **options):
    """Keras' layer and ours with the same weights and seeds of dropout."""
    of_keras, of_ours = LAYERS[cell]
    theirs = of_keras(UNITS, **dropouts, **{k: v for k, v in options.items() if k != "constant_input"})
    ours = Recurrent(of_ours(UNITS, **dropouts), **options)
    for layer in (theirs, ours):
        layer.build((None, None, FEATURES))
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.6, weight.shape).astype("f") for weight in theirs.get_weights()]
    for layer in (theirs, ours):
        layer.set_weights(weights)
        for variable in layer.non_trainable_variables:
            variable.assign([11, 3])
    assert [v.path.split("/")[-1] for v in ours.variables] == [
        v.path.split("/")[-1] for v in theirs.variables
    ]
    return theirs, ours


def answers(layer, sequences, mask, training, compiled=False):
    """Outputs, and the gradients of a function of all of them by weights and input."""

    def run(sequences):
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            outputs = tf.nest.flatten(layer(sequences, mask=mask, training=training))
            # A cotangent that differs from element to element.
            loss = sum(tf.reduce_sum(tf.sin(3.0 * output) * (1 + k)) for k, output in enumerate(outputs))
        by_weights = tape.gradient(loss, [sequences, *layer.trainable_variables])
        return outputs, by_weights

    if compiled:
        run = tf.function(run, jit_compile=True)
    outputs, gradients = run(tf.constant(sequences))
    return [np.array(value) for value in [*outputs, *gradients]]


def assert_alike(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 2e-6 * max(1.0, np.abs(a).max())


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("cell", LAYERS)
def test_outputs_and_gradients_are_those_of_keras(cell, mask, output):
    sequences = np.random.default_rng(2).normal(size=(WINDOWS, STEPS, FEATURES)).astype("f")
    theirs, ours = twins(cell, {}, **output)
    assert_alike(*(answers(layer, sequences, mask, False) for layer in (theirs, ours)))


@pytest.mark.parametrize("training", [True, False], ids=["training", "in use"])
@pytest.mark.parametrize("dropouts", DROPOUTS.values(), ids=DROPOUTS)
@pytest.mark.parametrize("cell", LAYERS)
def test_dropout_is_that_of_keras_number_by_number(cell, dropouts, training):
    sequences = np.random.default_rng(2).normal(size=(WINDOWS, STEPS, FEATURES)).astype("f")
    theirs, ours = twins(cell, dropouts, return_sequences=True)
    for _ in range(2):
        one, other = (answers(layer, sequences, MASKS["padded"], training) for layer in (theirs, ours))
        assert_alike(one, other)


@pytest.mark.parametrize("dropouts", [{}, DROPOUTS["both dropouts"]], ids=["no dropout", "both dropouts"])
@pytest.mark.parametrize("cell", LAYERS)
def test_a_constant_input_is_one_that_is_repeated(cell, dropouts):
    code = np.random.default_rng(4).normal(size=(WINDOWS, 1, FEATURES)).astype("f")
    theirs, ours = twins(cell, dropouts, return_sequences=True, constant_input=True)

    def run(layer):
        repeated = Repeated(layer)
        return answers(repeated, code, None, True)

    assert_alike(run(theirs), run(ours))


class Repeated:
    """A layer that is given the first step of its input at all steps."""

    def __init__(self, layer):
        self.layer, self.trainable_variables = layer, layer.trainable_variables

    def __call__(self, code, **options):
        return self.layer(tf.repeat(code, STEPS, axis=1), **options)


@pytest.mark.parametrize("cell", LAYERS)
def test_all_of_it_holds_when_compiled(cell):
    sequences = np.random.default_rng(2).normal(size=(WINDOWS, STEPS, FEATURES)).astype("f")
    twin = twins(cell, DROPOUTS["both dropouts"], return_sequences=True)
    one, other = (answers(layer, sequences, MASKS["padded"], True, compiled=True) for layer in twin)
    assert_alike(one, other)


@pytest.mark.parametrize("cell", LAYERS)
def test_initial_states_are_gone_on_from(cell):
    rng = np.random.default_rng(5)
    sequences = rng.normal(size=(WINDOWS, STEPS, FEATURES)).astype("f")
    theirs, ours = twins(cell, {}, return_sequences=True)
    states = [rng.normal(size=(WINDOWS, UNITS)).astype("f") for _ in ours.state_size]
    one, other = (np.array(layer(sequences, initial_state=states)) for layer in (theirs, ours))
    assert np.abs(one - other).max() < 1e-6


def test_what_the_loop_cannot_do_is_refused():
    with pytest.raises(NotImplementedError, match="go_backwards"):
        Recurrent(LSTMCell(3), go_backwards=True)


def test_dropout_of_the_head_has_the_numbers_of_keras():
    inputs = np.ones((5, 40), "f")
    theirs, ours = keras.layers.Dropout(0.3, seed=8), Dropout(0.3, seed=8)
    for _ in range(2):
        one, other = np.array(theirs(inputs, training=True)), np.array(ours(inputs, training=True))
        assert np.array_equal(one, other)
        assert 0 < (one == 0).mean() < 0.6
    assert np.array_equal(np.array(ours(inputs, training=False)), inputs)
