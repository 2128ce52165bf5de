"""The Open Inference Protocol over gRPC: a server process, and the client that people have, tritonclient."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.contract.app import by_sensor, until
from tests.contract.inference import OUTPUTS, WINDOWS, check_equal, classified, free_port
from tests.e2e.server import ROOT, Server, serving
from tests.e2e.test_tls import make
from tests.e2e.test_workers import ESTABLISHED, pids
from tests.plant import SENSORS, normal_operation

NAME = "inference.GRPCInferenceService"
# Otherwise all clients of one process share a connection.
APART = [("grpc.use_local_subchannel_pool", 1)]
SERVING = health_pb2.HealthCheckResponse.SERVING


@contextmanager
def serving_grpc(store: Path, state: Path, **variables: str) -> Iterator[tuple[Server, str]]:
    """A server that is ready, and the address of its gRPC."""
    port = str(free_port())
    with serving(store, state, OFFNORMAL_GRPC_PORT=port, **variables) as server:
        yield server, f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def service(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    state = tmp_path_factory.mktemp("state")
    limits = {"OFFNORMAL_MAX_WINDOWS": "64", "OFFNORMAL_MAX_STEPS": "500", "OFFNORMAL_MAX_BODY_MB": "1"}
    with serving_grpc(trained_store, state, **limits) as service:
        yield service


@pytest.fixture(scope="module")
def server(service: tuple[Server, str]) -> Server:
    return service[0]


@pytest.fixture(scope="module")
def client(service: tuple[Server, str]) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(service[1]) as client:
        yield client


@pytest.fixture(scope="module")
def channel(service: tuple[Server, str]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(service[1]) as channel:
        yield channel


def tensor(name: str, array: Any, datatype: str = "FP64") -> triton.InferInput:
    array = np.asarray(array)
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array)


def wanted(*names: str) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]


def refused(client: triton.InferenceServerClient, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Status and message of a call that must fail."""
    with pytest.raises(InferenceServerException) as caught:
        client.infer(*arguments, **options)
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def parameter(response: Any, name: str) -> Any:
    value = response.parameters[name]
    return getattr(value, value.WhichOneof("parameter_choice"))


def test_server_and_models_say_that_they_are_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    with pytest.raises(InferenceServerException, match="loaded are: 2, 1"):
        client.is_model_ready("tiny", "9")


def test_server_and_model_describe_themselves(client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata().name == "offnormal"
    described = client.get_model_metadata("tiny", "1")
    assert (described.name, list(described.versions)) == ("tiny", ["2", "1"])
    assert [(item.name, list(item.shape)) for item in described.inputs] == [
        ("window", [-1, -1, 3]),
        ("lengths", [-1]),
        ("mask", [-1, -1, 3]),
        ("asset", [-1]),
    ]
    assert tuple(item.name for item in described.outputs) == OUTPUTS


def test_answers_are_those_of_classify(server: Server, client: triton.InferenceServerClient) -> None:
    answer = classified(server.url, [{"values": window.tolist()} for window in WINDOWS])
    check_equal(client.infer("tiny", [tensor("window", WINDOWS)]), answer, 12)
    single = WINDOWS.astype(np.float32)
    answer = classified(server.url, [{"values": window.tolist()} for window in single])
    check_equal(client.infer("tiny", [tensor("window", single, "FP32")]), answer, 12)


def test_lengths_mask_and_assets_are_read(server: Server, client: triton.InferenceServerClient) -> None:
    moved = normal_operation(400, 11) + np.array([1.0, 0.0, 0.0])
    body = {"readings": by_sensor(moved.tolist())}
    assert httpx.put(f"{server.url}/assets/P-8/baseline", json=body, timeout=60).status_code == 201
    windows = np.stack([moved[200:212]] * 2)
    mask = np.ones(windows.shape, bool)
    mask[1, 2, 0] = False
    result = client.infer(
        "tiny",
        [
            tensor("window", np.where(mask, windows, 0.0)),
            tensor("lengths", np.array([12, 7], np.int32), "INT32"),
            tensor("mask", mask, "BOOL"),
            tensor("asset", np.array([b"", b"P-8"], object), "BYTES"),
        ],
    )
    holed = moved[200:207].tolist()
    holed[2][0] = None
    asked = [{"values": moved[200:212].tolist()}, {"values": holed, "asset": "P-8"}]
    answer = classified(server.url, asked)
    assert [item["verdict"] for item in answer["results"]] == ["anomalous", "normal"]
    check_equal(result, answer, 12)


def test_answer_names_model_version_hash_and_request(
    server: Server, client: triton.InferenceServerClient
) -> None:
    for version in ("1", "2"):
        result = client.infer(
            "tiny",
            [tensor("window", WINDOWS)],
            model_version=version,
            request_id="a-7",
            outputs=wanted("verdict"),
            parameters={"false_alarm_rate": 0.3},
        )
        response = result.get_response()
        assert (response.model_name, response.model_version, response.id) == ("tiny", version, "a-7")
        own = server.get(f"/models/tiny?version={version}").json()
        assert parameter(response, "sha256") == own["sha256"]
        assert parameter(response, "false_alarm_rate") == 0.3
        assert [output.name for output in response.outputs] == ["verdict"]
        assert len(response.raw_output_contents) == 1


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_contents_that_are_not_raw_are_answered_in_kind(
    server: Server, channel: grpc.Channel, datatype: str
) -> None:
    windows = WINDOWS.astype({"FP32": np.float32, "FP64": np.float64}[datatype])
    request = service_pb2.ModelInferRequest(model_name="tiny")
    window = request.inputs.add(name="window", datatype=datatype, shape=windows.shape)
    getattr(window.contents, f"{datatype.lower()}_contents").extend(windows.ravel().tolist())
    lengths = request.inputs.add(name="lengths", datatype="INT64", shape=[3])
    lengths.contents.int64_contents.extend([12, 12, 12])
    assets = request.inputs.add(name="asset", datatype="BYTES", shape=[3])
    assets.contents.bytes_contents.extend([b"", b"X", b""])
    response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert len(response.raw_output_contents) == 0
    found = {output.name: output.contents for output in response.outputs}
    assert list(found["verdict"].bytes_contents) == [b"normal", b"anomalous", b"cannot_judge"]
    answer = classified(server.url, [{"values": window.tolist()} for window in windows])
    for name in ("p_value", "reconstruction_error"):
        expected = np.array([item[name] for item in answer["results"]], float)
        np.testing.assert_allclose(found[name].fp64_contents, expected, rtol=0, atol=1e-6)


INFINITE = WINDOWS.copy()
INFINITE[1, 4, 2] = np.inf
WINDOW = WINDOWS[:1]
REFUSED: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    "no window": ([], {}, "INVALID_ARGUMENT", "`window` is missing"),
    "unknown input": ([tensor("windw", WINDOW)], {}, "INVALID_ARGUMENT", "there is no input 'windw'"),
    "unknown output": (
        [tensor("window", WINDOW)],
        {"outputs": wanted("alarm")},
        "INVALID_ARGUMENT",
        "'alarm'",
    ),
    "infinite": ([tensor("window", INFINITE)], {}, "INVALID_ARGUMENT", "window[1][4][2] is infinite"),
    "too many windows": ([tensor("window", np.zeros((65, 12, 3)))], {}, "INVALID_ARGUMENT", "at most 64"),
    "too many steps": ([tensor("window", np.zeros((1, 501, 3)))], {}, "INVALID_ARGUMENT", "at most 500"),
    "rate too small": (
        [tensor("window", WINDOW)],
        {"parameters": {"false_alarm_rate": 1e-9}},
        "INVALID_ARGUMENT",
        "expected: at least 0.00",
    ),
    "classification": (
        [tensor("window", WINDOW)],
        {"outputs": [triton.InferRequestedOutput("probabilities", class_count=1)]},
        "INVALID_ARGUMENT",
        "`classification` is not offered",
    ),
    "no such model": ([tensor("window", WINDOW)], {"model_name": "other"}, "NOT_FOUND", "loaded are: tiny"),
    "no such version": ([tensor("window", WINDOW)], {"model_version": "9"}, "NOT_FOUND", "version 9"),
    "too late": ([tensor("window", WINDOW)], {"timeout": 1}, "DEADLINE_EXCEEDED", "not ready in time"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_request_that_cannot_be_answered_is_refused_with_its_place(
    client: triton.InferenceServerClient, case: str
) -> None:
    inputs, options, status, words = REFUSED[case]
    given_status, message = refused(client, inputs=inputs, **{"model_name": "tiny", **options})
    assert given_status == status
    assert words in message


@pytest.mark.parametrize("case", ["fewer raw", "both", "other contents", "lying size"])
def test_contents_that_do_not_fit_are_refused(channel: grpc.Channel, case: str) -> None:
    request = service_pb2.ModelInferRequest(model_name="tiny")
    window = request.inputs.add(name="window", datatype="FP64", shape=[1, 12, 3])
    raw = WINDOW.tobytes()
    if case == "fewer raw":
        request.inputs.add(name="lengths", datatype="INT32", shape=[1])
        request.raw_input_contents.append(raw)
    elif case == "both":
        window.contents.fp64_contents.append(1.0)
        request.raw_input_contents.append(raw)
    elif case == "other contents":
        window.contents.fp32_contents.extend([1.0] * 36)
    else:
        request.raw_input_contents.append(raw[:-1])
    with pytest.raises(grpc.RpcError) as caught:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "expected: " in caught.value.details()


def test_refusal_carries_the_stable_code_and_the_request_id(server: Server, channel: grpc.Channel) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelMetadata(
            service_pb2.ModelMetadataRequest(name="other"), metadata=[("x-request-id", "my-7")]
        )
    beside = dict(caught.value.trailing_metadata())
    assert beside["code"] == "model_not_found"
    assert beside["x-request-id"] == "my-7"
    until(lambda: any('"my-7"' in line for line in server.out))
    (line,) = (json.loads(line) for line in server.out if '"my-7"' in line)
    assert line["route"] == f"/{NAME}/ModelMetadata"
    assert (line["status"], line["code"]) == (404, "model_not_found")


def test_message_that_is_too_large_is_refused(client: triton.InferenceServerClient) -> None:
    status, message = refused(client, "tiny", [tensor("window", np.zeros((60, 500, 6)))])
    assert status == "RESOURCE_EXHAUSTED"
    assert "1000000" in message


def test_compressed_message_that_is_too_large_unpacked_is_refused(
    client: triton.InferenceServerClient,
) -> None:
    inputs = [tensor("window", np.zeros((60, 500, 6)))]
    status, _ = refused(client, "tiny", inputs, compression_algorithm="gzip")
    assert status == "RESOURCE_EXHAUSTED"


def test_compressed_message_is_read(client: triton.InferenceServerClient) -> None:
    result = client.infer("tiny", [tensor("window", WINDOWS)], compression_algorithm="gzip")
    assert result.as_numpy("verdict").tolist() == [b"normal", b"anomalous", b"cannot_judge"]


def test_method_that_is_not_offered_is_unimplemented(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.get_model_config("tiny")
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_calls_of_many_clients_at_once_are_each_answered(
    service: tuple[Server, str], client: triton.InferenceServerClient
) -> None:
    expected = client.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("p_value")

    def ask(_: int) -> Any:
        with triton.InferenceServerClient(service[1], channel_args=APART) as own:
            return own.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("p_value")

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(ask, range(40)):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_calls_are_counted_like_requests(server: Server, client: triton.InferenceServerClient) -> None:
    def count() -> float:
        wanted = f'offnormal_requests_total{{route="/{NAME}/ModelInfer",method="POST",status="200"}}'
        lines = server.get("/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(wanted))

    before = count()
    client.infer("tiny", [tensor("window", WINDOWS)])
    assert count() == before + 1


def test_health_service_says_what_serves(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", NAME):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="other"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_client_without_the_proto_learns_everything_by_reflection(
    server: Server, channel: grpc.Channel
) -> None:
    """As grpcurl does: services, then messages, then a call, from what the server tells alone."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    def ask(**request: str) -> Any:
        (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]))
        return answer

    listed = {item.name for item in ask(list_services="").list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= listed
    pool = descriptor_pool.DescriptorPool()
    for content in ask(file_containing_symbol=NAME).file_descriptor_response.file_descriptor_proto:
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(content))
    method = pool.FindServiceByName(NAME).FindMethodByName("ModelMetadata")
    asking, answering = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
    call = channel.unary_unary(f"/{NAME}/ModelMetadata", asking.SerializeToString, answering.FromString)
    described = call(asking(name="tiny", version="1"))
    own = server.get("/models/tiny?version=1").json()
    assert parameter(described, "version") == "1"
    assert parameter(described, "sha256") == own["sha256"]
    assert json.loads(parameter(described, "sensors")) == list(SENSORS)
    assert parameter(described, "minimum_steps") == 4


def test_keys_open_what_their_roles_say(trained_store: Path, tmp_path: Path) -> None:
    entries = [
        {"name": role, "sha256": hashlib.sha256(f"{role}-key".encode()).hexdigest(), "roles": [role]}
        for role in ("classify", "read")
    ]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": entries}))
    with (
        serving_grpc(trained_store, tmp_path / "state", OFFNORMAL_KEYS_FILE=str(keys)) as (_, address),
        triton.InferenceServerClient(address) as client,
    ):
        inputs = [tensor("window", WINDOWS)]
        assert client.is_server_live()
        assert client.is_server_ready()
        assert refused(client, "tiny", inputs)[0] == "UNAUTHENTICATED"
        assert refused(client, "tiny", inputs, headers={"x-api-key": "wrong"})[0] == "UNAUTHENTICATED"
        assert refused(client, "tiny", inputs, headers={"x-api-key": "read-key"})[0] == "PERMISSION_DENIED"
        for headers in ({"x-api-key": "classify-key"}, {"authorization": "Bearer classify-key"}):
            assert client.infer("tiny", inputs, headers=headers).as_numpy("verdict").size == 3
        assert client.get_model_metadata("tiny", headers={"x-api-key": "read-key"}).name == "tiny"
        with pytest.raises(InferenceServerException, match="needs an API key"):
            client.get_model_metadata("tiny")


def test_certificate_of_the_service_is_that_of_grpc_too(trained_store: Path, tmp_path: Path) -> None:
    pair = make(tmp_path, "offnormal")
    with serving_grpc(trained_store, tmp_path / "state", **pair.settings) as (_, address):
        trusting = {"ssl": True, "root_certificates": str(pair.certificate)}
        with triton.InferenceServerClient(address, **trusting) as client:
            assert client.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("verdict").size == 3
        with triton.InferenceServerClient(address) as plain, pytest.raises(InferenceServerException):
            plain.is_server_live()


def test_rate_of_a_caller_is_limited(trained_store: Path, tmp_path: Path) -> None:
    slow = {"OFFNORMAL_REQUESTS_PER_S": "0.01", "OFFNORMAL_REQUEST_BURST_S": "300"}
    with serving_grpc(trained_store, tmp_path, **slow) as (_, address):
        with triton.InferenceServerClient(address) as client:
            for _ in range(3):
                assert client.is_model_ready("tiny")
            status, message = refused(client, "tiny", [tensor("window", WINDOWS)])
            assert status == "RESOURCE_EXHAUSTED"
            assert "requests per second" in message
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelReady(
                service_pb2.ModelReadyRequest(name="tiny")
            )
        beside = dict(caught.value.trailing_metadata())
        assert int(beside["grpc-retry-pushback-ms"]) > 1000
        assert beside["code"] == "rate_exceeded"


def test_service_whose_default_model_is_refused_does_not_serve(tiny_store: Path, tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tiny_store / "tiny" / version / "model.onnx").write_bytes(b"broken")
    port = str(free_port())
    server = Server(
        "--port", "0", "--models", str(tiny_store), "--state", str(tmp_path), OFFNORMAL_GRPC_PORT=port
    )
    try:
        until(lambda: server.said("no default model"))
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert refused(client, "tiny", [tensor("window", WINDOWS)])[0] == "NOT_FOUND"
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        server.process.kill()
        server.process.wait(10)


def test_while_it_drains_the_service_answers_and_says_that_it_will_not(
    trained_store: Path, tmp_path: Path
) -> None:
    with (
        serving_grpc(trained_store, tmp_path, OFFNORMAL_DRAIN_S="3") as (server, address),
        grpc.insecure_channel(address) as channel,
        triton.InferenceServerClient(address) as client,
    ):
        told: list[int] = []
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME))

        def watch() -> None:
            try:
                told.extend(answer.status for answer in watching)
            except grpc.RpcError:
                return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        until(lambda: told[-1:] == [SERVING])
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not client.is_server_ready())
        assert client.infer("tiny", [tensor("window", WINDOWS)]).as_numpy("verdict").size == 3
        drained = time.monotonic()
        assert server.process.wait(30) == 0
        assert time.monotonic() - drained < 10  # who watches is not waited for
        watcher.join(10)
        assert told[-2:] == [SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
        with pytest.raises(InferenceServerException):
            client.is_server_live()


def test_port_that_is_taken_is_told_at_the_start(trained_store: Path, tmp_path: Path, service: Any) -> None:
    taken = service[1].rpartition(":")[2]
    server = Server(
        "--port", "0", "--models", str(trained_store), "--state", str(tmp_path), OFFNORMAL_GRPC_PORT=taken
    )
    assert server.process.wait(150) == 1
    until(lambda: server.said("OFFNORMAL_GRPC_PORT"))
    assert f"cannot listen on 127.0.0.1 port {taken}" in server.stderr


def test_service_without_a_grpc_port_imports_no_grpc() -> None:
    code = "import sys, service.app, cli.serve; print([name for name in sys.modules if name == 'grpc'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def holders(server: Server, port: int) -> set[int]:
    """The workers that have a connection to a port."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == ESTABLISHED:
                inodes.add(f"socket:[{fields[9]}]")
    return {
        pid
        for pid in pids(server)
        if inodes & {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    }


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc to look into")
def test_several_workers_share_one_port(trained_store: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, address = stack.enter_context(serving_grpc(trained_store, tmp_path, OFFNORMAL_WORKERS="2"))
        expected = classified(server.url, [{"values": window.tolist()} for window in WINDOWS])
        asked = 0
        while len(holders(server, int(address.rpartition(":")[2]))) < 2:
            assert asked < 30  # of 30 connections, one worker alone gets all once in 500 million times
            client = stack.enter_context(triton.InferenceServerClient(address, channel_args=APART))
            check_equal(client.infer("tiny", [tensor("window", WINDOWS)]), expected, 12)
            asked += 1
        assert asked > 1
        wanted = f'offnormal_requests_total{{route="/{NAME}/ModelInfer",method="POST",status="200"}}'
        lines = server.get("/metrics").text.splitlines()
        assert sum(float(line.split()[1]) for line in lines if line.startswith(wanted)) == asked
