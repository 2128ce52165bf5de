"""The model as every peer runs it: ONNX Runtime on the same file, one thread, the same two answers."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Network:
    """`model.onnx` of a model's folder. Baselines are the graph's defaults: the model's own."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def run(self, windows: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        """Standardised readings, reconstruction and logits of (windows, steps, sensors), nothing missing."""
        lengths = np.full(len(windows), windows.shape[1], np.int32)
        found: list[NDArray[np.float32]] = self._session.run(
            ["standardised", "reconstruction", "logits"],
            {
                "readings": windows,
                "observed": np.ones(windows.shape, np.bool_),
                "lengths": lengths,
                "complete": np.array([True]),
            },
        )
        return found

    def answer(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(windows, 1 + classes): mean squared error of each window, then the softmax of its logits."""
        standardised, reconstruction, logits = self.run(windows)
        errors = np.square(standardised - reconstruction).mean(axis=(1, 2), dtype=np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
        return np.column_stack([errors, powers / powers.sum(axis=1, keepdims=True)])
