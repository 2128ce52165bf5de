"""detect-batch: files on the server, judged while the real client comes back for the result."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.ai.anomalydetector import models as azure
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from detector import Detector, Options, Window
from history.read import read_file
from tests.contract.app import until
from tests.e2e.server import Server, serving
from tests.plant import SENSORS, START, recording, to_csv

ROWS, FAULT = 300, (200, 260)


def moment(row: int) -> datetime:
    return datetime.fromtimestamp(START + row, UTC)


def write_blobs(root: Path) -> None:
    """What a container held: one table, and a folder with a file for each variable."""
    container = root / "container"
    container.mkdir()
    run = recording("run", ROWS, seed=50, fault=FAULT, size=8.0, labelled=False)
    (container / "run.csv").write_text(to_csv(run).replace("time,", "timestamp,", 1))
    (container / "parts").mkdir()
    for index, name in enumerate(SENSORS):
        lines = [f"{moment(row).isoformat()},{run.values[row, index]:.6g}" for row in range(ROWS)]
        (container / "parts" / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    (container / "words.csv").write_text("timestamp,Pressure\nnever,high\n")
    slow = to_csv(run).splitlines()
    (container / "slow.csv").write_text("\n".join(slow[:1] + slow[1::10]) + "\n")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("blobs")
    write_blobs(root)
    return root


@pytest.fixture(scope="module")
def server(
    trained_store: Path, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("state")
    with serving(trained_store, state, OFFNORMAL_DATA_ROOT=str(data_root)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[AnomalyDetectorClient]:
    with AnomalyDetectorClient(server.url, AzureKeyCredential("unused")) as client:
        yield client


def begin(
    client: AnomalyDetectorClient, source: str, first: int = 0, last: int = ROWS - 1, top: int = 10
) -> azure.MultivariateDetectionResult:
    options = azure.MultivariateBatchDetectionOptions(
        data_source=source, top_contributor_count=top, start_time=moment(first), end_time=moment(last)
    )
    return client.detect_multivariate_batch_anomaly("tiny", options)


def finished(client: AnomalyDetectorClient, result_id: str) -> azure.MultivariateDetectionResult:
    found = []

    def ended() -> bool:
        found.append(client.get_multivariate_batch_detection_result(result_id))
        return found[-1].summary.status in ("READY", "FAILED")

    until(ended)
    return found[-1]


def detected(
    client: AnomalyDetectorClient, source: str, **arguments: Any
) -> azure.MultivariateDetectionResult:
    result = finished(client, begin(client, source, **arguments).result_id)
    assert result.summary.status == "READY", result.summary.errors
    return result


def test_detection_is_accepted_at_once_and_says_where_its_result_will_be(
    client: AnomalyDetectorClient,
) -> None:
    headers: dict[str, str] = {}
    options = {
        "dataSource": "container/run.csv",
        "startTime": STAMP,
        "endTime": STAMP,
        "topContributorCount": 3,
    }
    begun = client.detect_multivariate_batch_anomaly(
        "tiny", options, cls=lambda response, result, found: headers.update(found) or result
    )
    assert begun.summary.status == "CREATED"
    assert begun.summary.setup_info.data_source == "container/run.csv"
    assert headers["operation-id"] == begun.result_id
    assert httpx.get(headers["operation-location"]).json()["resultId"] == begun.result_id


STAMP = moment(20).isoformat()


def test_every_timestamp_is_judged_as_the_detector_judges_it(
    client: AnomalyDetectorClient, data_root: Path, tiny_detector: Detector
) -> None:
    results = detected(client, "container/run.csv").results
    assert [state.timestamp for state in results] == [moment(row) for row in range(ROWS)]
    values = read_file(data_root / "container" / "run.csv").values
    for row in (3, 100, 230):
        (verdict,) = tiny_detector.judge([Window(values[max(row - 11, 0) : row + 1])], Options(explain=True))
        assert results[row].value.score == pytest.approx(1 - verdict.p_value, abs=1e-6)
        assert results[row].value.is_anomaly == (verdict.ruling == "anomalous")


def test_fault_in_a_file_is_found_and_its_variable_named(client: AnomalyDetectorClient) -> None:
    results = detected(client, "container/run.csv", top=2).results
    inside = [state.value for state in results[212 : FAULT[1]]]
    assert np.mean([value.is_anomaly for value in inside]) > 0.9
    first = [value.interpretation[0].variable for value in inside if value.is_anomaly]
    assert first.count("Pressure") > 0.9 * len(first)
    assert max(len(value.interpretation) for value in inside) == 2
    assert np.mean([state.value.is_anomaly for state in results[3:200]]) < 0.2


def test_first_timestamps_have_too_little_before_them(client: AnomalyDetectorClient) -> None:
    results = detected(client, "container/run.csv").results
    assert [[error.code for error in state.errors] for state in results[:4]] == [
        ["InsufficientHistoricalData"]
    ] * 3 + [[]]
    assert [state.value is None for state in results[:4]] == [True, True, True, False]


def test_a_file_for_each_variable_gives_what_one_table_gives(client: AnomalyDetectorClient) -> None:
    one = detected(client, "container/run.csv")
    many = detected(client, "container/parts")
    assert [dict(state) for state in many.results] == [dict(state) for state in one.results]


def test_url_of_a_blob_is_found_below_the_root(client: AnomalyDetectorClient) -> None:
    url = "https://plant.blob.core.windows.net/container/run.csv?sv=2021&sig=secret"
    assert len(detected(client, url, first=0, last=20).results) == 21


def test_only_rows_between_start_and_end_are_judged(client: AnomalyDetectorClient) -> None:
    result = detected(client, "container/run.csv", first=100, last=149)
    assert [state.timestamp for state in result.results] == [moment(row) for row in range(100, 150)]
    (flow,) = (state for state in result.summary.variable_states if state.variable == "Flow")
    assert (flow.effective_count, flow.filled_n_a_ratio) == (50, 0.0)
    assert (flow.first_timestamp, flow.last_timestamp) == (moment(100), moment(149))


def test_result_names_model_version_and_hash(client: AnomalyDetectorClient) -> None:
    model = detected(client, "container/run.csv", last=20)["model"]
    assert (model["name"], model["version"], len(model["sha256"])) == ("tiny", 2, 64)


@pytest.mark.parametrize(
    ("source", "first", "code", "words"),
    [
        pytest.param("container/words.csv", 0, "ReadingFileError", "words.csv", id="no table"),
        pytest.param("container/run.csv", -1, "BadArgument", "no row between", id="no rows"),
        pytest.param("container/slow.csv", 0, "MergeDataFailed", "apart", id="another pace"),
    ],
)
def test_data_that_cannot_be_judged_fail_the_detection_with_the_reason(
    client: AnomalyDetectorClient, source: str, first: int, code: str, words: str
) -> None:
    last = ROWS if first == 0 else -1
    summary = finished(client, begin(client, source, first=first, last=last).result_id).summary
    assert summary.status == "FAILED"
    assert [error.code for error in summary.errors] == [code]
    assert words in summary.errors[0].message


@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param("container/none.csv", "FileNotExist", id="absent"),
        pytest.param("../secret.csv", "InvalidBlobURL", id="upwards"),
        pytest.param("container/../../secret.csv", "InvalidBlobURL", id="upwards from inside"),
        pytest.param("/etc/passwd", "InvalidBlobURL", id="absolute"),
        pytest.param("https://h/container/%2e%2e/%2e%2e/secret.csv", "InvalidBlobURL", id="encoded"),
        pytest.param("https://h/", "InvalidBlobURL", id="host alone"),
        pytest.param("file:///etc/passwd", "InvalidBlobURL", id="file URL"),
        pytest.param("container/\x00run.csv", "InvalidBlobURL", id="null byte"),
        pytest.param("link.csv", "InvalidBlobURL", id="symlink to outside"),
        pytest.param("container/" + "x" * 5000, "InvalidBlobURL", id="long"),
    ],
)
def test_source_outside_the_root_is_refused(
    client: AnomalyDetectorClient, data_root: Path, source: str, code: str
) -> None:
    (data_root.parent / "secret.csv").write_text("timestamp,Pressure\n")
    link = data_root / "link.csv"
    if not link.is_symlink():
        link.symlink_to(data_root.parent / "secret.csv")
    with pytest.raises(HttpResponseError) as caught:
        begin(client, source)
    assert (caught.value.status_code, caught.value.model.code) == (400, code)
    assert "root:" not in caught.value.model.message


def test_end_before_start_is_refused(client: AnomalyDetectorClient) -> None:
    with pytest.raises(HttpResponseError) as caught:
        begin(client, "container/run.csv", first=10, last=9)
    assert (caught.value.status_code, caught.value.model.code) == (400, "BadArgument")


@pytest.mark.parametrize("result_id", ["nothing", "9b2f3c1e-0000-0000-0000-000000000000", "..%2Fx"])
def test_result_that_is_not_there_does_not_exist(client: AnomalyDetectorClient, result_id: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        client.get_multivariate_batch_detection_result(result_id)


def test_without_a_root_no_file_is_read(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path) as server:
        client = AnomalyDetectorClient(server.url, AzureKeyCredential("unused"))
        with client, pytest.raises(HttpResponseError) as caught:
            begin(client, "container/run.csv")
    assert (caught.value.status_code, caught.value.model.code) == (403, "StorageReadError")
    assert "OFFNORMAL_DATA_ROOT" in caught.value.model.message


def long_file(root: Path, rows: int) -> str:
    run = recording("long", rows, seed=3, labelled=False)
    (root / "container" / "long.csv").write_text(to_csv(run))
    return "container/long.csv"


def test_results_outlive_the_service_and_what_was_cut_off_says_so(
    trained_store: Path, data_root: Path, tmp_path: Path
) -> None:
    """The whole service is killed while it detects; another one answers for it."""
    source = long_file(data_root, 20_000)
    variables = {"OFFNORMAL_DATA_ROOT": str(data_root), "OFFNORMAL_BATCH_WINDOWS": "16"}
    with serving(trained_store, tmp_path, **variables) as server:
        client = AnomalyDetectorClient(server.url, AzureKeyCredential("unused"))
        whole = detected(client, "container/run.csv", last=30)
        cut_off = begin(client, source, last=20_000).result_id
        until(lambda: client.get_multivariate_batch_detection_result(cut_off).summary.status == "RUNNING")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
    with serving(trained_store, tmp_path, **variables) as server:
        client = AnomalyDetectorClient(server.url, AzureKeyCredential("unused"))
        again = client.get_multivariate_batch_detection_result(whole.result_id)
        assert again == whole
        summary = client.get_multivariate_batch_detection_result(cut_off).summary
    assert summary.status == "FAILED"
    assert "ended before its time" in summary.errors[0].message


def test_detection_under_way_does_not_hold_up_single_windows(
    client: AnomalyDetectorClient, data_root: Path
) -> None:
    result = begin(client, long_file(data_root, 20_000), last=20_000)
    stamps = [moment(row).isoformat() for row in range(12)]
    run = recording("one", 12, seed=1)
    variables = [
        {"variable": name, "timestamps": stamps, "values": run.values[:, index].tolist()}
        for index, name in enumerate(SENSORS)
    ]
    waits = []
    while client.get_multivariate_batch_detection_result(result.result_id).summary.status != "READY":
        started = time.monotonic()
        client.detect_multivariate_last_anomaly("tiny", {"variables": variables})
        waits.append(time.monotonic() - started)
    assert waits
    assert max(waits) < 2.0
