"""BentoML with an adaptively batched method: arrays in, arrays out, joined along their first dimension."""

import bentoml
import numpy as np
from network import Network
from place import model


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Classify:
    def __init__(self) -> None:
        self.network = Network(model())

    @bentoml.api(route="/classify", batchable=True, max_batch_size=16, max_latency_ms=1000)
    def classify(self, windows: np.ndarray) -> np.ndarray:
        return self.network.answer(np.asarray(windows, np.float64))
