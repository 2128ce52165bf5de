"""Writing an ONNX graph node by node, and the layers of the network as nodes.

Signals have their steps first, (steps, windows, features), as ONNX' recurrent nodes want them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9


class Graph:
    """Collects nodes and constants while the graph is written from top to bottom."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A constant; the same one may be named again."""
        constant = numpy_helper.from_array(np.ascontiguousarray(value), name)
        if self._constants.setdefault(name, constant) != constant:
            raise ValueError(f"two constants are named {name}")
        return name

    def node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """One node, named after its first output, which is returned."""
        self._nodes.append(helper.make_node(kind, inputs, list(outputs), name=outputs[0], **attributes))
        return outputs[0]

    def choose(
        self, condition: str, then: "Graph", otherwise: "Graph", results: dict[str, tuple[str, str]]
    ) -> None:
        """Run one of two graphs. results: name of each, and what these two call it; float.

        They have constants of their own: those from outside are handed over, and packed, anew in every run.
        """
        branches = {
            name: helper.make_graph(
                graph._nodes,
                name,
                [],
                [helper.make_tensor_value_info(result, TensorProto.FLOAT, None) for result in own],
                list(graph._constants.values()),
            )
            for name, graph, own in zip(
                ("then_branch", "else_branch"),
                (then, otherwise),
                zip(*results.values(), strict=True),
                strict=True,
            )
        }
        self.node("If", [condition], *results, **branches)

    def save(self, inputs: list[Any], outputs: list[Any], path: Path) -> None:
        """Check the whole and write it."""
        graph = helper.make_graph(self._nodes, "offnormal", inputs, outputs, list(self._constants.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="offnormal",
        )
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())


def recurrent(graph: Graph, layer: Any, signal: str, lengths: str = "", ones: int = 0) -> str:
    """A Keras LSTM or GRU as one native node. lengths: name of the windows' lengths, or none to run over all.

    ones: how many of the layer's last inputs are 1 at every step and not in `signal`, but in the bias.
    Returns its name, for `all_states` and `last_state`.
    """
    name = str(layer.name)
    kernel, recurrent_kernel, bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    if type(layer.cell).__name__ == "LSTMCell":
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

    suffix = ""
    if ones:
        suffix = ".without_ones"
        stacked[0] = stacked[0] + kernel[-ones:].sum(axis=0)
        kernel = kernel[:-ones]
    inputs = [
        signal,
        graph.constant(f"{name}.W{suffix}", gates(kernel).T[None]),
        graph.constant(f"{name}.R", gates(recurrent_kernel).T[None]),
        graph.constant(f"{name}.B{suffix}", np.concatenate([gates(part) for part in stacked])[None]),
    ]
    graph.node(
        kind,
        [*inputs, lengths] if lengths else inputs,
        f"{name}.all",
        f"{name}.last",
        hidden_size=recurrent_kernel.shape[0],
        **attributes,
    )
    return name


def all_states(graph: Graph, name: str) -> str:
    """States of a recurrent node, (steps, windows, units); 0 at padded steps."""
    direction = graph.constant("axis_1", np.array([1], np.int64))
    return graph.node("Squeeze", [f"{name}.all", direction], f"{name}.states")


def last_state(graph: Graph, name: str) -> str:
    """State of a recurrent node after the last given step, (windows, units)."""
    direction = graph.constant("axis_0", np.array([0], np.int64))
    return graph.node("Squeeze", [f"{name}.last", direction], f"{name}.state")


def dense(graph: Graph, layer: Any, signal: str, name: str) -> str:
    """A Keras Dense layer over the last axis, whatever comes before it."""
    kernel, bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    product = graph.node(
        "MatMul", [signal, graph.constant(f"{layer.name}.kernel", kernel)], f"{name}.product"
    )
    return graph.node("Add", [product, graph.constant(f"{layer.name}.bias", bias)], name)
