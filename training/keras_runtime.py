"""The reference runtime: TensorFlow over `model.keras`. Agrees with ONNX Runtime to 1e-4."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from detector.errors import ArtefactRefused
from detector.runtime import Outputs
from detector.windows import Batch
from training import architecture as architecture  # registers its layers with Keras

KERAS_FILE = "model.keras"


class KerasRuntime:
    """Runs `model.keras`, or a network still in memory."""

    name = "tensorflow"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        del threads  # TensorFlow's thread pools belong to the process, not to a model
        try:
            network = keras.saving.load_model(folder / KERAS_FILE, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds, down to bare ValueErrors
            raise ArtefactRefused(folder, f"{KERAS_FILE} cannot be opened: {error}") from None
        self._call = tf.function(network, reduce_retracing=True)

    def run(self, batch: Batch) -> Outputs:
        windows = len(batch)
        outputs = self._call(
            {
                "readings": tf.constant(batch.readings),
                "observed": tf.constant(batch.observed),
                "lengths": tf.constant(batch.lengths),
                "center": tf.constant(np.broadcast_to(batch.center, (windows, batch.center.shape[1]))),
                "scale": tf.constant(np.broadcast_to(batch.scale, (windows, batch.scale.shape[1]))),
            },
            training=False,
        )
        return Outputs(
            outputs["standardised"].numpy(), outputs["reconstruction"].numpy(), outputs["logits"].numpy()
        )
