"""Training through the door of the retired Azure API: the real client, a real service, a real training."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.ai.anomalydetector import models as azure
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.e2e.server import ROOT, Server, serving
from tests.plant import SENSORS, START, recording, to_csv

# What matters here is that there is one.
MODELS = ROOT / "models"
ROWS = 1200
RECIPE = """
window_steps = 28
minimum_steps = 4
units = [6]
batch_size = 32
reconstruction_steps = {steps}
joint_steps = {steps}
baseline = "pooled"
baseline_rows = 100
"""


def moment(row: int) -> datetime:
    return datetime.fromtimestamp(START + row, UTC)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Settings of a service that trains quickly, from a copy of a container."""
    container = tmp_path / "blobs" / "container"
    container.mkdir(parents=True)
    (container / "normal.csv").write_text(to_csv(recording("normal", ROWS, seed=8, labelled=False)))
    (container / "words.csv").write_text("timestamp,Pressure\nnever,high\n")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(steps=40))
    return {
        "OFFNORMAL_DATA_ROOT": str(tmp_path / "blobs"),
        "OFFNORMAL_TRAIN_RECIPE": str(tmp_path / "recipe.toml"),
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def client_of(server: Server) -> AnomalyDetectorClient:
    return AnomalyDetectorClient(server.url, AzureKeyCredential("unused"))


def info(source: str = "container/normal.csv", **others: Any) -> azure.ModelInfo:
    fields = {
        "data_source": source,
        "data_schema": "OneTable",
        "start_time": moment(0),
        "end_time": moment(ROWS),
        "display_name": "Pump 7",
        "align_policy": azure.AlignPolicy(align_mode="Outer", fill_n_a_method="Linear", padding_value=0),
        **others,
    }
    return azure.ModelInfo(**fields)


def until_status(
    client: AnomalyDetectorClient, model_id: str, ended: Callable[[str], bool], limit_s: float = 240.0
) -> azure.AnomalyDetectionModel:
    limit = time.monotonic() + limit_s
    while True:
        model = client.get_multivariate_model(model_id)
        if ended(model.model_info.status):
            return model
        assert time.monotonic() < limit, model
        time.sleep(0.2)


def is_over(status: str) -> bool:
    return status in ("READY", "FAILED")


def last_of(client: AnomalyDetectorClient, model_id: str, size: float) -> azure.AnomalyState:
    run = recording("live", 28, seed=77, fault=(0, 28) if size else None, size=size)
    stamps = [moment(row).isoformat() for row in range(28)]
    variables = [
        azure.VariableValues(variable=name, timestamps=stamps, values=run.values[:, index].tolist())
        for index, name in enumerate(SENSORS)
    ]
    options = azure.MultivariateLastDetectionOptions(variables=variables, top_contributor_count=3)
    (state,) = client.detect_multivariate_last_anomaly(model_id, options).results
    return state


def test_model_is_trained_answers_and_is_removed(
    store: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    """From the first call to the last, as a client of the retired service makes them."""
    with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
        begun = client.train_multivariate_model(info())
        assert begun.model_info.status in ("CREATED", "RUNNING")
        with pytest.raises(HttpResponseError) as caught:
            client.train_multivariate_model(info())
        assert (caught.value.status_code, caught.value.model.code) == (400, "TooManyRunningModels")
        with pytest.raises(HttpResponseError) as caught:
            last_of(client, begun.model_id, 0)
        assert (caught.value.status_code, caught.value.model.code) == (400, "ModelNotReady")

        model = until_status(client, begun.model_id, is_over)
        assert model.model_info.status == "READY", model.model_info.errors
        assert model["model"]["version"] == 1
        assert model["model"]["name"].startswith("pump-7-")
        assert model.model_info.display_name == "Pump 7"
        assert next(iter(client.list_multivariate_models())).model_id == begun.model_id

        assert last_of(client, begun.model_id, 0).value.is_anomaly is False
        assert last_of(client, begun.model_id, 30.0).value.is_anomaly is True

        client.delete_multivariate_model(begun.model_id)
        assert sorted(path.name for path in store.iterdir()) == sorted(path.name for path in MODELS.iterdir())
        with pytest.raises(ResourceNotFoundError):
            client.get_multivariate_model(begun.model_id)


def test_training_that_fails_says_why_and_its_model_does_not_detect(
    store: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
        begun = client.train_multivariate_model(info("container/words.csv"))
        model = until_status(client, begun.model_id, is_over)
        assert model.model_info.status == "FAILED"
        assert "words.csv" in model.model_info.errors[0].message
        with pytest.raises(HttpResponseError) as caught:
            last_of(client, begun.model_id, 0)
        assert (caught.value.status_code, caught.value.model.code) == (400, "ModelFailed")
        client.delete_multivariate_model(begun.model_id)


def children_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_training_ends_with_the_service_and_is_noted_as_failed(
    store: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.format(steps=100_000))
    with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
        begun = client.train_multivariate_model(info())
        until_status(client, begun.model_id, "RUNNING".__eq__)
        limit = time.monotonic() + 20
        while not (children := children_of(server.process.pid)):
            assert time.monotonic() < limit
            time.sleep(0.05)
        assert server.stop() == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)
    with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
        model = client.get_multivariate_model(begun.model_id)
    assert model.model_info.status == "FAILED"
    assert "the service was stopped" in model.model_info.errors[0].message


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_training_whose_service_is_killed_is_failed_and_another_may_begin(
    store: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.format(steps=100_000))
    with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
        begun = client.train_multivariate_model(info())
        until_status(client, begun.model_id, "RUNNING".__eq__)
        limit = time.monotonic() + 20
        while not (children := children_of(server.process.pid)):
            assert time.monotonic() < limit
            time.sleep(0.05)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
    try:
        with serving(store, tmp_path / "state", **variables) as server, client_of(server) as client:
            model = client.get_multivariate_model(begun.model_id)
            assert model.model_info.status == "FAILED"
            again = client.train_multivariate_model(info("container/words.csv"))
            assert until_status(client, again.model_id, is_over).model_info.status == "FAILED"
    finally:
        for child in children:
            if Path(f"/proc/{child}").exists():
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"sliding_window": 27}, "InvalidSlidingWindow", id="window too short"),
        pytest.param({"sliding_window": 2881}, "InvalidSlidingWindow", id="window too long"),
        pytest.param(
            {"align_policy": azure.AlignPolicy(align_mode="Both")}, "InvalidAlignMode", id="alignment"
        ),
        pytest.param(
            {"align_policy": azure.AlignPolicy(fill_n_a_method="Zero")}, "InvalidFillNAMethod", id="zeros"
        ),
        pytest.param({"data_schema": "MultiTable"}, "BadArgument", id="a file as a folder"),
        pytest.param({"source": "container"}, "BadArgument", id="a folder as a file"),
        pytest.param({"source": "../x.csv"}, "InvalidBlobURL", id="outside"),
        pytest.param({"start_time": "soon"}, "InvalidTimestampFormat", id="no time"),
    ],
)
def test_training_that_makes_no_sense_is_refused_at_once(
    refusing: AnomalyDetectorClient, fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        refusing.train_multivariate_model(info(**fields))
    assert (caught.value.status_code, caught.value.model.code) == (400, code)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "blobs" / "container").mkdir(parents=True)
    (folder / "blobs" / "container" / "normal.csv").write_text("timestamp,Pressure\n")
    variables = {"OFFNORMAL_DATA_ROOT": str(folder / "blobs")}
    with serving(MODELS, folder / "state", **variables) as server, client_of(server) as client:
        yield client
