"""TLS by settings: a real certificate, a real server, real clients."""

import json
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.contract.app import rows
from tests.e2e.server import Server, serving


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        return {
            "OFFNORMAL_TLS_CERTIFICATE": str(self.certificate),
            "OFFNORMAL_TLS_KEY": str(self.key),
        }


def make(folder: Path, name: str, *options: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}-key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(pair.key), "-out", str(pair.certificate)]
    subprocess.run([*command, *names, *(options or ("-nodes",)), *files], check=True, capture_output=True)
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "offnormal")


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def server(
    request: pytest.FixtureRequest,
    pair: Pair,
    trained_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("state")
    with serving(trained_store, state, OFFNORMAL_WORKERS=request.param, **pair.settings) as server:
        yield server


def trusting(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.certificate))


def test_windows_are_judged_over_tls(server: Server, pair: Pair) -> None:
    assert server.url.startswith("https://")
    with httpx.Client(verify=trusting(pair)) as client:
        for _ in range(5):
            answer = client.post(f"{server.url}/classify", json={"window": rows()})
            assert answer.json()["results"][0]["verdict"] == "normal"
            assert answer.headers["strict-transport-security"]


def test_another_client_library_agrees(server: Server, pair: Pair) -> None:
    with urllib.request.urlopen(f"{server.url}/readyz", timeout=10, context=trusting(pair)) as answer:
        assert json.load(answer)["ready"] is True


def test_client_that_does_not_trust_the_certificate_does_not_connect(server: Server) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{server.url}/livez", verify=ssl.create_default_context())


def test_plain_http_is_not_answered(server: Server, pair: Pair) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url.replace("https", "http") + "/livez", timeout=5)
    assert httpx.get(f"{server.url}/livez", verify=trusting(pair)).status_code == 200


def test_what_is_agreed_upon_is_new_and_forward_secret(server: Server, pair: Pair) -> None:
    context = trusting(pair)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    address = httpx.URL(server.url)
    with (
        socket.create_connection((address.host, address.port or 0), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        agreed = secured.cipher()
    assert agreed is not None
    assert agreed[0].startswith("ECDHE")
    assert "GCM" in agreed[0] or "CHACHA20" in agreed[0]


def test_old_tls_is_refused(server: Server, pair: Pair) -> None:
    context = trusting(pair)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    address = httpx.URL(server.url)
    with (
        socket.create_connection((address.host, address.port or 0), 5) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_handshakes_that_fail_cost_the_others_nothing(server: Server, pair: Pair) -> None:
    address = httpx.URL(server.url)
    silent = [socket.create_connection((address.host, address.port or 0), 5) for _ in range(20)]
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 500):
        with socket.create_connection((address.host, address.port or 0), 5) as plain:
            plain.sendall(garbage)
    with httpx.Client(verify=trusting(pair)) as client:
        assert client.get(f"{server.url}/livez").status_code == 200
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("wrong", ["no such file", "another key", "swapped", "encrypted key"])
def test_pair_that_cannot_be_used_stops_the_start(
    pair: Pair, trained_store: Path, tmp_path: Path, wrong: str
) -> None:
    used = {
        "no such file": lambda: Pair(tmp_path / "none.pem", pair.key),
        "another key": lambda: Pair(pair.certificate, make(tmp_path, "other").key),
        "swapped": lambda: Pair(pair.key, pair.certificate),
        "encrypted key": lambda: make(tmp_path, "locked", "-passout", "pass:secret"),
    }[wrong]()
    options = ("--port", "0", "--models", str(trained_store), "--state", str(tmp_path / "state"))
    server = Server(*options, **used.settings)
    assert server.process.wait(30) == 1
    assert server.stderr.startswith("error: ")
    assert "cannot be used for TLS" in server.stderr
    assert "Traceback" not in server.stderr
