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

from detector.runtime import Outputs
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
from training.onnx_features import features
from training.onnx_graph import Graph, all_states, dense, last_state, recurrent


def export_onnx(network: Any, center: NDArray[Any], scale: NDArray[Any], path: Path) -> None:
    """Write `network` (from `build_network`) as ONNX.

    center, scale: (sensors,), the training baseline: defaults of the two inputs of that name.

    A batch of windows that miss nothing, of two steps or more, needs no flags: where the input `complete`
    says so (false unless given), it passes through a network without them, to the same results at less cost.
    """
    graph = Graph()
    graph.constant("center", center.astype(np.float64)[None])
    graph.constant("scale", scale.astype(np.float64)[None])
    graph.constant("complete", np.array([False]))
    whole, holed = Graph(), Graph()
    both = zip(_network(whole, network, None), _network(holed, network, "observed"), strict=True)
    graph.choose("complete", whole, holed, dict(zip(Outputs.__slots__, both, strict=True)))

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
            helper.make_tensor_value_info("complete", TensorProto.BOOL, [1]),
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


def _network(graph: Graph, network: Any, observed: str | None) -> tuple[str, str, str]:
    """Names of what `Outputs` holds, in its order.

    observed: the input that tells which readings there are; None if all are.
    """
    graph.node("Shape", ["readings"], "steps", start=1, end=2)
    flags = observed and graph.node("Cast", [observed], "flags", to=TensorProto.FLOAT)
    standardised = _standardise(graph, observed)
    code = _encode(graph, network, standardised, flags)
    return standardised, _decode(graph, network, code), _head(graph, network, code, standardised, flags)


def _standardise(graph: Graph, observed: str | None) -> str:
    """In float64, then float32: (readings - center) / scale, 0 where nothing was observed."""
    axis = graph.constant("axis_1", np.array([1], np.int64))
    graph.constant("low", np.array(-STANDARDISED_LIMIT, np.float32))
    graph.constant("high", np.array(STANDARDISED_LIMIT, np.float32))
    graph.node("Unsqueeze", ["center", axis], "center_by_step")
    graph.node("Unsqueeze", ["scale", axis], "scale_by_step")
    graph.node("Sub", ["readings", "center_by_step"], "offset")
    graph.node("Div", ["offset", "scale_by_step"], "deviations")
    graph.node("Cast", ["deviations"], "single", to=TensorProto.FLOAT)
    bounded = graph.node("Clip", ["single", "low", "high"], "bounded")
    if observed is None:
        return bounded
    return graph.node(
        "Where", [observed, bounded, graph.constant("zero", np.array(0.0, np.float32))], "given"
    )


def _encode(graph: Graph, network: Any, standardised: str, flags: str | None) -> str:
    """The code of each window, (windows, features)."""
    clip = float(network.get_layer("encoder_input").clip)
    graph.constant("clip_low", np.array(-clip, np.float32))
    graph.constant("clip_high", np.array(clip, np.float32))
    windows_first = graph.node("Clip", [standardised, "clip_low", "clip_high"], "clipped")
    lengths, ones = "lengths", 0
    if flags is None:
        lengths, ones = "", network.get_layer("encoder_input").output.shape[-1] // 2
    else:
        windows_first = graph.node("Concat", [windows_first, flags], "windows_first", axis=2)
    signal = graph.node("Transpose", [windows_first], "encoder_input", perm=[1, 0, 2])
    *inner, outermost = _layers(network, ENCODER)
    for layer in inner:
        signal, ones = all_states(graph, recurrent(graph, layer, signal, lengths, ones)), 0
    name = recurrent(graph, outermost, signal, lengths, ones)
    last = last_state(graph, name)
    if not any(layer.name == ATTENTION for layer in network.layers):
        return last
    context = _attend(graph, network.get_layer(ATTENTION), all_states(graph, name), last)
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


def _decode(graph: Graph, network: Any, code: str) -> str:
    """The code at every step, the decoder over it, and its last layer."""
    graph.node("Concat", ["steps", graph.constant("ones", np.array([1, 1], np.int64))], "repeats", axis=0)
    graph.node("Unsqueeze", [code, graph.constant("axis_0", np.array([0], np.int64))], "code_step")
    signal = graph.node("Tile", ["code_step", "repeats"], "decoder_input")
    for layer in _layers(network, DECODER):
        signal = all_states(graph, recurrent(graph, layer, signal))
    signal = graph.node("Transpose", [signal], "decoded", perm=[1, 0, 2])
    return dense(graph, network.get_layer(RECONSTRUCTION), signal, "reconstructed")


def _head(graph: Graph, network: Any, code: str, standardised: str, flags: str | None) -> str:
    """What is said of the window as a whole."""
    known = code
    if any(layer.name == FEATURES for layer in network.layers):
        told = features(graph, network.get_layer(FEATURES), standardised, flags)
        known = graph.node("Concat", [code, told], "known", axis=1)
        known = graph.node("Relu", [dense(graph, network.get_layer(HIDDEN), known, "hidden")], "head_output")
    return dense(graph, network.get_layer(LOGITS), known, "said")


def _layers(network: Any, pattern: str) -> list[Any]:
    names = {layer.name for layer in network.layers}
    found: list[Any] = []
    while pattern.format(len(found)) in names:
        found.append(network.get_layer(pattern.format(len(found))))
    return found
