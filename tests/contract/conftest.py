"""One running app per runtime, shared by all tests that do not need one of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.onnx_runtime import OnnxRuntime
from tests.contract.app import CheckedClient, running, settings_for


def open_runtime(name: str) -> Any:
    if name == "onnx":
        return OnnxRuntime
    from training.keras_runtime import KerasRuntime

    return KerasRuntime


@pytest.fixture(scope="session", params=["onnx", "tensorflow"])
def client(
    request: pytest.FixtureRequest, trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CheckedClient]:
    """The service over the tiny model, once with each runtime. Tests name assets of their own."""
    settings = settings_for(trained_store, tmp_path_factory.mktemp("state"), default_model="tiny")
    with running(settings, open_runtime(request.param)) as client:
        yield client


@pytest.fixture(scope="session")
def onnx_client(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckedClient]:
    """The same with the default runtime only: for what no runtime has a say in."""
    with running(settings_for(trained_store, tmp_path_factory.mktemp("state"))) as client:
        yield client
