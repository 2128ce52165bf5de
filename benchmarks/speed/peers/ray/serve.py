"""Ray Serve with its own batching, one replica, as its guide on dynamic request batching has it."""

from typing import Any

import numpy as np
import ray
from network import Network
from place import model, port
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=64)
class Classify:
    def __init__(self) -> None:
        self.network = Network(model())

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.001)
    async def together(self, windows: list[Any]) -> list[dict[str, Any]]:
        rows = self.network.answer(np.array(windows, np.float64)).tolist()
        return [{"reconstruction_error": error, "probabilities": rest} for error, *rest in rows]

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await self.together((await request.json())["window"])


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": port()}, logging_config={"enable_access_log": False}
    )
    serve.run(Classify.bind(), route_prefix="/classify", blocking=True)
