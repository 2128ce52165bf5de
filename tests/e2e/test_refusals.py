"""What a refusal says, whoever writes it: the server by itself, or the whole app in its place."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.reliability.load import post
from tests.contract.app import rows
from tests.e2e.server import Server, serving

# Less than the clock of the kernel tells apart: with sixteen at work, whoever comes next waits too long.
WAIT_S = 1e-6
BATCH = post("/classify", json.dumps({"windows": [{"values": rows()}] * 512}).encode())
ONE = json.dumps({"window": rows()}).encode()
# With origins the app answers everything itself.
WRITERS = {"by the server": {}, "by the app": {"OFFNORMAL_ORIGINS": '["https://elsewhere.example"]'}}


@pytest.fixture(scope="module", params=WRITERS)
def server(
    request: pytest.FixtureRequest, trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    variables = {"OFFNORMAL_MAX_WAIT_S": str(WAIT_S), "OFFNORMAL_LOG_LEVEL": "info", **WRITERS[request.param]}
    with serving(trained_store, tmp_path_factory.mktemp("state"), **variables) as server:
        yield server


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """Batches enough that others are refused for a while."""
    connections = [connect(server) for _ in range(40)]
    try:
        for connection in connections:
            connection.sendall(BATCH)
        yield
    finally:
        for connection in connections:
            connection.close()
        time.sleep(0.2)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 30)


def refused(server: Server, path: str = "/classify", **headers: str) -> httpx.Response:
    """A refusal; tried until there is one."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for _ in range(20):
            with busy(server):
                for _ in range(5):
                    answer = client.post(
                        path, content=ONE, headers={"Content-Type": "application/json", **headers}
                    )
                    if answer.status_code == 429:
                        return answer
    raise AssertionError("nothing was refused")


def test_refusal_is_a_problem_with_everything_that_answers_have(server: Server) -> None:
    answer = refused(server, **{"X-Request-Id": "mine-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "mine-1"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["request_id"]) == ("queue_full", 429, "mine-1")


def test_id_that_cannot_be_shown_is_replaced_in_a_refusal(server: Server) -> None:
    answer = refused(server, **{"X-Request-Id": 'a"b<c>'})
    assert answer.headers["x-request-id"] != 'a"b<c>'
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_refusal_has_the_form_of_its_door(server: Server) -> None:
    answer = refused(server, "/v2/models/tiny/infer")
    assert "error" in answer.json()
    assert "title" not in answer.json()


def test_refusals_are_counted_and_logged(server: Server) -> None:
    refused(server, **{"X-Request-Id": "counted"})
    metrics = server.get("/metrics").text
    (line,) = [
        each
        for each in metrics.splitlines()
        if each.startswith("offnormal_rejected_requests_total{") and "queue_full" in each
    ]
    assert float(line.split()[-1]) >= 1
    lines = [json.loads(each) for each in list(server.out) if '"counted"' in each]
    assert any(each["status"] == 429 and each["code"] == "queue_full" for each in lines)


def test_connection_is_of_use_after_a_refusal(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        with busy(server):
            statuses = {
                client.post(
                    "/classify", content=ONE, headers={"Content-Type": "application/json"}
                ).status_code
                for _ in range(20)
            }
        assert statuses <= {200, 429}
        limit = time.monotonic() + 30
        while (
            client.post("/classify", content=ONE, headers={"Content-Type": "application/json"}).status_code
            != 200
        ):
            assert time.monotonic() < limit
            time.sleep(0.05)


@pytest.fixture(scope="module")
def impatient(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {"OFFNORMAL_MAX_WAIT_S": str(WAIT_S), "OFFNORMAL_HEAD_TIMEOUT_S": "1"}
    with serving(trained_store, tmp_path_factory.mktemp("impatient"), **variables) as server:
        yield server


def refused_at(server: Server, request: bytes) -> socket.socket:
    """The connection of a request, or of the beginning of one, that was refused."""
    for _ in range(20):
        with busy(server):
            connection = connect(server)
            connection.sendall(request)
            if connection.recv(65536).startswith(b"HTTP/1.1 429"):
                return connection
            connection.close()
    raise AssertionError("nothing was refused")


def test_refused_connection_is_kept_as_long_as_any_other(impatient: Server) -> None:
    with refused_at(impatient, post("/classify", ONE)) as connection:
        time.sleep(2.5)
        connection.sendall(post("/classify", ONE))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_body_of_a_refused_request_may_not_go_on_for_ever(impatient: Server) -> None:
    head, _, body = post("/classify", ONE).partition(b"\r\n\r\n")
    with refused_at(impatient, head + b"\r\n\r\n") as connection:
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011, PT012  reset or broken pipe, as it happens
            for place in range(200):
                connection.sendall(body[place : place + 1])
                time.sleep(0.1)
        assert time.monotonic() - started < 15


def test_requests_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    """Fifty on one connection, while it is busy: each answered once, whatever becomes of it."""
    with busy(server), connect(server) as connection:
        threading.Thread(
            target=connection.sendall,
            args=(
                b"".join(
                    post("/classify", ONE).replace(b"Host: x", b"Host: x\r\nX-Request-Id: n%d" % n)
                    for n in range(50)
                ),
            ),
            daemon=True,
        ).start()
        told = b""
        while told.count(b"HTTP/1.1 ") < 50 or told.count(b'"request_id":"n') + told.count(b'"results"') < 50:
            data = connection.recv(1 << 20)
            assert data, told[-500:]
            told += data
    ids = [
        line.partition(b": ")[2] for line in told.split(b"\r\n") if line.lower().startswith(b"x-request-id")
    ]
    assert ids == [b"n%d" % n for n in range(50)]
