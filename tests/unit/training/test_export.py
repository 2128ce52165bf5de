"""The exported graph and the network that it was written from are one model."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from detector.onnx_runtime import MODEL_FILE, OnnxRuntime
from detector.runtime import Outputs
from detector.windows import Batch, stack
from tests.operations import any_operation
from training.architecture import FEATURES, build_network
from training.export import export_onnx
from training.keras_runtime import KERAS_FILE, KerasRuntime

STEPS, SENSORS, CLASSES = 15, 4, 3
TOLERANCE = 1e-5
CENTER = np.array([1e6, -3.0, 0.0, 250.0])
SCALE = np.array([0.5, 2.0, 1e-3, 40.0])


@pytest.fixture(
    scope="module",
    params=[
        ("lstm", [9], False, 0),
        ("gru", [9], False, 0),
        ("lstm", [8, 5], False, 0),
        ("gru", [7, 6, 5], False, 0),
        ("lstm", [9], True, 0),
        ("gru", [9], True, 0),
        ("lstm", [8, 5], True, 0),
        ("lstm", [9], False, 6),
        ("gru", [8, 5], True, 6),
    ],
    ids=[
        "lstm",
        "gru",
        "stacked-lstm",
        "stacked-gru",
        "attentive-lstm",
        "attentive-gru",
        "attentive-stacked-lstm",
        "lstm-with-statistics",
        "attentive-stacked-gru-with-statistics",
    ],
)
def folder(request, tmp_path_factory):
    cell, units, attention, head_units = request.param
    return exported(tmp_path_factory.mktemp("network"), CENTER, SCALE, cell, units, attention, head_units)


def exported(
    folder: Path,
    center: np.ndarray,
    scale: np.ndarray,
    cell: str = "lstm",
    units: tuple[int, ...] = (9,),
    attention: bool = False,
    head_units: int = 6,
) -> Path:
    """A folder with both forms of a network of random weights."""
    keras.utils.set_random_seed(1)
    network = build_network(
        len(center),
        CLASSES,
        cell,
        list(units),
        5.0,
        dropout=0.2,
        recurrent_dropout=0.1,
        attention=attention,
        head_units=head_units,
        head_dropout=0.3,
    )
    rng = np.random.default_rng(2)
    network.set_weights([rng.normal(0, 0.4, w.shape).astype(w.dtype) for w in network.get_weights()])
    if head_units:
        network.get_layer(FEATURES).adapt(any_operation(rng, len(center)))
    network.save(folder / KERAS_FILE)
    export_onnx(network, center, scale, folder / MODEL_FILE)
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


def whole_batch(windows: int, seed: int, steps: int = STEPS) -> Batch:
    """Nothing is missing."""
    rng = np.random.default_rng(seed)
    batch = stack(list(CENTER + SCALE * rng.normal(0, 2, (windows, steps, SENSORS))), CENTER, SCALE)
    assert batch.complete
    return batch


@pytest.mark.parametrize("windows", [1, 2, 31])
@pytest.mark.parametrize("steps", [1, 2, STEPS])
def test_windows_that_miss_nothing_need_no_mask(windows, steps, runtimes):
    """In a branch of its own: the results are those of Keras, and those of the branch with masks."""
    by_keras, by_onnx = runtimes
    batch = whole_batch(windows, seed=windows, steps=steps)
    assert worst_difference(by_keras.run(batch), by_onnx.run(batch), batch) < TOLERANCE
    masked = dataclasses.replace(batch, complete=False)
    assert worst_difference(by_onnx.run(masked), by_onnx.run(batch), batch) < TOLERANCE


def test_the_branch_without_masks_is_taken(folder):
    """It does not look at what was observed."""
    batch = whole_batch(3, seed=1)
    nothing = np.zeros_like(batch.observed)
    runtime = OnnxRuntime(folder)
    unmasked = dataclasses.replace(batch, observed=nothing)
    masked = dataclasses.replace(unmasked, complete=False)
    assert worst_difference(runtime.run(unmasked), runtime.run(batch), batch) < TOLERANCE
    assert np.array_equal(runtime.run(masked).standardised, np.zeros_like(batch.readings))


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
        alone = Batch(
            own.readings[part], own.observed[part], own.lengths[part], own.center[part], own.scale[part]
        )
        assert np.abs(runtimes[1].run(alone).logits - together.logits[part]).max() < 1e-5


def test_standardisation_keeps_the_digits_of_large_readings(runtimes):
    reading = CENTER + 0.25 * SCALE
    batch = stack([np.tile(reading, (STEPS, 1))], CENTER, SCALE)
    for runtime in runtimes:
        assert np.abs(runtime.run(batch).standardised - 0.25).max() < 1e-6


def test_steps_behind_the_given_ones_do_not_reach_the_encoder(runtimes):
    batch = random_batch(40, seed=5)
    padded = np.arange(STEPS)[None, :] >= batch.lengths[:, None]
    assert padded.any()
    readings, observed = batch.readings.copy(), batch.observed.copy()
    readings[padded] = CENTER + 3 * SCALE
    observed[padded] = True
    other = Batch(readings, observed, batch.lengths, batch.center, batch.scale)
    for runtime in runtimes:
        assert np.array_equal(runtime.run(batch).reconstruction, runtime.run(other).reconstruction)


@pytest.mark.parametrize("filler", [3.0, 1e300, np.nan], ids=str)
def test_values_that_were_not_observed_change_nothing(runtimes, filler):
    batch = random_batch(40, seed=5)
    readings = np.where(batch.observed, batch.readings, filler)
    other = Batch(readings, batch.observed, batch.lengths, batch.center, batch.scale)
    for runtime in runtimes:
        one, two = runtime.run(batch), runtime.run(other)
        assert np.array_equal(one.logits, two.logits)
        assert np.array_equal(one.reconstruction, two.reconstruction)


def test_the_graph_has_native_recurrent_nodes_and_no_loop(folder):
    model = onnx.load(folder / MODEL_FILE)
    (choice,) = model.graph.node
    branches = {branch.name: branch.g.node for branch in choice.attribute}
    lengths = {}
    for name, nodes in branches.items():
        assert {node.op_type for node in nodes}.isdisjoint({"Loop", "Scan"})
        recurrent = [node for node in nodes if node.op_type in {"LSTM", "GRU"}]
        encoders = [node for node in recurrent if node.name.startswith("encoder")]
        lengths[name] = {node.input[4] if len(node.input) > 4 else None for node in encoders}
    assert lengths == {"then_branch": {None}, "else_branch": {"lengths"}}


def test_centre_and_scale_default_to_the_training_baseline(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    batch = random_batch(3, seed=4)
    feed = {"readings": batch.readings, "observed": batch.observed, "lengths": batch.lengths}
    by_default = session.run(["logits"], feed)[0]
    assert np.abs(by_default - OnnxRuntime(folder).run(batch).logits).max() < 1e-6


@pytest.fixture(scope="module", params=[4, 1], ids=["four-sensors", "one-sensor"])
def with_statistics(request, tmp_path_factory):
    """Both runtimes of a network whose head sees statistics, and its sensors' centre and scale."""
    center, scale = CENTER[: request.param], SCALE[: request.param]
    folder = exported(tmp_path_factory.mktemp("network"), center, scale)
    return (KerasRuntime(folder), OnnxRuntime(folder)), center, scale


def ragged(rng, deviations):
    """Windows of every length, cut from (STEPS, sensors)."""
    return [deviations(rng)[:length] for length in range(1, STEPS + 1)]


def holed(rng, sensors):
    window = rng.normal(0, 2, (STEPS, sensors))
    window[rng.random(window.shape) < 0.4] = np.nan
    return window


def alternating(rng, sensors):
    """Every second reading is missing: no step has a neighbour."""
    window = rng.normal(0, 2, (STEPS, sensors))
    window[::2] = np.nan
    return window


def dead(rng, sensors):
    """The first sensor is not observed, the others are frozen."""
    window = np.tile(rng.normal(0, 2, sensors), (STEPS, 1))
    window[:, 0] = np.nan
    return window


def far(rng, sensors):
    return np.full((STEPS, sensors), 1e9) * rng.choice([-1.0, 1.0], sensors)


def wild(rng, sensors):
    return 1e9 * rng.choice([-1.0, 1.0], (STEPS, sensors))


@pytest.mark.parametrize("kind", [holed, alternating, dead, far, wild], ids=lambda kind: kind.__name__)
def test_statistics_of_the_head_agree_for_windows_of_every_length(with_statistics, kind):
    runtimes, center, scale = with_statistics
    rng = np.random.default_rng(7)
    windows = ragged(rng, lambda rng: center + scale * kind(rng, len(center)))
    batch = stack(windows, center, scale, STEPS)
    by_keras, by_onnx = (runtime.run(batch) for runtime in runtimes)
    assert np.isfinite(by_onnx.logits).all()
    assert np.abs(by_keras.logits - by_onnx.logits).max() < TOLERANCE * max(1, np.abs(by_onnx.logits).max())
    assert np.abs(by_keras.standardised - by_onnx.standardised).max() < TOLERANCE * 1e3


@pytest.mark.parametrize("steps", [1, 2])
def test_statistics_of_the_head_agree_for_batches_of_the_shortest_windows(with_statistics, steps):
    runtimes, center, scale = with_statistics
    rng = np.random.default_rng(8)
    windows = [center + scale * rng.normal(0, 2, (steps, len(center))) for _ in range(9)]
    batch = stack(windows, center, scale)
    assert batch.readings.shape[1] == steps
    assert worst_difference(*(runtime.run(batch) for runtime in runtimes), batch) < TOLERANCE


def test_the_head_says_the_same_of_a_window_alone_and_padded(with_statistics):
    (_, runtime), center, scale = with_statistics
    rng = np.random.default_rng(9)
    windows = [center + scale * rng.normal(0, 2, (length, len(center))) for length in range(1, STEPS + 1)]
    together = runtime.run(stack(windows, center, scale, STEPS)).logits
    for index, window in enumerate(windows):
        alone = runtime.run(stack([window], center, scale)).logits
        assert np.abs(alone[0] - together[index]).max() < TOLERANCE


def test_the_head_hears_of_levels_that_the_encoder_cannot_tell_apart(with_statistics):
    """Both are beyond the clip of the encoder's input, which is 5 deviations."""
    (_, runtime), center, scale = with_statistics
    near, far = (
        runtime.run(stack([center + scale * np.full((STEPS, len(center)), size)], center, scale)).logits
        for size in (20.0, 500.0)
    )
    assert np.abs(near - far).max() > 0.1
