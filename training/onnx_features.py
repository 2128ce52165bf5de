"""`training.features.WindowFeatures` as ONNX nodes: what the head is told of a window beside its code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from detector.statistics import FLOOR
from training.features import LEVEL_LIMIT
from training.onnx_graph import Graph


def features(graph: Graph, layer: Any, standardised: str, flags: str | None) -> str:
    """(windows, 5 × sensors + 4).

    standardised: float32 (windows, steps, sensors), 0 where not observed. flags: float32, same shape, 1 where
    observed; None if every reading is, and there are two steps or more. The graph has `steps`, int64 (1,).
    """
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
    }
    for name, value in constants.items():
        graph.constant(name, value)

    # 0 where not observed, and still so when it is cut.
    readings = graph.node("Clip", [standardised, "least", "most"], "features.readings")
    steps = _AllSteps(graph) if flags is None else _ObservedSteps(graph, flags)
    mean = steps.mean(readings, "features.mean")
    graph.node("Unsqueeze", [mean, "axis_1"], "features.mean_by_step")
    away = steps.given(
        graph.node("Sub", [readings, "features.mean_by_step"], "features.off"), "features.away"
    )
    steps.mean(graph.node("Mul", [away, away], "features.away_squared"), "features.variance")
    steps.mean_squared_change(readings, "features.change")

    graph.node("Sub", [mean, "features.level"], "features.shift")
    levels = steps.where_seen("features.shift", "features.levels")
    graph.node("Unsqueeze", [levels, "axis_1"], "features.levels_by_step")
    graph.node("Add", [away, "features.levels_by_step"], "features.filled")
    graph.node("MatMul", ["features.filled", "features.conditioning"], "features.residuals")
    graph.node("Mul", ["features.residuals", "features.residuals"], "features.residuals_squared")
    steps.mean(steps.given("features.residuals_squared", "features.residuals_given"), "features.residual")

    graph.node("MatMul", [levels, "features.whitening"], "features.decorrelated")
    spreads = ["features.variance", "features.change", "features.residual"]
    graph.node("Concat", spreads, "features.squares", axis=1)
    graph.node("Add", ["features.squares", "floor"], "features.floored")
    graph.node("Log", ["features.floored"], "features.logs")
    graph.node("Sub", ["features.logs", "features.center"], "features.centred")
    graph.node("Div", ["features.centred", "features.scale"], "features.deviations")
    spread = steps.where_known("features.deviations", "features.spreads")
    parts = "features.scatter", "features.roughness", "features.disagreement"
    graph.node("Split", [spread, "features.split"], *parts, axis=1)
    sizes = []
    for part in ("features.decorrelated", *parts):
        graph.node("Mul", [part, part], f"{part}.squared")
        sizes.append(graph.node("ReduceMean", [f"{part}.squared"], f"{part}.size", axes=[1], keepdims=1))
    graph.node("Concat", [levels, "features.decorrelated", spread], "features.all", axis=1)
    graph.node("Asinh", ["features.all"], "features.each")
    graph.node("Concat", sizes, "features.sizes", axis=1)
    graph.node("Add", ["features.sizes", "one"], "features.sizes.plus_one")
    graph.node("Log", ["features.sizes.plus_one"], "features.sizes.log")
    return graph.node("Concat", ["features.each", "features.sizes.log"], "features", axis=1)


class _AllSteps:
    """Statistics over steps at which every reading was observed."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        graph.constant("one_step", np.array([1], np.int64))
        graph.node("Sub", ["steps", "one_step"], "features.moves")
        for count in ("steps", "features.moves"):
            graph.node("Cast", [count], f"{count}.number", to=TensorProto.FLOAT)
            graph.node("Reciprocal", [f"{count}.number"], f"{count}.share")
            graph.node("Expand", [f"{count}.share", count], f"{count}.shares")

    def given(self, values: str, _: str) -> str:
        return values

    def mean(self, values: str, name: str) -> str:
        return self._graph.node("MatMul", ["steps.shares", values], name)

    def mean_squared_change(self, readings: str, name: str) -> str:
        squared = _squared_change(self._graph, readings, name)
        return self._graph.node("MatMul", ["features.moves.shares", squared], name)

    def where_seen(self, levels: str, _: str) -> str:
        return levels

    def where_known(self, spreads: str, _: str) -> str:
        return spreads


class _ObservedSteps:
    """Statistics over the steps at which a sensor was observed."""

    def __init__(self, graph: Graph, flags: str) -> None:
        self._graph = graph
        self._flags = flags
        graph.constant("axis_1", np.array([1], np.int64))
        graph.constant("one", np.array(1.0, np.float32))
        graph.node("Expand", ["one", "steps"], "features.each_step")
        self._sum(flags, "features.seen")
        graph.node("Min", ["features.seen", "one"], "features.any_seen")

    def given(self, values: str, name: str) -> str:
        """0 where nothing was observed."""
        return self._graph.node("Mul", [values, self._flags], name)

    def mean(self, values: str, name: str) -> str:
        """values: 0 where nothing was observed."""
        return self._divided(self._sum(values, f"{name}.sum"), "features.seen", name)

    def mean_squared_change(self, readings: str, name: str) -> str:
        """Over pairs of steps that were both observed; 0 without any."""
        newer, older = _neighbours(self._graph, self._flags)
        self._graph.node("Mul", [newer, older], "features.pairs")
        squared = _squared_change(self._graph, readings, name)
        self._graph.node("Mul", [squared, "features.pairs"], f"{name}.given")
        # A product over the pairs of a single step, of which there are none, says nothing.
        for values, total in (("features.pairs", "features.moves"), (f"{name}.given", f"{name}.sum")):
            self._graph.node("ReduceSum", [values, "axis_1"], total, keepdims=0)
        self._graph.node("Min", ["features.moves", "one"], "features.any_move")
        return self._divided(f"{name}.sum", "features.moves", name)

    def where_seen(self, levels: str, name: str) -> str:
        """0 for a sensor that was not observed."""
        return self._graph.node("Mul", [levels, "features.any_seen"], name)

    def where_known(self, spreads: str, name: str) -> str:
        """Scatter, roughness and disagreement; 0 for a sensor of which they are not known."""
        known = ["features.any_move", "features.any_move", "features.any_seen"]
        self._graph.node("Concat", known, "features.known", axis=1)
        return self._graph.node("Mul", [spreads, "features.known"], name)

    def _sum(self, values: str, name: str) -> str:
        return self._graph.node("MatMul", ["features.each_step", values], name)

    def _divided(self, total: str, count: str, name: str) -> str:
        self._graph.node("Max", [count, "one"], f"{name}.count")
        return self._graph.node("Div", [total, f"{name}.count"], name)


def _squared_change(graph: Graph, readings: str, name: str) -> str:
    """Of each step but the first, from the one before."""
    change = graph.node("Sub", list(_neighbours(graph, readings)), f"{name}.each")
    return graph.node("Mul", [change, change], f"{name}.squared")


def _neighbours(graph: Graph, values: str) -> tuple[str, str]:
    """All steps but the first, and all but the last."""
    graph.constant("axis_1", np.array([1], np.int64))
    graph.constant("from_0", np.array([0], np.int64))
    graph.constant("from_1", np.array([1], np.int64))
    graph.constant("to_last", np.array([-1], np.int64))
    graph.constant("to_end", np.array([np.iinfo(np.int64).max], np.int64))
    return (
        graph.node("Slice", [values, "from_1", "to_end", "axis_1"], f"{values}.newer"),
        graph.node("Slice", [values, "from_0", "to_last", "axis_1"], f"{values}.older"),
    )
