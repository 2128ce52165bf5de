"""The Open Inference Protocol over HTTP: a server process, and the client that people have, tritonclient."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from detector.onnx_runtime import OnnxRuntime
from service.app import create_app
from tests.contract.app import by_sensor, rows, settings_for, until
from tests.contract.inference import OUTPUTS, WINDOWS, as_values, check_equal, classified
from tests.e2e.server import Server, serving
from tests.plant import SENSORS, normal_operation

INFER = "/v2/models/tiny/infer"
FLAT = [reading for row in rows() for reading in row]


@pytest.fixture(scope="module")
def server(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        trained_store, tmp_path_factory.mktemp("state"), OFFNORMAL_MAX_WINDOWS="64", OFFNORMAL_MAX_STEPS="500"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with client_of(server.url) as client:
        yield client


def client_of(url: str) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(url.removeprefix("http://"), network_timeout=30)


def tensor(name: str, array: Any, datatype: str = "FP64", binary: bool = True) -> triton.InferInput:
    array = np.asarray(array)
    made = triton.InferInput(name, list(array.shape), datatype)
    return made.set_data_from_numpy(array, binary_data=binary)


def wanted(*names: str, binary: bool = True) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def refused(client: triton.InferenceServerClient, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Status and message of a call that must fail."""
    with pytest.raises(InferenceServerException) as caught:
        client.infer(*arguments, **options)
    return caught.value.status(), caught.value.message()


def asked(**fields: Any) -> dict[str, Any]:
    """The JSON of a request for one window, changed."""
    window = {"name": "window", "shape": [1, 12, 3], "datatype": "FP64", "data": FLAT}
    return {"inputs": [window], **fields}


def infer(server: Server, content: bytes | dict[str, Any], **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(server.url + INFER, content=body, headers=named, timeout=20)


def test_server_and_models_say_that_they_are_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "9")
    assert not client.is_model_ready("other")


def test_server_names_its_extensions(client: triton.InferenceServerClient) -> None:
    described = client.get_server_metadata()
    assert described["name"] == "offnormal"
    assert described["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("version", ["", "1", "2"], ids=["newest", "1", "2"])
def test_model_names_its_tensors_sensors_version_and_hash(
    server: Server, client: triton.InferenceServerClient, version: str
) -> None:
    described = client.get_model_metadata("tiny", version)
    own = server.get(f"/models/tiny{version and f'?version={version}'}").json()
    assert described["name"] == "tiny"
    assert described["versions"] == ["2", "1"]
    assert {item["name"]: item["shape"] for item in described["inputs"]} == {
        "window": [-1, -1, 3],
        "lengths": [-1],
        "mask": [-1, -1, 3],
        "asset": [-1],
    }
    assert tuple(item["name"] for item in described["outputs"]) == OUTPUTS
    parameters = described["parameters"]
    assert parameters["version"] == str(own["version"])
    assert parameters["sha256"] == own["sha256"]
    assert json.loads(parameters["sensors"]) == list(SENSORS)
    assert json.loads(parameters["classes"]) == own["classes"]
    assert (parameters["steps"], parameters["minimum_steps"]) == (12, 4)


@pytest.mark.parametrize("there", [True, False], ids=["binary in", "json in"])
@pytest.mark.parametrize("back", [True, False], ids=["binary out", "json out"])
def test_answers_are_those_of_classify(
    server: Server, client: triton.InferenceServerClient, there: bool, back: bool
) -> None:
    result = client.infer(
        "tiny", [tensor("window", WINDOWS, binary=there)], outputs=wanted(*OUTPUTS, binary=back)
    )
    answer = classified(server.url, [{"values": window.tolist()} for window in WINDOWS])
    assert {item["verdict"] for item in answer["results"]} == {"normal", "anomalous", "cannot_judge"}
    check_equal(result, answer, 12)
    for output in result.get_response()["outputs"]:
        assert ("data" in output) != back
        assert ("binary_data_size" in output.get("parameters", {})) == back


def test_single_precision_is_read_as_it_is(server: Server, client: triton.InferenceServerClient) -> None:
    single = WINDOWS.astype(np.float32)
    result = client.infer("tiny", [tensor("window", single, "FP32")])
    check_equal(result, classified(server.url, [{"values": w.tolist()} for w in single]), 12)


def test_everything_is_answered_where_no_outputs_are_named(client: triton.InferenceServerClient) -> None:
    response = client.infer("tiny", [tensor("window", WINDOWS)]).get_response()
    assert tuple(output["name"] for output in response["outputs"]) == OUTPUTS
    assert all("binary_data_size" in output["parameters"] for output in response["outputs"])


def test_outputs_come_in_the_order_and_the_form_that_each_is_wanted_in(
    client: triton.InferenceServerClient,
) -> None:
    outputs = [*wanted("verdict", binary=False), *wanted("p_value")]
    result = client.infer("tiny", [tensor("window", WINDOWS)], outputs=outputs)
    verdict, p_value = result.get_response()["outputs"]
    assert verdict["data"] == ["normal", "anomalous", "cannot_judge"]
    assert p_value["parameters"] == {"binary_data_size": 24}
    assert result.as_numpy("p_value").shape == (3,)


@pytest.mark.parametrize("datatype", ["INT32", "INT64", "UINT8"])
def test_windows_of_different_lengths_are_padded(
    server: Server, client: triton.InferenceServerClient, datatype: str
) -> None:
    lengths = [12, 7, 4]
    padded = np.where(np.arange(12)[None, :, None] < np.array(lengths)[:, None, None], WINDOWS, 1e9)
    given = np.array(lengths, {"INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8}[datatype])
    result = client.infer("tiny", [tensor("window", padded), tensor("lengths", given, datatype)])
    windows = [{"values": w[:n].tolist()} for w, n in zip(WINDOWS, lengths, strict=True)]
    check_equal(result, classified(server.url, windows), 12)
    assert np.isnan(result.as_numpy("reconstruction")[1, 7:]).all()


def test_of_a_window_that_is_longer_than_the_models_the_newest_steps_are_judged(
    server: Server, client: triton.InferenceServerClient
) -> None:
    long = normal_operation(20, 5)
    result = client.infer("tiny", [tensor("window", long[None])])
    check_equal(result, classified(server.url, [{"values": long.tolist()}]), 20)
    reconstruction = result.as_numpy("reconstruction")[0]
    assert np.isnan(reconstruction[:8]).all()
    assert not np.isnan(reconstruction[8:]).any()


@pytest.mark.parametrize("how", ["nan", "mask", "null"])
def test_missing_readings_are_told_in_three_ways(
    server: Server, client: triton.InferenceServerClient, how: str
) -> None:
    missing = np.zeros((1, 12, 3), bool)
    missing[0, 3:6, 1] = missing[0, 8, 0] = True
    holed = np.where(missing, np.nan, WINDOWS[:1])
    answer = classified(server.url, [{"values": as_values(holed[0])}])
    assert {"sensor": "Flow", "issue": "gaps"} in answer["results"][0]["quality"]["issues"]
    if how == "nan":
        check_equal(client.infer("tiny", [tensor("window", holed)]), answer, 12)
    elif how == "mask":
        inputs = [tensor("window", np.where(missing, 0.0, WINDOWS[:1])), tensor("mask", ~missing, "BOOL")]
        check_equal(client.infer("tiny", inputs), answer, 12)
    else:
        body = asked()
        body["inputs"][0]["data"] = as_values(holed[0].reshape(1, 36))[0]
        (p_value,) = (o for o in infer(server, body).json()["outputs"] if o["name"] == "p_value")
        assert p_value["data"][0] == pytest.approx(answer["results"][0]["p_value"], abs=1e-6)


def test_json_has_null_where_there_is_no_number(client: triton.InferenceServerClient) -> None:
    outputs = wanted("p_value", "probabilities", binary=False)
    result = client.infer("tiny", [tensor("window", WINDOWS[2:])], outputs=outputs)
    assert [output["data"] for output in result.get_response()["outputs"]] == [[None], [None, None]]
    assert np.isnan(result.as_numpy("probabilities").astype(float)).all()


def test_data_may_be_nested_as_the_shape_says(server: Server) -> None:
    nested = asked()
    nested["inputs"][0]["data"] = [rows()]
    assert infer(server, nested).json()["outputs"] == infer(server, asked()).json()["outputs"]


def test_answer_names_model_version_hash_and_request(
    server: Server, client: triton.InferenceServerClient
) -> None:
    window = [tensor("window", WINDOWS)]
    for version in ("1", "2"):
        response = client.infer("tiny", window, model_version=version, request_id="a-7").get_response()
        assert (response["model_name"], response["model_version"], response["id"]) == ("tiny", version, "a-7")
        own = server.get(f"/models/tiny?version={version}").json()
        assert response["parameters"]["sha256"] == own["sha256"]
    assert "id" not in client.infer("tiny", window).get_response()


def test_windows_of_assets_are_judged_by_their_baselines(
    server: Server, client: triton.InferenceServerClient
) -> None:
    moved = normal_operation(400, 11) + np.array([1.0, 0.0, 0.0])
    body = {"readings": by_sensor(moved.tolist())}
    assert httpx.put(f"{server.url}/assets/P-7/baseline", json=body, timeout=60).status_code == 201
    window = np.array([moved[:12], moved[:12]])
    plain, own = ({"values": moved[:12].tolist(), "asset": asset} for asset in ("none", "P-7"))
    common = client.infer("tiny", [tensor("window", window)], parameters={"asset": "P-7"})
    check_equal(common, classified(server.url, [own, own]), 12)
    names = tensor("asset", np.array([b"", b"P-7"], object), "BYTES")
    each = client.infer("tiny", [tensor("window", window), names])
    check_equal(each, classified(server.url, [plain, own]), 12)
    assert each.as_numpy("verdict").tolist() == [b"anomalous", b"normal"]
    names = tensor("asset", np.array([b"", b"P-7"], object), "BYTES", binary=False)
    assert client.infer("tiny", [tensor("window", window), names]).as_numpy("verdict").tolist() == [
        b"anomalous",
        b"normal",
    ]


@pytest.mark.parametrize("rate", [0.3, "0.3"], ids=["number", "text"])
def test_alarm_budget_is_a_parameter_and_is_told(
    server: Server, client: triton.InferenceServerClient, rate: Any
) -> None:
    windows = np.stack([normal_operation(12, seed) for seed in range(40)])
    result = client.infer("tiny", [tensor("window", windows)], parameters={"false_alarm_rate": rate})
    answer = classified(server.url, [{"values": w.tolist()} for w in windows], false_alarm_rate=0.3)
    check_equal(result, answer, 12)
    assert result.get_response()["parameters"]["false_alarm_rate"] == 0.3
    unasked = client.infer("tiny", [tensor("window", windows)])
    assert unasked.get_response()["parameters"]["false_alarm_rate"] == 0.05
    assert unasked.as_numpy("verdict").tolist() != result.as_numpy("verdict").tolist()


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_compressed_request_is_read(client: triton.InferenceServerClient, binary: bool) -> None:
    inputs = [tensor("window", WINDOWS, binary=binary)]
    result = client.infer("tiny", inputs, request_compression_algorithm="gzip")
    assert result.as_numpy("verdict").tolist() == [b"normal", b"anomalous", b"cannot_judge"]


def test_members_and_parameters_that_the_service_does_not_know_are_passed_over(server: Server) -> None:
    body = asked(parameters={"priority": 3, "somebodys": "own"}, novelty={"a": [1]})
    body["inputs"][0] |= {"parameters": {"content_type": "np"}, "comment": "x"}
    response = infer(server, body)
    assert response.status_code == 200
    assert response.json()["outputs"] == infer(server, asked()).json()["outputs"]


WINDOW = WINDOWS[:1]
INFINITE = WINDOWS.copy()
INFINITE[1, 4, 2] = np.inf
REFUSED: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    "no window": ([tensor("lengths", np.array([12], np.int32), "INT32")], {}, "422", "`window` is missing"),
    "unknown input": (
        [tensor("window", WINDOW), tensor("windw", WINDOW)],
        {},
        "422",
        "inputs[1]: there is no input 'windw'",
    ),
    "input twice": ([tensor("window", WINDOW)] * 2, {}, "422", "given twice"),
    "unknown output": ([tensor("window", WINDOW)], {"outputs": wanted("alarm")}, "422", "no output 'alarm'"),
    "output twice": ([tensor("window", WINDOW)], {"outputs": wanted("p_value") * 2}, "422", "wanted twice"),
    "other type": ([tensor("window", WINDOW.astype(np.int32), "INT32")], {}, "422", "FP32 or FP64"),
    "half precision": ([tensor("window", WINDOW.astype(np.float16), "FP16")], {}, "422", "FP32 or FP64"),
    "no batch": ([tensor("window", WINDOW[0])], {}, "422", "[windows, steps, 3]"),
    "other sensors": ([tensor("window", WINDOW[:, :, :2])], {}, "422", "Pressure, Flow, Temperature"),
    "no windows": ([tensor("window", WINDOW[:0])], {}, "422", "at least one window"),
    "too many windows": ([tensor("window", np.zeros((65, 12, 3)))], {}, "422", "at most 64"),
    "too many steps": ([tensor("window", np.zeros((1, 501, 3)))], {}, "422", "at most 500"),
    "too few steps": ([tensor("window", WINDOW[:, :3])], {}, "422", "at least 4 steps"),
    "infinite": ([tensor("window", INFINITE)], {}, "422", "window[1][4][2] is infinite"),
    "length beyond": (
        [tensor("window", WINDOW), tensor("lengths", np.array([13], np.int32), "INT32")],
        {},
        "422",
        "lengths[0] is 13",
    ),
    "length below zero": (
        [tensor("window", WINDOW), tensor("lengths", np.array([-1], np.int32), "INT32")],
        {},
        "422",
        "lengths[0] is -1",
    ),
    "too few lengths": (
        [tensor("window", WINDOWS), tensor("lengths", np.array([12], np.int32), "INT32")],
        {},
        "422",
        "one for each window",
    ),
    "lengths of another type": (
        [tensor("window", WINDOW), tensor("lengths", np.array([12.0]))],
        {},
        "422",
        "an integer type",
    ),
    "mask of another shape": (
        [tensor("window", WINDOW), tensor("mask", np.ones((1, 12), bool), "BOOL")],
        {},
        "422",
        "[1, 12, 3]",
    ),
    "mask of another type": (
        [tensor("window", WINDOW), tensor("mask", np.ones((1, 12, 3)))],
        {},
        "422",
        "expected: BOOL",
    ),
    "bad asset": ([tensor("window", WINDOW)], {"parameters": {"asset": " P"}}, "422", "parameters.asset"),
    "asset twice": (
        [tensor("window", WINDOW), tensor("asset", np.array([b"P"], object), "BYTES")],
        {"parameters": {"asset": "P"}},
        "422",
        "one of the two",
    ),
    "no rate": (
        [tensor("window", WINDOW)],
        {"parameters": {"false_alarm_rate": "x"}},
        "422",
        "false_alarm_rate",
    ),
    "rate too small": (
        [tensor("window", WINDOW)],
        {"parameters": {"false_alarm_rate": 1e-9}},
        "422",
        "expected: at least 0.00",
    ),
    "no time": ([tensor("window", WINDOW)], {"timeout": -1}, "422", "parameters.timeout"),
    "classification": (
        [tensor("window", WINDOW)],
        {"outputs": [triton.InferRequestedOutput("probabilities", class_count=1)]},
        "422",
        "`classification` is not offered",
    ),
    "no such model": ([tensor("window", WINDOW)], {"model_name": "other"}, "404", "loaded are: tiny"),
    "no such version": ([tensor("window", WINDOW)], {"model_version": "9"}, "404", "version 9"),
    "no version": ([tensor("window", WINDOW)], {"model_version": "newest"}, "404", "versions are numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_request_that_cannot_be_answered_is_refused_with_its_place(
    client: triton.InferenceServerClient, case: str
) -> None:
    inputs, options, status, words = REFUSED[case]
    options = {"model_name": "tiny", **options}
    given_status, message = refused(client, inputs=inputs, **options)
    assert given_status == status
    assert words in message


def test_shared_memory_is_refused(client: triton.InferenceServerClient) -> None:
    elsewhere = triton.InferInput("window", [1, 12, 3], "FP64")
    elsewhere.set_shared_memory("region", 288)
    assert refused(client, "tiny", [elsewhere]) == (
        "422",
        "inputs[0].parameters.shared_memory_region: `shared_memory_region` is not offered",
    )


def test_nan_in_json_is_refused_with_what_to_write_instead(client: triton.InferenceServerClient) -> None:
    status, message = refused(client, "tiny", [tensor("window", np.full((1, 12, 3), np.nan), binary=False)])
    assert status == "400"
    assert "a missing reading is null" in message


def with_input(**changes: Any) -> dict[str, Any]:
    body = asked()
    body["inputs"][0] |= changes
    return body


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "not JSON"),
        (b"[]", {}, 422, "object"),
        (b'{"inputs": 3}', {}, 422, "inputs"),
        (with_input(shape=[1, 12, -3]), {}, 422, "inputs[0].data.shape"),
        (with_input(shape=[1, 12, 4]), {}, 422, "48 elements"),
        (with_input(shape=[1, 11, 3], data=[rows()]), {}, 422, "nested as [1, 11, 3]"),
        (with_input(data=[[*rows()[:11], [1.0]]]), {}, 422, "lists of equal length"),
        (with_input(data=[1.0] * 35 + ["x"]), {}, 422, "inputs[0].data[35] is a string"),
        (with_input(data=[[*rows()[:11], [1.0, "x", 1.0]]]), {}, 422, "inputs[0].data[0][11][1]"),
        (with_input(datatype="FLOAT"), {}, 422, "one of BOOL"),
        (with_input(parameters={"binary_data_size": 288}), {}, 422, "0 are left in the body"),
        (asked(parameters={"a": []}), {}, 422, "parameters"),
        (asked(parameters={"binary_data_output": 1}), {}, 422, "binary_data_output"),
        (asked(), {"Inference_Header_Content_Length": "99999"}, 422, "Inference-Header-Content-Length"),
        (asked(), {"Inference_Header_Content_Length": "-1"}, 422, "Inference-Header-Content-Length"),
        (json.dumps(asked()).encode(), {"Content_Type": "text/plain"}, 415, "application/octet-stream"),
        (asked(), {"Content_Encoding": "br"}, 415, "gzip"),
    ],
    ids=[
        *("empty", "no object", "inputs no list", "impossible shape", "fewer elements", "other nesting"),
        *("ragged", "a string among numbers", "a string deep inside", "no such type", "no binary data"),
        *("a list as parameter", "no truth", "header beyond body", "header below zero", "media type"),
        "encoding",
    ],
)
def test_malformed_request_is_refused_in_the_protocols_words(
    server: Server, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    response = infer(server, body, **headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert words in answer["error"]
    assert answer["request_id"] == response.headers["x-request-id"]


def binary_body(extra: bytes = b"", **parameters: Any) -> tuple[bytes, str]:
    content = WINDOWS[:1].tobytes() + extra
    given = {"name": "window", "shape": [1, 12, 3], "datatype": "FP64", "parameters": parameters}
    head = json.dumps({"inputs": [given]}).encode()
    return head + content, str(len(head))


@pytest.mark.parametrize(
    ("extra", "size", "words"),
    [
        (b"", 287, "287 bytes of data; expected: 288 bytes"),
        (b"", 289, "289 bytes, 288 are left"),
        (b"", "288", "288 bytes, 288 are left in the body; expected"),
        (b"", -1, "says -1 bytes"),
        (b"more", 288, "4 bytes behind the JSON belong to no input"),
    ],
    ids=["too few", "too many", "as text", "below zero", "left over"],
)
def test_binary_data_of_another_size_than_it_says_are_refused(
    server: Server, extra: bytes, size: Any, words: str
) -> None:
    body, head = binary_body(extra, binary_data_size=size)
    response = infer(server, body, Inference_Header_Content_Length=head)
    assert response.status_code == 422
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    "path", ["/v2/nothing", "/v2/models", "/v2/models/tiny/versions/1/config", "/v2/repository/index"]
)
def test_paths_that_are_not_offered_are_not_found_in_the_protocols_words(server: Server, path: str) -> None:
    response = server.get(path)
    assert response.status_code == 404
    assert path in response.json()["error"]


def test_limit_of_a_body_holds_here_too(trained_store: Path, tmp_path: Path) -> None:
    small = {"OFFNORMAL_MAX_BODY_MB": "0.5", "OFFNORMAL_MAX_BODIES_MB": "0.5"}
    windows = np.tile(WINDOWS[:1], (1000, 1, 1))
    with serving(trained_store, tmp_path, **small) as server, client_of(server.url) as client:
        status, message = refused(client, "tiny", [tensor("window", np.tile(windows, (2, 1, 1)))])
        assert (status, "at most 0.5 MB" in message) == ("413", True)
        # Half of a body that is sent no further keeps its part of the memory set aside for bodies.
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 450000\r\n\r\n"
            slow.sendall(head.encode() + b" " * 400_000)
            until(lambda: held(server) >= 400_000)
            status, message = refused(client, "tiny", [tensor("window", windows)])
            assert (status, "memory set aside" in message) == ("429", True)
            assert infer(server, b" " * 288_000).headers["retry-after"] == "1"
        until(lambda: held(server) == 0)
        assert client.infer("tiny", [tensor("window", windows)]).as_numpy("p_value").shape == (1000,)


def held(server: Server) -> float:
    lines = server.get("/metrics").text.splitlines()
    (line,) = (line for line in lines if line.startswith("offnormal_body_bytes "))
    return float(line.split()[1])


@pytest.mark.parametrize(
    "patience",
    [{"timeout": 1}, {"headers": {"Request-Timeout": "0.000001"}}],
    ids=["parameter in microseconds", "header in seconds"],
)
def test_answer_that_comes_too_late_is_given_up(
    client: triton.InferenceServerClient, patience: dict[str, Any]
) -> None:
    status, _ = refused(client, "tiny", [tensor("window", WINDOWS)], **patience)
    assert status in {"504", "408"}
    assert status == "504" or "headers" in patience


def test_timeout_that_is_long_enough_changes_nothing(client: triton.InferenceServerClient) -> None:
    assert client.infer("tiny", [tensor("window", WINDOWS)], timeout=5_000_000).as_numpy("verdict").size == 3


def test_keys_open_what_their_roles_say(trained_store: Path, tmp_path: Path) -> None:
    entries = [
        {"name": role, "sha256": hashlib.sha256(f"{role}-key".encode()).hexdigest(), "roles": [role]}
        for role in ("classify", "read")
    ]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": entries}))
    with (
        serving(trained_store, tmp_path / "state", OFFNORMAL_KEYS_FILE=str(keys)) as server,
        client_of(server.url) as client,
    ):
        inputs = [tensor("window", WINDOWS)]
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.get_server_metadata()["name"] == "offnormal"
        assert not client.is_model_ready("tiny")
        assert refused(client, "tiny", inputs)[0] == "401"
        assert refused(client, "tiny", inputs, headers={"X-API-Key": "wrong"})[0] == "401"
        assert refused(client, "tiny", inputs, headers={"X-API-Key": "read-key"})[0] == "403"
        for headers in ({"X-API-Key": "classify-key"}, {"Authorization": "Bearer classify-key"}):
            assert client.infer("tiny", inputs, headers=dict(headers)).as_numpy("verdict").size == 3
            assert client.get_model_metadata("tiny", headers=dict(headers))["name"] == "tiny"
        assert client.is_model_ready("tiny", headers={"X-API-Key": "read-key"})
        response = httpx.get(f"{server.url}/v2/models/tiny")
        assert response.headers["www-authenticate"].startswith("Bearer")


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """An app in this process behind a socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def test_service_that_still_loads_says_so(trained_store: Path, tmp_path: Path) -> None:
    gate = threading.Event()

    class SlowToOpen(OnnxRuntime):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            gate.wait(30)
            super().__init__(*arguments, **options)

    app = create_app(settings_for(trained_store, tmp_path), SlowToOpen)
    with listening(app) as url, client_of(url) as client:
        try:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert httpx.get(f"{url}/v2/health/ready").status_code == 400
            assert httpx.get(f"{url}/v2/models/tiny/ready").json() == {"ready": False, "name": "tiny"}
            status, message = refused(client, "tiny", [tensor("window", WINDOWS)])
            assert (status, message) == ("503", "models are being loaded")
        finally:
            gate.set()
        until(client.is_server_ready)
        assert client.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("verdict").size == 3


def test_defect_of_the_service_tells_nothing_of_its_inside(trained_store: Path, tmp_path: Path) -> None:
    class Broken(OnnxRuntime):
        def run(self, batch: Any) -> Any:
            if len(batch) == 5:
                raise RuntimeError("secret inside")
            return super().run(batch)

    app = create_app(settings_for(trained_store, tmp_path), Broken)
    with listening(app) as url, client_of(url) as client:
        until(client.is_server_ready)
        status, message = refused(client, "tiny", [tensor("window", np.tile(WINDOWS[:1], (5, 1, 1)))])
        assert status == "500"
        assert message.startswith("Something went wrong inside the service.")
        assert client.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("verdict").size == 3


def test_description_of_the_service_is_about_its_own_paths(server: Server) -> None:
    assert not [path for path in server.get("/openapi.json").json()["paths"] if path.startswith("/v2")]
