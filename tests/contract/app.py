"""The real app in this process; every answer is held against the app's own OpenAPI description."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
from starlette.testclient import TestClient

from detector.onnx_runtime import OnnxRuntime
from detector.runtime import Outputs
from detector.windows import Batch
from service.app import create_app
from service.http.openapi import describe
from service.settings import Settings
from tests.plant import SCALE, SENSORS, normal_operation

STEPS, MINIMUM_STEPS = 12, 4
# Of the problems, these belong to no route of their own.
_EVERYWHERE = {404: "not_found", 405: "method_not_allowed"}


class CheckedClient(TestClient):
    """A client that fails the test when an answer is not as /openapi.json says."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, raise_server_exceptions=False)
        self.document = describe(app)

    def request(self, method: str, url: Any, **arguments: Any) -> httpx.Response:
        response = super().request(method, url, **arguments)
        self.check(method, str(url), response)
        return response

    def check(self, method: str, url: str, response: httpx.Response) -> None:
        assert response.headers["x-request-id"]
        if (
            response.status_code in _EVERYWHERE
            and response.json()["code"] == _EVERYWHERE[response.status_code]
        ):
            return
        operation = self._operation(method.lower(), url.partition("?")[0])
        assert operation is not None
        described = operation["responses"][str(response.status_code)]
        if "content" not in described:
            assert response.content == b""
            return
        media_type = response.headers["content-type"].partition(";")[0]
        schema = described["content"][media_type]["schema"]
        if response.status_code >= 400 and media_type.startswith("application/problem"):
            assert f"`{response.json()['code']}`" in described["description"]
        if media_type.endswith("json"):
            whole = {**schema, "components": self.document["components"]}
            jsonschema.Draft202012Validator(whole).validate(response.json())

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\\{asset\\}", ".+", re.sub(r"\\{name\\}", "[^/]+", re.escape(template)))
            if re.fullmatch(pattern, path):
                return operations.get(method)
        return None


@contextmanager
def running(
    settings: Settings, open_runtime: Any = OnnxRuntime, wait: bool = True
) -> Iterator[CheckedClient]:
    """The app, started; its models loaded unless told not to wait."""
    with CheckedClient(create_app(settings, open_runtime)) as client:
        if wait:
            until(lambda: client.get("/readyz").json()["loading"] is False)
        yield client


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def settings_for(store: Path, state: Path, **others: Any) -> Settings:
    return Settings(models=store, state=state, **others)


def rows(steps: int = STEPS, seed: int = 7) -> list[list[float]]:
    """A window of normal operation, oldest step first."""
    return normal_operation(steps, seed).tolist()


def by_sensor(window: list[list[float]]) -> dict[str, list[float]]:
    return {name: list(column) for name, column in zip(SENSORS, zip(*window, strict=True), strict=True)}


def faulty(steps: int = STEPS, seed: int = 7, sensor: int = 0, size: float = 10.0) -> list[list[float]]:
    """The same, one sensor moved by so many standard deviations."""
    window = np.array(rows(steps, seed))
    window[:, sensor] += size * SCALE[sensor]
    return window.tolist()


def classify(client: TestClient, *windows: Any, **fields: Any) -> dict[str, Any]:
    """The answer to a request that must succeed."""
    response = client.post("/classify", json={"windows": list(windows), **fields})
    assert response.status_code == 200, response.text
    return response.json()


def verdict(client: TestClient, window: Any, **fields: Any) -> dict[str, Any]:
    """The result for one window."""
    return classify(client, window, **fields)["results"][0]


def gated(gate: Callable[[Batch], None]) -> Any:
    """A runtime that asks `gate` before each batch: to make it wait, or break, on purpose."""

    class GatedRuntime(OnnxRuntime):
        def run(self, batch: Batch) -> Outputs:
            gate(batch)
            return super().run(batch)

    return GatedRuntime
