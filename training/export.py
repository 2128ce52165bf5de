"""The served form of a network: an ONNX graph written with native recurrent nodes.

Keras' own exporter turns a masked LSTM into an ONNX `Loop`, several times slower (docs/decisions/0004).
Here each recurrent layer becomes one `LSTM` or `GRU` node with `sequence_lens`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.architecture import DECODER, ENCODER, LOGITS, RECONSTRUCTION, STANDARDISED_LIMIT

OPSET = 17
IR_VERSION = 9


class _Graph:
    """Collects nodes and initialisers while the graph is written from top to bottom."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def export_onnx(network: Any, center: NDArray[Any], scale: NDArray[Any], path: Path) -> None:
    """Write `network` (from `build_network`) as ONNX.

    center, scale: (sensors,), the training baseline: defaults of the two inputs of that name.
    """
    graph = _Graph()
    sensors = center.shape[0]
    encoders = _layers(network, ENCODER)
    decoders = _layers(network, DECODER)

    # Standardise in float64, then float32: (readings - center) / scale, 0 where nothing was observed.
    graph.constant("axis_1", np.array([1], np.int64))
    graph.constant("low", np.array(-STANDARDISED_LIMIT))
    graph.constant("high", np.array(STANDARDISED_LIMIT))
    graph.constant("zero", np.array(0.0, np.float32))
    graph.node("Unsqueeze", ["center", "axis_1"], "center_by_step")
    graph.node("Unsqueeze", ["scale", "axis_1"], "scale_by_step")
    graph.node("Sub", ["readings", "center_by_step"], "offset")
    graph.node("Div", ["offset", "scale_by_step"], "deviations")
    graph.node("Clip", ["deviations", "low", "high"], "bounded")
    graph.node("Cast", ["bounded"], "single", to=TensorProto.FLOAT)
    graph.node("Where", ["observed", "single", "zero"], "standardised")

    # Encoder: steps first, as recurrent nodes want it.
    clip = float(network.get_layer("encoder_input").clip)
    graph.constant("clip_low", np.array(-clip, np.float32))
    graph.constant("clip_high", np.array(clip, np.float32))
    graph.node("Clip", ["standardised", "clip_low", "clip_high"], "clipped")
    graph.node("Cast", ["observed"], "flags", to=TensorProto.FLOAT)
    graph.node("Concat", ["clipped", "flags"], "windows_first", axis=2)
    signal = graph.node("Transpose", ["windows_first"], "encoder_input", perm=[1, 0, 2])
    for depth, layer in enumerate(encoders):
        signal = _recurrent(
            graph, layer, signal, ENCODER.format(depth), "lengths", every_step=depth < len(encoders) - 1
        )
    code = signal

    # Decoder: the code at every step.
    graph.node("Shape", ["encoder_input"], "steps", start=0, end=1)
    graph.constant("ones", np.array([1, 1], np.int64))
    graph.node("Concat", ["steps", "ones"], "repeats", axis=0)
    graph.constant("axis_0", np.array([0], np.int64))
    graph.node("Unsqueeze", [code, "axis_0"], "code_step")
    signal = graph.node("Tile", ["code_step", "repeats"], "decoder_input")
    for depth, layer in enumerate(decoders):
        signal = _recurrent(graph, layer, signal, DECODER.format(depth), "", every_step=True)
    signal = graph.node("Transpose", [signal], "decoded", perm=[1, 0, 2])
    _dense(graph, network.get_layer(RECONSTRUCTION), signal, "reconstruction")
    _dense(graph, network.get_layer(LOGITS), code, "logits")

    classes = network.get_layer(LOGITS).units
    window = ["windows", "steps", sensors]
    inputs = [
        helper.make_tensor_value_info("readings", TensorProto.DOUBLE, window),
        helper.make_tensor_value_info("observed", TensorProto.BOOL, window),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["windows"]),
        helper.make_tensor_value_info("center", TensorProto.DOUBLE, ["baselines", sensors]),
        helper.make_tensor_value_info("scale", TensorProto.DOUBLE, ["baselines", sensors]),
    ]
    outputs = [
        helper.make_tensor_value_info("standardised", TensorProto.FLOAT, window),
        helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, window),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["windows", classes]),
    ]
    graph.constant("center", center.astype(np.float64)[None])
    graph.constant("scale", scale.astype(np.float64)[None])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "offnormal", inputs, outputs, graph.initialisers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="offnormal",
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _layers(network: Any, pattern: str) -> list[Any]:
    names = {layer.name for layer in network.layers}
    found: list[Any] = []
    while pattern.format(len(found)) in names:
        found.append(network.get_layer(pattern.format(len(found))))
    return found


def _recurrent(graph: _Graph, layer: Any, signal: str, name: str, lengths: str, *, every_step: bool) -> str:
    """One LSTM or GRU node over (steps, windows, features); returns every step, or the last valid one."""
    kernel, recurrent, bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    units = recurrent.shape[0]
    if type(layer).__name__ == "LSTM":
        kind, order, attributes = "LSTM", "iofc", {}
        ours, stacked = "ifco", [bias, np.zeros_like(bias)]
    else:
        # Keras resets after the recurrent product, which ONNX calls linear_before_reset.
        kind, order, attributes = "GRU", "zrh", {"linear_before_reset": 1}
        ours, stacked = "zrh", [bias[0], bias[1]]

    def gates(weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns of Keras' gates as rows in ONNX' order."""
        blocks = dict(zip(ours, np.split(weights, len(ours), axis=-1), strict=True))
        return np.concatenate([blocks[gate] for gate in order], axis=-1)

    graph.constant(f"{name}.W", gates(kernel).T[None])
    graph.constant(f"{name}.R", gates(recurrent).T[None])
    graph.constant(f"{name}.B", np.concatenate([gates(part) for part in stacked])[None])
    outputs = [f"{name}.all", f"{name}.last"]
    inputs = [signal, f"{name}.W", f"{name}.R", f"{name}.B", lengths]
    graph.nodes.append(
        helper.make_node(
            kind, inputs if lengths else inputs[:4], outputs, name=name, hidden_size=units, **attributes
        )
    )
    axis = "direction_axis" if every_step else "axis_of_last"
    if axis not in {tensor.name for tensor in graph.initialisers}:
        graph.constant(axis, np.array([1 if every_step else 0], np.int64))
    return graph.node("Squeeze", [outputs[0] if every_step else outputs[1], axis], f"{name}.out")


def _dense(graph: _Graph, layer: Any, signal: str, name: str) -> str:
    kernel, bias = layer.get_weights()
    graph.constant(f"{name}.kernel", np.asarray(kernel, np.float32))
    graph.constant(f"{name}.bias", np.asarray(bias, np.float32))
    graph.node("MatMul", [signal, f"{name}.kernel"], f"{name}.product")
    return graph.node("Add", [f"{name}.product", f"{name}.bias"], name)
