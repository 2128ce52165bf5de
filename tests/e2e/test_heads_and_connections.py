"""What comes before a request is understood: heads without end, bytes that are no HTTP, idle connections."""

import json
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contract.app import rows
from tests.e2e.server import Server, serving

MOST_CONNECTIONS = 40


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def server(
    request: pytest.FixtureRequest, trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with serving(
        trained_store,
        tmp_path_factory.mktemp("state"),
        OFFNORMAL_WORKERS=request.param,
        OFFNORMAL_MAX_HEAD_KB="16",
        OFFNORMAL_MAX_CONNECTIONS=str(MOST_CONNECTIONS),
    ) as server:
        yield server
        assert server.stop() == 0
        assert "unforeseen error" not in "".join(server.out)


def connect(server: Server) -> socket.socket:
    address = httpx.URL(server.url)
    return socket.create_connection((address.host, address.port or 0), 10)


def exchange(server: Server, sent: bytes) -> bytes:
    """All that is answered to these bytes, until the server closes or says nothing more."""
    answer = b""
    with connect(server) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(sent)
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def answer_of(connection: socket.socket) -> bytes:
    """The next answer of a connection that stays open, with its whole body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    top, _, body = answer.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in top.split(b"\r\n") if line.startswith(b"content-length")
    ]
    while len(body) < length:
        body += connection.recv(65536)
    return answer


def head(*lines: bytes, path: bytes = b"/livez") -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % path, b"Host: x", *lines, b"Connection: close", b"", b""])


HEADS = {
    "one long header": head(b"X: " + b"a" * 17_000),
    "many headers": head(*(b"X-%d: 1" % i for i in range(3000))),
    "a long path": head(path=b"/" + b"a" * 17_000),
    "a long query": head(path=b"/livez?" + b"a=1&" * 5000),
    "a header without end": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 600_000,
    "headers without end": b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
    "a path without end": b"GET /" + b"a" * 600_000,
}


@pytest.mark.parametrize("name", HEADS)
def test_large_head_is_refused(server: Server, name: str) -> None:
    assert status(exchange(server, HEADS[name])) == 431
    assert server.get("/livez").status_code == 200


def test_head_just_below_the_limit_is_read(server: Server) -> None:
    assert status(exchange(server, head(b"X: " + b"a" * 15_500))) == 200


def test_large_head_is_refused_on_a_connection_that_was_used(server: Server) -> None:
    first = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(first)
        assert status(answer_of(connection)) == 200
        connection.sendall(HEADS["one long header"])
        assert status(answer_of(connection)) == 431


def test_many_small_requests_of_one_connection_are_no_large_head(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert {client.get("/livez", headers={"X": "a" * 1000}).status_code for _ in range(40)} == {200}


def test_large_body_is_no_large_head(server: Server) -> None:
    body = json.dumps({"window": rows()}).encode() + b" " * 200_000
    request = (
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with connect(server) as connection:
        for _ in range(3):
            connection.sendall(request % len(body) + body)
            assert status(answer_of(connection)) == 200


NO_HTTP = {
    "nothing of the kind": b"\x00\x01\x02\xff" * 100,
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no such method": b"FETCH / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "length and chunks": b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
    "a negative length": b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a line folded": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "blank before the colon": b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
    "a line break in a value": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\nInjected: b\x00\r\n\r\n",
    "an odd chunk": b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_refused(server: Server, name: str) -> None:
    assert status(exchange(server, NO_HTTP[name])) in (0, 400, 405, 415, 501)
    assert server.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "host", [b"[", b"[::1", b"]", b"a b", b"\xff\xfe", b"x:port", b"", b"a" * 5000, b"@:/?#[]"]
)
@pytest.mark.parametrize(
    "path", [b"/nowhere", b"/classify", b"/models/other", b"/docs", b"//", b"/%ff%00", b"*"]
)
def test_odd_host_is_no_defect(server: Server, host: bytes, path: bytes) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path, host)
    assert status(exchange(server, sent)) in (200, 400, 404, 405)


@pytest.mark.parametrize(
    "target", [b"/caf\xc3\xa9", b"/\xff", b"http://other/models", b"/models?\xff=\xfe", b"/a#b"]
)
def test_odd_target_is_no_defect(server: Server, target: bytes) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target
    assert status(exchange(server, sent)) in (0, 200, 400, 404)
    assert server.get("/livez").status_code == 200


def test_random_bytes_are_no_defect(server: Server) -> None:
    seed = int(os.environ.get("OFFNORMAL_SEED", "7"))
    random_ = random.Random(seed)
    good = head(b"X-API-Key: k", b"X-Request-Id: 7", b"Accept: */*")
    for _ in range(150):
        spoilt = bytearray(good)
        for _ in range(random_.randint(1, 8)):
            spoilt[random_.randrange(len(spoilt))] = random_.randrange(256)
        with connect(server) as connection:
            connection.sendall(bytes(spoilt))
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.05)
            try:
                answer = connection.recv(65536)
            except OSError:
                continue
        assert status(answer) < 500
    assert server.get("/livez").status_code == 200


def test_connections_beyond_the_limit_are_refused_and_room_is_made_again(server: Server) -> None:
    held = [connect(server) for _ in range(3 * MOST_CONNECTIONS)]
    refused = 0
    for connection in held:
        connection.settimeout(0.05)
        try:
            refused += status(connection.recv(65536)) == 503
        except TimeoutError:
            continue
    # Each worker has its own limit; no connection that fits is refused.
    assert MOST_CONNECTIONS <= refused <= 2 * MOST_CONNECTIONS
    for connection in held:
        connection.close()
    limit = time.monotonic() + 10
    while True:
        try:
            if server.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < limit
        time.sleep(0.05)
