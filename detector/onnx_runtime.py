"""The default runtime: ONNX Runtime over `model.onnx`."""

from pathlib import Path

import numpy as np
import onnxruntime

from detector.errors import ArtefactRefused
from detector.runtime import Outputs
from detector.windows import Batch

MODEL_FILE = "model.onnx"
_RESULTS = list(Outputs.__slots__)
_YES = np.array([True])


class OnnxRuntime:
    """Runs `model.onnx` on the CPU. Inputs and outputs are named as in `Batch` and `Outputs`.

    `complete` is false unless given: such a batch passes through nodes of its own, without masks.
    """

    name = "onnx"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises bare RuntimeErrors of many kinds
            raise ArtefactRefused(folder, f"{MODEL_FILE} cannot be opened: {error}") from None

        # Models of before have no such input.
        self._knows_complete = any(
            default.name == "complete" for default in self._session.get_overridable_initializers()
        )

    def run(self, batch: Batch) -> Outputs:
        given = {
            "readings": batch.readings,
            "observed": batch.observed,
            "lengths": batch.lengths,
            "center": batch.center,
            "scale": batch.scale,
        }
        if self._knows_complete and batch.complete and batch.readings.shape[1] > 1:
            given["complete"] = _YES
        return Outputs(*self._session.run(_RESULTS, given))
