"""The default runtime: ONNX Runtime over `model.onnx`."""

from pathlib import Path

import onnxruntime

from detector.errors import ArtefactRefused
from detector.runtime import Outputs
from detector.windows import Batch

MODEL_FILE = "model.onnx"


class OnnxRuntime:
    """Runs `model.onnx` on the CPU. Inputs and outputs are named as in `Batch` and `Outputs`."""

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

    def run(self, batch: Batch) -> Outputs:
        standardised, reconstruction, logits = self._session.run(
            ["standardised", "reconstruction", "logits"],
            {
                "readings": batch.readings,
                "observed": batch.observed,
                "lengths": batch.lengths,
                "center": batch.center,
                "scale": batch.scale,
            },
        )
        return Outputs(standardised, reconstruction, logits)
