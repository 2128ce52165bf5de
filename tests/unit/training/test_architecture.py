"""Parts of the network that can be switched on."""

import keras
import numpy as np
import pytest

from tests.unit.training.test_export import CENTER, SCALE, SENSORS, random_batch
from training.architecture import Attention, build_network
from training.keras_runtime import KERAS_FILE, KerasRuntime


def test_a_step_behind_the_given_ones_has_no_weight_at_all_in_the_attention():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    layer = Attention()
    states, last = rng.normal(size=(5, 7, 6)).astype("f"), rng.normal(size=(5, 6)).astype("f")
    mask = np.arange(7)[None, :] < np.array([1, 2, 4, 6, 7])[:, None]
    one = np.array(layer(states, last, mask))
    states[~mask] = 1e6
    assert np.array_equal(np.array(layer(states, last, mask)), one)
    # A single given step is all there is to attend to.
    assert one[0] == pytest.approx(states[0, 0])


def test_the_attended_mean_lies_between_the_states():
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    states, last = rng.normal(size=(4, 9, 3)).astype("f"), rng.normal(size=(4, 3)).astype("f")
    context = np.array(Attention()(states, last, np.ones((4, 9), bool)))
    assert (context <= states.max(axis=1)).all()
    assert (context >= states.min(axis=1)).all()
    assert np.abs(context - states.mean(axis=1)).max() > 0.01


@pytest.mark.parametrize(
    "dropouts", [(0.5, 0.0), (0.0, 0.5)], ids=["dropout on inputs", "dropout on the state"]
)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("units", [[8], [8, 6]], ids=["one layer", "two layers"])
def test_dropout_acts_in_training_afresh_each_time_and_never_in_use(dropouts, cell, units, tmp_path):
    keras.utils.set_random_seed(2)
    network = build_network(SENSORS, 2, cell, units, 5.0, *dropouts)
    batch = random_batch(6, seed=0)
    inputs = {
        "readings": batch.readings,
        "observed": batch.observed,
        "lengths": batch.lengths,
        "center": np.tile(CENTER, (6, 1)),
        "scale": np.tile(SCALE, (6, 1)),
    }

    def outputs(training: bool) -> np.ndarray:
        answer = network(inputs, training=training)
        return np.concatenate([np.ravel(answer[name]) for name in ("reconstruction", "logits")])

    in_use = outputs(training=False)
    assert np.array_equal(in_use, outputs(training=False))
    first, second = outputs(training=True), outputs(training=True)
    assert np.abs(first - in_use).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3

    network.save(tmp_path / KERAS_FILE)
    served = KerasRuntime(tmp_path).run(batch)
    assert np.abs(np.ravel(served.logits) - in_use[-12:]).max() < 1e-6


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dropout_acts_in_every_layer(cell):
    """Each recurrent layer's own dropout changes what that layer gives out."""
    keras.utils.set_random_seed(3)
    network = build_network(SENSORS, 2, cell, [8, 6], 5.0, dropout=0.5, recurrent_dropout=0.5)
    rng = np.random.default_rng(0)
    for name in ("encoder_0", "encoder_1", "decoder_0", "decoder_1"):
        layer = network.get_layer(name)
        signal = rng.normal(size=(4, 7, layer.cell.kernel.shape[0])).astype("f")
        in_use = np.array(layer(signal, training=False))
        assert np.abs(np.array(layer(signal, training=True)) - in_use).max() > 1e-3, name
