"""The service as a process: started, asked, stopped, killed, started again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.contract.app import by_sensor, faulty, rows, until
from tests.e2e.server import ROOT, Server, serving


@pytest.fixture(scope="module")
def server(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained_store, tmp_path_factory.mktemp("state")) as server:
        yield server


def run_to_end(*options: str, **variables: str) -> tuple[int, str]:
    server = Server(*options, **variables)
    code = server.process.wait(60)
    time.sleep(0.2)
    return code, server.stderr


def test_start_says_where_it_listens_and_which_models_it_loaded(server: Server) -> None:
    assert re.search(r"listening on http://127\.0\.0\.1:\d+", server.stderr)
    assert "model tiny version 2 loaded  (default)" in server.stderr
    assert "model tiny version 1 loaded" in server.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_printed_curl_line_works_when_pasted(server: Server) -> None:
    command = server.stderr[server.stderr.index("curl -s") :].strip()
    assert len(command.splitlines()) <= 6
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(done.stdout)["results"][0]["verdict"] == "normal"


def test_windows_are_judged_over_a_socket(server: Server) -> None:
    windows = [{"id": "good", "readings": by_sensor(rows())}, {"id": "bad", "readings": by_sensor(faulty())}]
    answer = httpx.post(server.url + "/classify", json={"windows": windows}).json()
    assert [result["verdict"] for result in answer["results"]] == ["normal", "anomalous"]


def test_probes_metrics_and_page_are_there(server: Server) -> None:
    assert server.get("/readyz").json()["ready"] is True
    assert server.get("/livez").json()["alive"] is True
    assert 'offnormal_model_info{model="tiny"' in server.get("/metrics").text
    assert "Offnormal API" in server.get("/docs").text
    assert "server" not in server.get("/docs").headers


def test_log_is_one_json_object_a_line(server: Server) -> None:
    server.get("/models?" + "x" * 50)
    time.sleep(0.2)
    lines = [json.loads(line) for line in server.out]
    assert {"time", "level", "event"} <= set.intersection(*(set(line) for line in lines))
    assert any(line["event"] == "request" and line["route"] == "/models" for line in lines)


def test_concurrent_callers_get_their_own_answers(server: Server) -> None:
    windows = [faulty(4 + k % 9, seed=k, size=k / 5) for k in range(60)]

    def ask(k: int) -> dict:
        with httpx.Client() as client:
            body = {"windows": [{"id": k, "values": windows[k]}]}
            return client.post(server.url + "/classify", json=body, timeout=30).json()["results"][0]

    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(ask, range(60)))
    alone = [ask(k) for k in range(60)]
    assert [result["id"] for result in together] == list(range(60))
    for one, other in zip(together, alone, strict=True):
        assert one["verdict"] == other["verdict"]
        assert one["p_value"] == pytest.approx(other["p_value"], abs=1e-6)
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_caller_that_hangs_up_harms_nobody(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(10):
        with socket.create_connection((host, int(port))) as connection:
            head = [
                "POST /classify HTTP/1.1",
                "Host: x",
                "Content-Type: application/json",
                "Content-Length: 999",
            ]
            connection.sendall("\r\n".join([*head, "", '{"window": [[']).encode())
    assert httpx.post(server.url + "/classify", json={"window": rows()}).status_code == 200


def test_body_that_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    answer = httpx.post(
        server.url + "/classify", content=b" " * 33_000_000, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl or jq is not installed")
def test_commands_of_the_api_guide_work_in_their_order(server: Server, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    script = commands.replace("http://127.0.0.1:8000", server.url).replace(
        "curl -s ", "curl -sS --fail-with-body "
    )
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert '"verdict":"normal"' in done.stdout
    assert done.stdout.count('"asset":"P-101"') >= 3


def test_sigterm_makes_it_unready_then_drains_and_exits_with_0(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path, OFFNORMAL_DRAIN_S="4") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/readyz").status_code == 503)
        codes = [httpx.post(server.url + "/classify", json={"window": rows()}).status_code for _ in range(5)]
        assert codes == [200] * 5
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.stderr


def test_interrupt_stops_at_once_with_0(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path, OFFNORMAL_DRAIN_S="30") as server:
        started = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["restart", "kill -9"])
def test_baselines_outlive_the_process(trained_store: Path, tmp_path: Path, sig: signal.Signals) -> None:
    with serving(trained_store, tmp_path) as server:
        put = httpx.put(server.url + "/assets/P-101/baseline", json={"values": rows(100)})
        assert put.status_code == 201
        server.stop(sig)
    with serving(trained_store, tmp_path) as server:
        assert server.get("/assets/P-101/baseline").json() == put.json()
        window = {"asset": "P-101", "values": rows()}
        answer = httpx.post(server.url + "/classify", json={"windows": [window]})
        assert answer.json()["results"][0]["baseline"] == "asset"


def test_kill_while_assets_are_commissioned_leaves_a_whole_state(trained_store: Path, tmp_path: Path) -> None:
    done: list[int] = []
    with serving(trained_store, tmp_path) as server:

        def commission() -> None:
            with httpx.Client() as client:
                for k in range(1000):
                    try:
                        client.put(f"{server.url}/assets/{k}/baseline", json={"values": rows(60)})
                    except httpx.HTTPError:
                        return
                    done.append(k)

        thread = threading.Thread(target=commission)
        thread.start()
        while len(done) < 5:
            time.sleep(0.01)
        server.stop(signal.SIGKILL)
        thread.join(10)
    with serving(trained_store, tmp_path) as server:
        assets = {item["asset"]: item for item in server.get("/assets").json()["assets"]}
        assert {str(k) for k in done} <= set(assets)
        assert all(item["versions"] == [1, 2] for item in assets.values())


def test_taken_port_is_told_in_one_line(server: Server, trained_store: Path, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    code, said = run_to_end("--port", port, "--models", str(trained_store), "--state", str(tmp_path))
    assert code == 1
    assert f"port {port}" in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_empty_store_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    code, said = run_to_end("--port", "0", "--models", str(tmp_path / name), "--state", str(tmp_path))
    assert code == 1
    assert name in said
    assert "Traceback" not in said


def test_open_network_without_keys_is_refused(trained_store: Path, tmp_path: Path) -> None:
    options = ("--port", "0", "--models", str(trained_store), "--state", str(tmp_path))
    code, said = run_to_end("--host", "0.0.0.0", *options)
    assert code == 1
    assert "OFFNORMAL_KEYS_FILE" in said
    assert "Traceback" not in said


def test_open_network_is_served_when_that_is_what_is_wanted(trained_store: Path, tmp_path: Path) -> None:
    with serving(
        trained_store, tmp_path, OFFNORMAL_HOST="0.0.0.0", OFFNORMAL_ALLOW_ANONYMOUS="true"
    ) as server:
        assert server.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OFFNORMAL_PORT", "many", "OFFNORMAL_PORT"),
        ("OFFNORMAL_RUNTIME", "torch", "OFFNORMAL_RUNTIME"),
        ("OFFNORMAL_MAX_WINDOWS", "100000", "queue_windows"),
        ("OFFNORMAL_DEFAULT_MODEL", "other", "tiny"),
        ("OFFNORMAL_KEYS_FILE", "/nonexistent", "/nonexistent"),
        ("OFFNORMAL_STATE", "/proc/nowhere", "/proc/nowhere"),
    ],
)
def test_setting_that_cannot_be_used_is_named(
    trained_store: Path, tmp_path: Path, variable: str, value: str, words: str
) -> None:
    code, said = run_to_end(
        **{
            "OFFNORMAL_MODELS": str(trained_store),
            "OFFNORMAL_STATE": str(tmp_path),
            "OFFNORMAL_PORT": "0",
            variable: value,
        }
    )
    assert code == 1
    assert words in said
    assert "Traceback" not in said


def test_misspelt_variable_is_warned_of(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path, OFFNORMAL_MAX_STEP="5") as server:
        assert "OFFNORMAL_MAX_STEP is no setting" in server.stderr


def test_serving_loads_neither_tensorflow_nor_data_frames(trained_store: Path, tmp_path: Path) -> None:
    with serving(trained_store, tmp_path) as server:
        if not Path("/proc").is_dir():
            pytest.skip("no /proc to look into")
        httpx.post(server.url + "/classify", json={"window": rows()})
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        for library in ("tensorflow", "polars", "matplotlib", "sklearn"):
            assert f"/{library}/" not in maps
