"""What goes wrong around the service: clients that do not go on, a disk that is full, a clock that jumps."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contract.app import rows, until
from tests.e2e.server import ROOT, Server, serving

psutil = pytest.importorskip("psutil")
PATIENCE = {
    "OFFNORMAL_HEAD_TIMEOUT_S": "1",
    "OFFNORMAL_KEEP_ALIVE_S": "1",
    "OFFNORMAL_UNREAD_TIMEOUT_S": "1",
    "OFFNORMAL_REQUEST_TIMEOUT_S": "5",
}
IDLE = 10_000
# Of a process beside its connections, generously.
OWN_FILES = 1000


@pytest.fixture(scope="module")
def impatient(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained_store, tmp_path_factory.mktemp("state"), **PATIENCE) as server:
        yield server


def connect(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    connection.settimeout(30)
    return connection


def judged(server: Server, **window: object) -> httpx.Response:
    body = {"windows": [{"values": rows(), **window}]}
    return httpx.post(server.url + "/classify", json=body, timeout=30)


def given_up(server: Server, reason: str) -> float:
    """As the metrics tell."""
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(f'offnormal_given_up_connections_total{{reason="{reason}"}}'):
            return float(line.split()[-1])
    return 0.0


def ended(connection: socket.socket) -> bool:
    """Waits for the other end to close."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "start",
    [b"", b"POST /classify HTTP/1.1\r\nHost", b"\r\n"],
    ids=["nothing", "half a head", "an empty line"],
)
def test_head_that_does_not_come_ends_the_connection(impatient: Server, start: bytes) -> None:
    before = given_up(impatient, "slow_head")
    with connect(impatient) as connection:
        connection.sendall(start)
        assert ended(connection)
    assert given_up(impatient, "slow_head") == before + 1
    assert any('"connection given up"' in line for line in impatient.out)


def test_head_that_comes_byte_by_byte_gains_no_time(impatient: Server) -> None:
    with connect(impatient) as connection:
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011, PT012  reset or broken pipe, as it happens
            for _ in range(200):
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - started < 15


def test_body_that_does_not_come_is_answered_with_408(impatient: Server) -> None:
    with connect(impatient) as connection:
        head = "POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nRequest-Timeout: 0.5"
        connection.sendall(f"{head}\r\nContent-Length: 999\r\n\r\n[".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")
        assert ended(connection)


def test_answer_that_is_not_read_ends_the_connection(impatient: Server) -> None:
    before = given_up(impatient, "unread_answer")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", int(impatient.url.rpartition(":")[2])))
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        until(lambda: given_up(impatient, "unread_answer") == before + 1, 60)
    assert judged(impatient).status_code == 200


def test_clients_that_leave_in_mid_batch_harm_nobody(impatient: Server) -> None:
    body = json.dumps({"windows": [{"values": rows()}] * 256}).encode()
    head = (
        f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    for _ in range(20):
        with connect(impatient) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
    assert judged(impatient).status_code == 200
    until(lambda: "offnormal_connections                 1\n" in impatient.get("/metrics").text, 30)
    assert [line for line in impatient.out if '"unforeseen error"' in line] == []


def test_ten_thousand_idle_connections_keep_nobody_from_being_answered(
    trained_store: Path, tmp_path: Path
) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - OWN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections: list[socket.socket] = []
    try:
        with serving(trained_store, tmp_path, OFFNORMAL_HEAD_TIMEOUT_S="60") as server:
            process = psutil.Process(server.process.pid)
            before = process.num_fds()
            for _ in range(count):
                connections.append(connect(server))
            until(lambda: process.num_fds() >= before + count, 60)
            assert judged(server).status_code == 200
            assert server.get("/readyz").status_code == 200
            for connection in connections:
                connection.close()
            until(lambda: process.num_fds() <= before + 5, 60)
            assert server.stop() == 0
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left_is_borne(trained_store: Path, tmp_path: Path) -> None:
    import resource

    with serving(trained_store, tmp_path) as server:
        process = psutil.Process(server.process.pid)
        _, hard = process.rlimit(resource.RLIMIT_NOFILE)
        process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() + 5, hard))
        connections = [connect(server) for _ in range(20)]
        time.sleep(0.5)
        for connection in connections:
            connection.close()
        until(lambda: judged(server).status_code == 200)


def test_full_disk_is_told_and_windows_are_judged(trained_store: Path, tmp_path: Path) -> None:
    import resource

    with serving(trained_store, tmp_path) as server:
        url = server.url + "/assets/P-1/baseline"
        assert httpx.put(url, json={"values": rows(100)}, timeout=30).status_code == 201
        process = psutil.Process(server.process.pid)
        no_limit = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (1, no_limit[1]))  # no file may grow
        refused = httpx.put(server.url + "/assets/P-2/baseline", json={"values": rows(100)}, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (503, "state_unavailable")
        assert judged(server).status_code == 200
        assert judged(server, asset="P-1").json()["results"][0]["baseline"] == "asset"
        assert 'offnormal_rejected_requests_total{code="state_unavailable"}' in server.get("/metrics").text
        process.rlimit(resource.RLIMIT_FSIZE, no_limit)
        again = httpx.put(server.url + "/assets/P-2/baseline", json={"values": rows(100)}, timeout=30)
        assert again.status_code == 201


def test_state_that_cannot_be_read_is_told_and_other_windows_are_judged(
    trained_store: Path, tmp_path: Path
) -> None:
    with serving(trained_store, tmp_path) as server:
        put = httpx.put(server.url + "/assets/P-1/baseline", json={"values": rows(100)}, timeout=30)
        assert put.status_code == 201
        for file in tmp_path.glob("offnormal.sqlite3*"):
            file.write_bytes(b"\0" * 100)
        refused = judged(server, asset="P-2")
        assert refused.status_code in {200, 503}
        assert judged(server).status_code == 200
        listed = server.get("/assets")
        assert listed.status_code in {200, 503}
        assert "Traceback" not in server.stderr


def with_clock(folder: Path) -> dict[str, str]:
    """A server's wall clock that goes wrong by as many seconds as `folder`/offset says."""
    (folder / "sitecustomize.py").write_text(
        "import pathlib, time\n"
        f"_offset = pathlib.Path({str(folder / 'offset')!r})\n"
        "_real = time.time\n"
        "time.time = lambda: _real() + float(_offset.read_text())\n"
    )
    (folder / "offset").write_text("0")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0], ids=["a day back", "a day ahead"])
def test_clock_that_jumps_changes_no_deadline(trained_store: Path, tmp_path: Path, jump_s: float) -> None:
    clock = tmp_path / "clock"
    clock.mkdir()
    with serving(trained_store, tmp_path / "state", **with_clock(clock)) as server:
        assert judged(server, asset="P-1").status_code == 200
        (clock / "offset").write_text(str(jump_s))
        metrics = server.get("/metrics").text
        assert judged(server, asset="P-1").status_code == 200
        late = httpx.post(
            server.url + "/classify", json={"window": rows()}, headers={"Request-Timeout": "5"}, timeout=30
        )
        assert late.status_code == 200
        assert server.get("/livez").status_code == server.get("/readyz").status_code == 200
        assert "offnormal_asset_last_window_timestamp_seconds" in metrics
        assert server.stop(signal.SIGTERM) == 0


HANGING = """
import pathlib, sys, time
_hang = pathlib.Path({file!r})
if "cli.main" in " ".join(sys.orig_argv):
    from detector.onnx_runtime import OnnxRuntime
    _run = OnnxRuntime.run
    def run(self, batch):
        while _hang.exists():
            time.sleep(0.05)
        return _run(self, batch)
    OnnxRuntime.run = run
"""


def test_runtime_that_hangs_is_noticed_and_so_is_that_it_goes_on(trained_store: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HANGING.format(file=str(hang)))
    variables = {
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT), *filter(None, sys.path)]),
        "OFFNORMAL_HANG_AFTER_S": "1",
        "OFFNORMAL_REQUEST_TIMEOUT_S": "2",
    }
    with serving(trained_store, tmp_path / "state", **variables) as server:
        assert server.get("/livez").status_code == 200
        hang.touch()
        refused = judged(server)
        assert (refused.status_code, refused.json()["code"]) == (504, "deadline_passed")
        until(lambda: server.get("/livez").status_code == 503)
        assert server.get("/livez").json()["hanging"] == ["tiny/2"]
        assert "hangs" in server.get("/readyz").json()["reason"]
        hang.unlink()
        until(lambda: server.get("/livez").status_code == 200)
        assert judged(server).status_code == 200


def test_runtime_that_hangs_does_not_hold_up_the_end(trained_store: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HANGING.format(file=str(hang)))
    variables = {
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT), *filter(None, sys.path)]),
        "OFFNORMAL_DRAIN_S": "0",
        "OFFNORMAL_REQUEST_TIMEOUT_S": "1",
        "OFFNORMAL_SHUTDOWN_TIMEOUT_S": "2",
    }
    with serving(trained_store, tmp_path / "state", **variables) as server:
        hang.touch()
        assert judged(server).status_code == 504
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 15


def test_nothing_that_serves_measures_time_by_the_wall_clock() -> None:
    """But to tell people when something was, and to compare it with the times of files."""
    told = {
        "service/measuring/model_metrics.py",
        "service/assets.py",
        "service/jobs/records.py",
        "service/models/scanning.py",
    }
    found = {
        str(path.relative_to(ROOT))
        for folder in ("service", "detector")
        for path in (ROOT / folder).rglob("*.py")
        if "time.time()" in path.read_text()
    }
    found |= {
        f"cli/{name}.py"
        for name in ("serve", "server", "worker", "workers", "connections", "patience")
        if "time.time()" in (ROOT / "cli" / f"{name}.py").read_text()
    }
    assert found <= told, found - told
