"""The served form of a network: an ONNX graph written with native recurrent nodes.

Keras' own exporter turns a masked LSTM into an ONNX `Loop`, several times slower (docs/decisions/0004).
Here each recurrent layer becomes one `LSTM` or `GRU` node with `sequence_lens`. One function for each part of
`training.architecture`, in its order.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from detector.statistics import FLOOR
from training.architecture import (
    ATTENTION,
    DECODER,
    ENCODER,
    FEATURES,
    HIDDEN,
    LOGITS,
    PADDED_SCORE,
    RECONSTRUCTION,
    STANDARDISED_LIMIT,
)
from training.features import LEVEL_LIMIT
from training.onnx_graph import Graph, all_states, dense, last_state, recurrent


def export_onnx(network: Any, center: NDArray[Any], scale: NDArray[Any], path: Path) -> None:
    """Write `network` (from `build_network`) as ONNX.

    center, scale: (sensors,), the training baseline: defaults of the two inputs of that name.
    """
    graph = Graph()
    graph.constant("center", center.astype(np.float64)[None])
    graph.constant("scale", scale.astype(np.float64)[None])
    standardised = _standardise(graph)
    code = _encode(graph, network, standardised)
    _decode(graph, network, code)
    _head(graph, network, code)

    sensors = center.shape[0]
    window = ["windows", "steps", sensors]
    baselines = ["baselines", sensors]
    graph.save(
        [
            helper.make_tensor_value_info("readings", TensorProto.DOUBLE, window),
            helper.make_tensor_value_info("observed", TensorProto.BOOL, window),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["windows"]),
            helper.make_tensor_value_info("center", TensorProto.DOUBLE, baselines),
            helper.make_tensor_value_info("scale", TensorProto.DOUBLE, baselines),
        ],
        [
            helper.make_tensor_value_info("standardised", TensorProto.FLOAT, window),
            helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, window),
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["windows", network.get_layer(LOGITS).units]
            ),
        ],
        path,
    )


def _standardise(graph: Graph) -> str:
    """In float64, then float32: (readings - center) / scale, 0 where nothing was observed."""
    axis = graph.constant("axis_1", np.array([1], np.int64))
    graph.constant("low", np.array(-STANDARDISED_LIMIT))
    graph.constant("high", np.array(STANDARDISED_LIMIT))
    graph.constant("zero", np.array(0.0, np.float32))
    graph.node("Unsqueeze", ["center", axis], "center_by_step")
    graph.node("Unsqueeze", ["scale", axis], "scale_by_step")
    graph.node("Sub", ["readings", "center_by_step"], "offset")
    graph.node("Div", ["offset", "scale_by_step"], "deviations")
    graph.node("Clip", ["deviations", "low", "high"], "bounded")
    graph.node("Cast", ["bounded"], "single", to=TensorProto.FLOAT)
    return graph.node("Where", ["observed", "single", "zero"], "standardised")


def _encode(graph: Graph, network: Any, standardised: str) -> str:
    """The code of each window, (windows, features)."""
    clip = float(network.get_layer("encoder_input").clip)
    graph.constant("clip_low", np.array(-clip, np.float32))
    graph.constant("clip_high", np.array(clip, np.float32))
    graph.node("Clip", [standardised, "clip_low", "clip_high"], "clipped")
    graph.node("Cast", ["observed"], "flags", to=TensorProto.FLOAT)
    graph.node("Concat", ["clipped", "flags"], "windows_first", axis=2)
    signal = graph.node("Transpose", ["windows_first"], "encoder_input", perm=[1, 0, 2])
    *inner, outermost = _layers(network, ENCODER)
    for layer in inner:
        signal = all_states(graph, recurrent(graph, layer, signal, "lengths"))
    name = recurrent(graph, outermost, signal, "lengths")
    last = last_state(graph, name)
    if not any(layer.name == ATTENTION for layer in network.layers):
        return last
    states = all_states(graph, name)
    context = _attend(graph, network.get_layer(ATTENTION), states, last)
    return graph.node("Concat", [last, context], "code", axis=1)


def _attend(graph: Graph, layer: Any, states: str, last: str) -> str:
    """`training.architecture.Attention`: the weighted mean of the states, (windows, units)."""
    kernel = np.asarray(layer.get_weights()[0], np.float32)
    graph.constant("attention.kernel", kernel / np.float32(math.sqrt(len(kernel))))
    graph.constant("attention.padded", np.array(PADDED_SCORE, np.float32))
    for number in (0, 1):
        graph.constant(f"number_{number}", np.array(number, np.int32))
    graph.constant("axis_0", np.array([0], np.int64))
    graph.constant("axis_1", np.array([1], np.int64))
    graph.constant("axis_2", np.array([2], np.int64))
    # Scores, (windows, steps).
    graph.node("MatMul", [last, "attention.kernel"], "attention.product")
    graph.node("Unsqueeze", ["attention.product", "axis_2"], "attention.wanted")
    graph.node("Transpose", [states], "attention.states", perm=[1, 0, 2])
    graph.node("MatMul", ["attention.states", "attention.wanted"], "attention.fit")
    graph.node("Squeeze", ["attention.fit", "axis_2"], "attention.scores")
    # Steps that were given, (windows, steps).
    graph.node("Shape", [states], "attention.shape", start=0, end=1)
    graph.node("Squeeze", ["attention.shape", "axis_0"], "attention.steps")
    graph.node("Cast", ["attention.steps"], "attention.count", to=TensorProto.INT32)
    graph.node("Range", ["number_0", "attention.count", "number_1"], "attention.positions")
    graph.node("Unsqueeze", ["lengths", "axis_1"], "attention.lengths")
    graph.node("Less", ["attention.positions", "attention.lengths"], "attention.given")
    graph.node("Where", ["attention.given", "attention.scores", "attention.padded"], "attention.masked")
    graph.node("Softmax", ["attention.masked"], "attention.weights", axis=1)
    graph.node("Unsqueeze", ["attention.weights", "axis_1"], "attention.row")
    graph.node("MatMul", ["attention.row", "attention.states"], "attention.mean")
    return graph.node("Squeeze", ["attention.mean", "axis_1"], "attention")


def _decode(graph: Graph, network: Any, code: str) -> None:
    """The code at every step, the decoder over it, and its last layer: `reconstruction`."""
    graph.node("Shape", ["encoder_input"], "steps", start=0, end=1)
    graph.node("Concat", ["steps", graph.constant("ones", np.array([1, 1], np.int64))], "repeats", axis=0)
    graph.node("Unsqueeze", [code, graph.constant("axis_0", np.array([0], np.int64))], "code_step")
    signal = graph.node("Tile", ["code_step", "repeats"], "decoder_input")
    for layer in _layers(network, DECODER):
        signal = all_states(graph, recurrent(graph, layer, signal))
    signal = graph.node("Transpose", [signal], "decoded", perm=[1, 0, 2])
    dense(graph, network.get_layer(RECONSTRUCTION), signal, "reconstruction")


def _head(graph: Graph, network: Any, code: str) -> None:
    """What is said of the window as a whole: `logits`."""
    known = code
    if any(layer.name == FEATURES for layer in network.layers):
        features = _features(graph, network.get_layer(FEATURES))
        known = graph.node("Concat", [code, features], "known", axis=1)
        known = graph.node("Relu", [dense(graph, network.get_layer(HIDDEN), known, "hidden")], "head")
    dense(graph, network.get_layer(LOGITS), known, "logits")


def _features(graph: Graph, layer: Any) -> str:
    """`training.features.WindowFeatures`, (windows, 5 × sensors + 4)."""
    level, whitening, center, scale, conditioning = (
        np.asarray(weight, np.float32) for weight in layer.get_weights()
    )
    sensors = len(level)
    single = np.float32
    constants: dict[str, NDArray[Any]] = {
        "axis_1": np.array([1], np.int64),
        "least": np.array(-LEVEL_LIMIT, single),
        "most": np.array(LEVEL_LIMIT, single),
        "one": np.array(1.0, single),
        "floor": np.array(FLOOR, single),
        "features.level": level,
        "features.whitening": whitening,
        "features.center": center,
        "features.scale": scale,
        "features.conditioning": conditioning,
        "features.split": np.array([sensors, sensors, sensors], np.int64),
        "one_row": np.array([1], np.int64),
        "from_0": np.array([0], np.int64),
        "from_1": np.array([1], np.int64),
        "to_last": np.array([-1], np.int64),
        "to_end": np.array([np.iinfo(np.int64).max], np.int64),
    }
    for name, value in constants.items():
        graph.constant(name, value)

    def over_steps(values: str, name: str) -> str:
        """A sum, as a product with ones: a reduction across rows takes three times as long."""
        graph.node("MatMul", ["features.each_step", values], f"{name}.row")
        return graph.node("Squeeze", [f"{name}.row", "axis_1"], name)

    def over_moves(values: str, name: str) -> str:
        """A sum over pairs of steps, of which a window of one step has none: such a product says nothing."""
        return graph.node("ReduceSum", [values, "axis_1"], name, keepdims=0)

    def mean(total: str, count: str, name: str) -> str:
        graph.node("Max", [count, "one"], f"{name}.count")
        return graph.node("Div", [total, f"{name}.count"], name)

    graph.node("Concat", ["one_row", "steps"], "features.row", axis=0)
    graph.node("Expand", ["one", "features.row"], "features.each_step")
    # 0 where not observed, and still so when it is cut.
    graph.node("Clip", ["standardised", "least", "most"], "features.readings")
    over_steps("flags", "features.seen")
    mean(over_steps("features.readings", "features.mean.sum"), "features.seen", "features.mean")
    graph.node("Unsqueeze", ["features.mean", "axis_1"], "features.mean_by_step")
    graph.node("Sub", ["features.readings", "features.mean_by_step"], "features.off")
    graph.node("Mul", ["features.off", "flags"], "features.away")
    graph.node("Mul", ["features.away", "features.away"], "features.away_squared")
    mean(over_steps("features.away_squared", "features.variance.sum"), "features.seen", "features.variance")
    for what in ("flags", "features.readings"):
        graph.node("Slice", [what, "from_1", "to_end", "axis_1"], f"{what}.newer")
        graph.node("Slice", [what, "from_0", "to_last", "axis_1"], f"{what}.older")
    graph.node("Mul", ["flags.newer", "flags.older"], "features.pairs")
    over_moves("features.pairs", "features.moves")
    graph.node("Sub", ["features.readings.newer", "features.readings.older"], "features.step")
    graph.node("Mul", ["features.step", "features.step"], "features.step_squared")
    graph.node("Mul", ["features.step_squared", "features.pairs"], "features.change_given")
    mean(over_moves("features.change_given", "features.change.sum"), "features.moves", "features.change")

    graph.node("Sub", ["features.mean", "features.level"], "features.shift")
    graph.node("Min", ["features.seen", "one"], "features.any_seen")
    graph.node("Mul", ["features.shift", "features.any_seen"], "features.levels")
    graph.node("Unsqueeze", ["features.levels", "axis_1"], "features.levels_by_step")
    graph.node("Add", ["features.away", "features.levels_by_step"], "features.filled")
    graph.node("MatMul", ["features.filled", "features.conditioning"], "features.residuals")
    graph.node("Mul", ["features.residuals", "features.residuals"], "features.residuals_squared")
    graph.node("Mul", ["features.residuals_squared", "flags"], "features.residuals_given")
    mean(
        over_steps("features.residuals_given", "features.residual.sum"), "features.seen", "features.residual"
    )

    graph.node("MatMul", ["features.levels", "features.whitening"], "features.decorrelated")
    graph.node(
        "Concat", ["features.variance", "features.change", "features.residual"], "features.squares", axis=1
    )
    graph.node("Add", ["features.squares", "floor"], "features.floored")
    graph.node("Log", ["features.floored"], "features.logs")
    graph.node("Sub", ["features.logs", "features.center"], "features.centred")
    graph.node("Div", ["features.centred", "features.scale"], "features.deviations")
    graph.node("Min", ["features.moves", "one"], "features.any_move")
    moved = ["features.any_move", "features.any_move", "features.any_seen"]
    graph.node("Concat", moved, "features.known", axis=1)
    graph.node("Mul", ["features.deviations", "features.known"], "features.spreads")
    parts = "features.scatter", "features.roughness", "features.disagreement"
    graph.node("Split", ["features.spreads", "features.split"], *parts, axis=1)
    sizes = []
    for part in ("decorrelated", "scatter", "roughness", "disagreement"):
        graph.node("Mul", [f"features.{part}", f"features.{part}"], f"features.{part}.squared")
        sizes.append(
            graph.node(
                "ReduceMean", [f"features.{part}.squared"], f"features.{part}.size", axes=[1], keepdims=1
            )
        )
    graph.node(
        "Concat", ["features.levels", "features.decorrelated", "features.spreads"], "features.all", axis=1
    )
    graph.node("Asinh", ["features.all"], "features.each")
    graph.node("Concat", sizes, "features.sizes", axis=1)
    graph.node("Add", ["features.sizes", "one"], "features.sizes.plus_one")
    graph.node("Log", ["features.sizes.plus_one"], "features.sizes.log")
    return graph.node("Concat", ["features.each", "features.sizes.log"], "features", axis=1)


def _layers(network: Any, pattern: str) -> list[Any]:
    names = {layer.name for layer in network.layers}
    found: list[Any] = []
    while pattern.format(len(found)) in names:
        found.append(network.get_layer(pattern.format(len(found))))
    return found
