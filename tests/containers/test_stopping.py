"""The end of a service in a container: asked for, and not."""

import json
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

import httpx

from tests.containers import windows
from tests.containers.conftest import HEALTHY_S
from tests.containers.engine import COMMAND_S, Demo, wait_until

STOP_S = 5.0
RESTART_S = 30.0
# OFFNORMAL_DRAIN_S in the compose file: the port stays open for so long after SIGTERM.
DRAIN_S = 0.5
IN_FLIGHT = 4

# Kills the server itself, not the init process that the engine puts before it. The container ends,
# and so does this.
KILL = """
import os, pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    words = (folder / "cmdline").read_bytes().split(b"\\0")
    if b"serve" in words and int(folder.name) not in (1, os.getpid()):
        os.kill(int(folder.name), 9)
"""


def test_service_comes_back_with_its_baselines_after_kill_9(demo: Demo) -> None:
    def baseline() -> int:
        return demo.get("service", "/assets/P-101/baseline").status_code

    wait_until(lambda: baseline() == 200, 30, demo.logs)
    before = demo.inspect("service")
    subprocess.run(
        ["docker", "exec", demo.container("service"), "python", "-c", KILL],
        capture_output=True,
        timeout=COMMAND_S,
        check=False,
    )

    def restarted() -> bool:
        facts = demo.inspect("service")
        return facts["RestartCount"] > before["RestartCount"] and demo.health()["service"] == "healthy"

    wait_until(restarted, RESTART_S, demo.logs)
    assert baseline() == 200
    answer = httpx.post(f"{demo.url('service')}/classify", json=windows.request(), timeout=10)
    assert answer.status_code == 200


class SlowRequest:
    """A request whose body is half sent, so that it is under way for as long as somebody likes."""

    def __init__(self, port: int, windows_each: int = 8) -> None:
        body = json.dumps(windows.request(windows_each)).encode()
        self._rest = body[len(body) // 2 :]
        self._windows = windows_each
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        head = (
            "POST /classify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body[: len(body) // 2])

    def finish(self) -> None:
        """Send the rest. Fails unless every window is answered."""
        with self._socket:
            self._socket.sendall(self._rest)
            answer = b""
            while chunk := self._socket.recv(65536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), answer[:500]
        assert len(json.loads(body)["results"]) == self._windows


@dataclass
class SteadyClient:
    """Posts windows one after the other, each on a connection of its own, until told to end."""

    url: str
    answered: list[int] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._body = windows.request()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            start = time.monotonic()
            try:
                answer = httpx.post(f"{self.url}/classify", json=self._body, timeout=20)
                self.answered.append(answer.status_code)
            except httpx.TransportError:
                self.failed_at.append(start)
                time.sleep(0.02)

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)


def test_stop_is_quick_and_loses_no_request(demo: Demo) -> None:
    demo.up(within_s=HEALTHY_S)
    url = demo.url("service")
    slow = [SlowRequest(demo.ports["service"]) for _ in range(IN_FLIGHT)]
    steady = SteadyClient(url)
    took: list[float] = []

    def stop() -> None:
        start = time.monotonic()
        demo.compose("stop")
        took.append(time.monotonic() - start)

    stopping = threading.Thread(target=stop)
    try:
        stopping.start()
        last_ready = draining = time.monotonic()
        while draining - last_ready < DRAIN_S:
            asked = time.monotonic()
            assert asked - last_ready < 30, "the service does not say that it is going"
            try:
                ready = httpx.get(f"{url}/readyz", timeout=5).status_code == 200
            except httpx.TransportError:
                break
            draining = time.monotonic()
            if ready:
                last_ready = asked
            time.sleep(0.02)
        # The port is closed now, or about to be: these requests are what the service still waits for.
        time.sleep(0.3)
        for request in slow:
            request.finish()
        stopping.join(60)
    finally:
        steady.end()
        stopping.join(60)
        state = demo.inspect("service")["State"]
        demo.up(within_s=HEALTHY_S)
    assert took, "compose stop failed"
    assert took[0] < STOP_S
    assert state["ExitCode"] == 0
    assert set(steady.answered) == {200}
    early = [at - last_ready for at in steady.failed_at if at < last_ready + 0.8 * DRAIN_S]
    assert early == []
