"""LitServe with its batching, and the ZeroMQ queue that its documentation advises above 100 requests/s."""

from typing import Any

import litserve
import numpy as np
from network import Network
from numpy.typing import NDArray
from place import model, port


class Classify(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.network = Network(model())

    def decode_request(self, request: dict[str, Any]) -> NDArray[np.float64]:
        return np.array(request["window"], np.float64)

    def batch(self, inputs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.stack(inputs)

    def predict(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.network.answer(windows)

    def unbatch(self, output: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return list(output)

    def encode_response(self, output: NDArray[np.float64]) -> dict[str, Any]:
        error, *probabilities = output.tolist()
        return {"reconstruction_error": error, "probabilities": probabilities}


if __name__ == "__main__":
    api = Classify(max_batch_size=16, batch_timeout=0.001, api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=port(), generate_client_file=False, log_level="warning")
