"""Stopping under load, and a rolling restart behind a balancer that goes by /readyz."""

import json
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.contract.app import rows, until
from tests.e2e.server import Server, serving

CALLERS = 4
POLL_S = 0.1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Balancer:
    """Sends each request to an instance that says it is ready; asks each of them ten times a second."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self.ready: list[str] = []
        self.seen: Counter[object] = Counter()
        self._turn = 0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._poll, args=(url,)) for url in urls]
        self._threads += [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> "Balancer":
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.ready) == len(self._urls))
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    def _poll(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=5) as client:
            while not self._done.is_set():
                try:
                    ready = client.get("/readyz").status_code == 200
                except httpx.TransportError:
                    ready = False
                if ready and url not in self.ready:
                    self.ready = [*self.ready, url]
                elif not ready:
                    self.ready = [each for each in self.ready if each != url]
                time.sleep(POLL_S)

    def _call(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._done.is_set():
                ready = self.ready
                if not ready:
                    time.sleep(0.01)
                    continue
                self._turn += 1
                url = ready[self._turn % len(ready)]
                try:
                    self.seen[client.post(url + "/classify", json={"window": rows()}).status_code] += 1
                except httpx.TransportError as error:
                    self.seen[f"{url} {error!r}"] += 1


def instance(store: Path, state: Path, port: int) -> Server:
    options = ("--port", str(port), "--models", str(store), "--state", str(state))
    return Server(*options, OFFNORMAL_DRAIN_S="2", OFFNORMAL_LOG_LEVEL="warning")


def test_rolling_restart_of_two_instances_loses_nothing(trained_store: Path, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    servers = [instance(trained_store, tmp_path, port) for port in ports]
    try:
        for server in servers:
            server.until_ready()
        with Balancer([server.url for server in servers]) as balancer:
            for number, port in enumerate(ports):
                before = balancer.seen[200]
                until(lambda before=before: balancer.seen[200] > before + 20)
                assert servers[number].stop(signal.SIGTERM) == 0
                servers[number] = instance(trained_store, tmp_path, port)
                until(lambda: len(balancer.ready) == 2, 60)
            before = balancer.seen[200]
            until(lambda: balancer.seen[200] > before + 20)
        assert set(balancer.seen) == {200}, balancer.seen
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait(10)


def test_queue_is_answered_before_the_end(trained_store: Path, tmp_path: Path) -> None:
    body = {"windows": [{"values": rows()}] * 200}
    variables = {"OFFNORMAL_DRAIN_S": "0", "OFFNORMAL_MAX_WAIT_S": "30", "OFFNORMAL_REQUEST_TIMEOUT_S": "30"}
    with serving(trained_store, tmp_path, **variables) as server, ThreadPoolExecutor(16) as pool:

        def ask(_: int) -> int:
            return httpx.post(server.url + "/classify", json=body, timeout=60).status_code

        answers = [pool.submit(ask, number) for number in range(16)]
        until(lambda: "offnormal_requests_in_progress                 1" not in server.get("/metrics").text)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result(60) for answer in answers] == [200] * 16
        assert server.process.wait(30) == 0


def test_kept_connection_is_told_to_close_while_the_service_drains(
    trained_store: Path, tmp_path: Path
) -> None:
    with (
        serving(trained_store, tmp_path, OFFNORMAL_DRAIN_S="3") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        assert "connection" not in client.post("/classify", json={"window": rows()}).headers
        server.process.send_signal(signal.SIGTERM)
        until(lambda: client.get("/readyz").status_code == 503)
        answer = client.post("/classify", json={"window": rows()})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert server.process.wait(30) == 0


def test_request_that_arrives_as_the_port_closes_is_answered(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path, OFFNORMAL_DRAIN_S="0") as server:
        port = int(server.url.rpartition(":")[2])
        body = json.dumps({"window": rows()}).encode()
        head = "POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}"
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        server.process.send_signal(signal.SIGTERM)
        for connection in connections:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.close()
        assert server.process.wait(30) == 0


def test_client_that_never_reads_does_not_hold_up_the_end(trained_store: Path, tmp_path: Path) -> None:
    variables = {"OFFNORMAL_DRAIN_S": "0", "OFFNORMAL_SHUTDOWN_TIMEOUT_S": "2"}
    with serving(trained_store, tmp_path, **variables) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            time.sleep(0.5)
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) in {0, 1}
            assert time.monotonic() - started < 10
