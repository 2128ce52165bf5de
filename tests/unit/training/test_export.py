"""The exported graph and the network that it was written from are one model."""

import keras
import numpy as np
import onnx
import pytest

from detector.onnx_runtime import MODEL_FILE, OnnxRuntime
from detector.runtime import Outputs
from detector.windows import Batch, stack
from training.architecture import build_network
from training.export import export_onnx
from training.keras_runtime import KERAS_FILE, KerasRuntime

STEPS, SENSORS, CLASSES = 15, 4, 3
TOLERANCE = 1e-5
CENTER = np.array([1e6, -3.0, 0.0, 250.0])
SCALE = np.array([0.5, 2.0, 1e-3, 40.0])


@pytest.fixture(
    scope="module",
    params=[
        ("lstm", [9], False),
        ("gru", [9], False),
        ("lstm", [8, 5], False),
        ("gru", [7, 6, 5], False),
        ("lstm", [9], True),
        ("gru", [9], True),
        ("lstm", [8, 5], True),
    ],
    ids=[
        "lstm",
        "gru",
        "stacked-lstm",
        "stacked-gru",
        "attentive-lstm",
        "attentive-gru",
        "attentive-stacked-lstm",
    ],
)
def folder(request, tmp_path_factory):
    cell, units, attention = request.param
    keras.utils.set_random_seed(1)
    network = build_network(
        SENSORS, CLASSES, cell, units, 5.0, dropout=0.2, recurrent_dropout=0.1, attention=attention
    )
    rng = np.random.default_rng(2)
    network.set_weights([rng.normal(0, 0.4, w.shape).astype(w.dtype) for w in network.get_weights()])
    folder = tmp_path_factory.mktemp("network")
    network.save(folder / KERAS_FILE)
    export_onnx(network, CENTER, SCALE, folder / MODEL_FILE)
    return folder


@pytest.fixture(scope="module")
def runtimes(folder):
    return KerasRuntime(folder), OnnxRuntime(folder)


def random_batch(windows: int, seed: int, lengths: np.ndarray | None = None) -> Batch:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, STEPS + 1, windows) if lengths is None else lengths
    arrays = [CENTER + SCALE * rng.normal(0, 2, (length, SENSORS)) for length in lengths]
    for array in arrays:
        array[rng.random(array.shape) < 0.1] = np.nan
    return stack(arrays, CENTER, SCALE, STEPS)


def worst_difference(one: Outputs, other: Outputs, batch: Batch) -> float:
    steps = np.arange(batch.readings.shape[1])[None, :] < batch.lengths[:, None]
    return max(
        float(np.abs(one.standardised - other.standardised).max()),
        float(np.abs(one.reconstruction - other.reconstruction)[steps].max()),
        float(np.abs(one.logits - other.logits).max()),
    )


@pytest.mark.parametrize("windows", [1, 2, 31, 300])
def test_onnx_agrees_with_keras_for_batches_of(windows, runtimes):
    batch = random_batch(windows, seed=windows)
    assert worst_difference(*(runtime.run(batch) for runtime in runtimes), batch) < TOLERANCE


def test_onnx_agrees_with_keras_for_all_lengths(runtimes):
    batch = random_batch(STEPS, seed=0, lengths=np.arange(1, STEPS + 1))
    assert worst_difference(*(runtime.run(batch) for runtime in runtimes), batch) < TOLERANCE


def test_each_window_may_have_a_baseline_of_its_own(runtimes):
    batch = random_batch(5, seed=3)
    factor = np.linspace(0.5, 2.0, 5)[:, None]
    own = Batch(
        batch.readings, batch.observed, batch.lengths, batch.center + SCALE * factor, batch.scale * factor
    )
    assert worst_difference(*(runtime.run(own) for runtime in runtimes), own) < TOLERANCE
    together = runtimes[1].run(own)
    for window in range(5):
        part = slice(window, window + 1)
        alone = Batch(*(getattr(own, name)[part] for name in Batch.__slots__))
        assert np.abs(runtimes[1].run(alone).logits - together.logits[part]).max() < 1e-5


def test_standardisation_keeps_the_digits_of_large_readings(runtimes):
    reading = CENTER + 0.25 * SCALE
    batch = stack([np.tile(reading, (STEPS, 1))], CENTER, SCALE)
    for runtime in runtimes:
        assert np.abs(runtime.run(batch).standardised - 0.25).max() < 1e-6


def test_readings_behind_the_given_steps_change_nothing(runtimes):
    batch = random_batch(40, seed=5)
    padded = np.arange(STEPS)[None, :] >= batch.lengths[:, None]
    assert padded.any()
    readings, observed = batch.readings.copy(), batch.observed.copy()
    readings[padded] = CENTER + 3 * SCALE
    observed[padded] = True
    other = Batch(readings, observed, batch.lengths, batch.center, batch.scale)
    for runtime in runtimes:
        one, two = runtime.run(batch), runtime.run(other)
        assert np.array_equal(one.logits, two.logits)
        assert np.array_equal(one.reconstruction, two.reconstruction)


def test_the_graph_has_native_recurrent_nodes_and_no_loop(folder):
    model = onnx.load(folder / MODEL_FILE)
    kinds = [node.op_type for node in model.graph.node]
    assert "Loop" not in kinds
    assert "Scan" not in kinds
    recurrent = [node for node in model.graph.node if node.op_type in {"LSTM", "GRU"}]
    encoders = [node for node in recurrent if node.name.startswith("encoder")]
    assert encoders
    assert all(node.input[4] == "lengths" for node in encoders)


def test_centre_and_scale_default_to_the_training_baseline(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    batch = random_batch(3, seed=4)
    feed = {"readings": batch.readings, "observed": batch.observed, "lengths": batch.lengths}
    by_default = session.run(["logits"], feed)[0]
    assert np.abs(by_default - OnnxRuntime(folder).run(batch).logits).max() < 1e-6
