"""Several workers behind one port: what they count, what they share, how they end and come back."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.app import faulty, rows, until
from tests.e2e.server import Server, serving
from tests.e2e.test_serve import run_to_end

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc to look into")
ESTABLISHED = "01"
MODEL = {"model": "tiny", "version": "2"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def workers(count: int, store: Path, state: Path, **variables: str) -> Iterator[Server]:
    with serving(store, state, OFFNORMAL_WORKERS=str(count), **variables) as server:
        yield server


@pytest.fixture(scope="module", params=[2, 3], ids=["2 workers", "3 workers"])
def service(
    request: pytest.FixtureRequest, trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with workers(request.param, trained_store, tmp_path_factory.mktemp("state")) as server:
        yield server


def pids(server: Server) -> list[int]:
    """The workers that run now."""
    return [child.pid for child in psutil.Process(server.process.pid).children() if alive(child.pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def port(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def connected(server: Server) -> dict[int, str]:
    """The sockets of the service's end of each connection, by the port of ours."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(fields[2].rpartition(":")[2], 16): fields[9]
        for fields in lines
        if int(fields[1].rpartition(":")[2], 16) == port(server) and fields[3] == ESTABLISHED
    }


def worker_of(server: Server, near: int) -> int:
    """The worker that has the connection from this port of ours."""
    inodes = {connected(server)[near]}
    for pid in pids(server):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(link).removeprefix("socket:[").removesuffix("]") in inodes:
                    return pid
            except OSError:
                continue
    raise AssertionError("no worker has the connection")


class Caller:
    """One connection that is kept, and asks again after its worker was killed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connect()

    def _connect(self) -> None:
        self._http = httpx.Client(base_url=self._server.url, timeout=30, verify=False)

    def ask(self, method: str, path: str, **content: object) -> httpx.Response:
        return self._http.request(method, path, **content)  # type: ignore[arg-type]

    def worker(self) -> int:
        """Who answers it."""
        with self._http.stream("GET", "/livez") as response:
            near = response.extensions["network_stream"].get_extra_info("client_addr")[1]
            response.read()
            return worker_of(self._server, near)

    def close(self) -> None:
        self._http.close()


@contextmanager
def one_caller_each(server: Server) -> Iterator[dict[int, Caller]]:
    """A kept connection to every worker. Connections of before may not all be known to have ended."""
    callers: list[Caller] = []
    by_worker: dict[int, Caller] = {}
    deadline = time.monotonic() + 60
    while not set(pids(server)) <= set(by_worker):
        assert time.monotonic() < deadline, f"{len(callers)} connections, none at all workers: {by_worker}"
        callers.append(Caller(server))
        by_worker.setdefault(callers[-1].worker(), callers[-1])
    yield {pid: by_worker[pid] for pid in pids(server)}
    for caller in callers:
        caller.close()


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def scrape(server: Server) -> Samples:
    """Over a connection of its own, so by whichever worker's turn it is."""
    # The certificates that are not needed take longer to read than the answer.
    return read(httpx.get(server.url + "/metrics", timeout=30, verify=False).text)


def counters(samples: Samples) -> Samples:
    endings = ("_total", "_bucket", "_count", "_sum")
    return {key: number for key, number in samples.items() if key[0].endswith(endings)}


def send(server: Server, requests: int, asset: str, threads: int = 12) -> Counter[str]:
    """So many requests of two windows, one of them faulty, over many connections. Returns the verdicts."""
    body = {"windows": [{"asset": asset, "values": rows()}, {"asset": asset, "values": faulty()}]}

    def some(count: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:
            for _ in range(count):
                answer = client.post("/classify", json=body)
                assert answer.status_code == 200, answer.text
                seen.update(result["verdict"] for result in answer.json()["results"])
        return seen

    shares = [requests // threads + (k < requests % threads) for k in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(some, shares), Counter())


def classified(samples: Samples) -> float:
    return value(samples, "offnormal_requests_total", route="/classify", method="POST", status="200")


def test_a_scrape_tells_what_all_workers_counted(service: Server) -> None:
    before = scrape(service)
    verdicts = send(service, 300, "exact")
    for _ in range(2 * len(pids(service))):
        after = scrape(service)
        assert classified(after) - classified(before) == 300
        for ruling in ("normal", "anomalous"):
            counted = value(after, "offnormal_verdicts_total", **MODEL, asset="exact", verdict=ruling)
            assert counted == verdicts[ruling] == 300
        name = "offnormal_request_duration_seconds_count"
        assert value(after, name, route="/classify") - value(before, name, route="/classify") == 300
        name = "offnormal_p_value_count"
        assert value(after, name, **MODEL) - value(before, name, **MODEL) == 600
    name = "offnormal_sensor_windows_total"
    until(
        lambda: (
            value(scrape(service), name, **MODEL, sensor="Flow")
            == value(before, name, **MODEL, sensor="Flow") + 600
        )
    )


def test_every_worker_has_its_share_of_what_is_counted(service: Server) -> None:
    """Otherwise the test above would show nothing."""
    with one_caller_each(service) as callers:
        for number, caller in enumerate(callers.values(), start=1):
            before = classified(scrape(service))
            for _ in range(number):
                assert caller.ask("POST", "/classify", json={"window": rows()}).status_code == 200
            texts = [each.ask("GET", "/metrics").text for each in callers.values()]
            assert [classified(read(text)) for text in texts] == [before + number] * len(callers)


def test_no_counter_goes_backwards_while_requests_are_answered(service: Server) -> None:
    sending = threading.Thread(target=send, args=(service, 400, "steady", 4))
    sending.start()
    seen = [scrape(service)]
    while sending.is_alive():
        seen.append(scrape(service))
    assert classified(seen[-1]) - classified(seen[0]) > 100
    assert len({classified(samples) for samples in seen}) > 5
    for earlier, later in pairwise(seen):
        for key, number in counters(earlier).items():
            assert later[key] >= number, key


def test_killed_worker_comes_back_and_its_counts_stay(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path) as server:
        total, seen = 0, counters(scrape(server))
        by_sensor = ("offnormal_sensor_windows_total", frozenset({*MODEL.items(), ("sensor", "Flow")}))
        examples = seen[by_sensor]  # that the announcement is made of
        for round_number in range(3):
            total += send(server, 100, "killed")["normal"]
            # What is counted by sensor follows the answer by a moment.
            until(lambda total=total: scrape(server)[by_sensor] == examples + 2 * total)
            victim = sorted(pids(server))[round_number % 2]
            os.kill(victim, signal.SIGKILL)
            until(lambda victim=victim: victim not in pids(server))
            now = scrape(server)
            assert classified(now) == total
            for key, number in seen.items():
                assert counters(now)[key] >= number, key
            until(lambda count=round_number + 1: server.stderr.count("is ready again") == count)
            assert len(pids(server)) == 2
            with one_caller_each(server) as callers:
                texts = [caller.ask("GET", "/metrics").text for caller in callers.values()]
            for text in texts:
                samples = read(text)
                assert classified(samples) == total
                for ruling in ("normal", "anomalous"):
                    name = "offnormal_verdicts_total"
                    assert value(samples, name, **MODEL, asset="killed", verdict=ruling) == total
                assert value(samples, "offnormal_anomalous_probability_count", **MODEL) == 2 * total
                assert samples[by_sensor] == examples + 2 * total
                assert value(samples, "offnormal_requests_in_progress") == 1  # the scrape itself
                for key, number in seen.items():
                    assert counters(samples)[key] >= number, key
            seen = counters(read(texts[-1]))
        assert server.stop() == 0


def test_worker_killed_amid_requests_loses_no_count_of_what_was_answered(
    trained_store: Path, tmp_path: Path
) -> None:
    with workers(2, trained_store, tmp_path) as server:
        answered: list[int] = []
        broken: list[Exception] = []
        done = threading.Event()

        def call() -> None:
            client = httpx.Client(base_url=server.url, timeout=30, verify=False)
            while not done.is_set():
                try:
                    answer = client.post("/classify", json={"window": rows()})
                    answered.append(answer.status_code)
                except httpx.TransportError as error:
                    broken.append(error)
            client.close()

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for killed in range(1, 3):
            before = len(answered)
            until(lambda before=before: len(answered) > before + 50)
            os.kill(pids(server)[0], signal.SIGKILL)
            until(lambda killed=killed: server.stderr.count("is ready again") == killed)
        done.set()
        for thread in threads:
            thread.join(30)
        assert set(answered) == {200}
        counted = classified(scrape(server))
        # What was counted and then not answered, because its worker was killed in between.
        assert len(answered) <= counted <= len(answered) + len(broken)


def test_gauges_of_an_asset_tell_of_the_newest_window_whoever_judged_it(service: Server) -> None:
    here = {**MODEL, "asset": "moving"}
    run = []
    with one_caller_each(service) as callers:
        turns = [*callers.values()] * 3
        for caller, window in zip(
            turns, [faulty(), faulty(), rows(), faulty(), faulty(), faulty()], strict=False
        ):
            caller.ask("POST", "/classify", json={"windows": [{"asset": "moving", "values": window}]})
            shown = {
                value(read(each.ask("GET", "/metrics").text), "offnormal_asset_anomalous_run", **here)
                for each in callers.values()
            }
            (only,) = shown
            run.append(only)
    assert run == [1, 2, 0, 1, 2, 3]


def test_limit_of_assets_holds_over_all_workers(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path, OFFNORMAL_METRIC_ASSETS="3") as server:
        with one_caller_each(server) as callers:
            for number in range(4):
                for name, caller in zip("xy", callers.values(), strict=True):
                    body = {"windows": [{"asset": f"{name}{number}", "values": rows()}]}
                    assert caller.ask("POST", "/classify", json=body).status_code == 200
        samples = scrape(server)
        named = {
            dict(labels).get("asset") for name, labels in samples if name == "offnormal_verdicts_total"
        } - {None}
        assert named == {"x0", "y0", "x1", "other"}
        assert value(samples, "offnormal_verdicts_total", **MODEL, asset="other", verdict="normal") == 5


def test_baseline_that_one_worker_took_is_used_by_the_others_at_once(service: Server) -> None:
    def used(caller: Caller, asset: str) -> str:
        answer = caller.ask("POST", "/classify", json={"windows": [{"asset": asset, "values": rows()}]})
        used: str = answer.json()["results"][0]["baseline"]
        return used

    with one_caller_each(service) as callers:
        for number, giver in enumerate(callers.values()):
            asset = f"P-{number}"
            assert {used(caller, asset) for caller in callers.values()} == {"model"}
            put = giver.ask("PUT", f"/assets/{asset}/baseline", json={"values": rows(100)})
            assert put.status_code == 201
            assert {used(caller, asset) for caller in callers.values()} == {"asset"}
            texts = [caller.ask("GET", "/metrics").text for caller in callers.values()]
            assert {value(read(text), "offnormal_asset_baselines") for text in texts} == {number + 1}


def test_connections_are_spread_evenly(service: Server) -> None:
    count = len(pids(service))
    until(lambda: not connected(service))
    time.sleep(0.2)  # for the first process to be told
    callers = [Caller(service) for _ in range(16)]
    spread = Counter(caller.worker() for caller in callers)
    for caller in callers:
        caller.close()
    assert sorted(spread.values()) == sorted(16 // count + (k < 16 % count) for k in range(count))


def test_limits_of_the_service_are_those_that_were_set(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path, OFFNORMAL_MAX_BODIES_MB="80") as server:
        samples = scrape(server)
        assert value(samples, "offnormal_body_bytes_limit") == 80_000_000
        assert value(samples, "offnormal_queue_windows_limit") == 2 * 8192
        assert value(samples, "offnormal_ready") == 1


def test_processor_time_does_not_go_backwards_when_a_worker_is_killed(
    trained_store: Path, tmp_path: Path
) -> None:
    with workers(2, trained_store, tmp_path) as server:
        seen = [value(scrape(server), "process_cpu_seconds_total")]
        began = value(scrape(server), "process_start_time_seconds")
        os.kill(pids(server)[0], signal.SIGKILL)
        while "is ready again" not in server.stderr:
            seen.append(value(scrape(server), "process_cpu_seconds_total"))
        seen += [value(scrape(server), "process_cpu_seconds_total") for _ in range(4)]
        assert seen == sorted(seen)
        assert seen[0] > 0.5
        assert value(scrape(server), "process_start_time_seconds") == began


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_finds_nothing_to_complain_of(service: Server) -> None:
    send(service, 6, "checked")
    with one_caller_each(service) as callers:
        texts = [caller.ask("GET", "/metrics").text for caller in callers.values()]
    for text in texts:
        done = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_service_is_ready_only_once_every_worker_is(trained_store: Path, tmp_path: Path) -> None:
    options = ("--port", "0", "--models", str(trained_store), "--state", str(tmp_path), "--workers", "3")
    server = Server(*options)
    try:
        until(lambda: server.said("listening on"))
        until(lambda: server.get("/readyz").status_code == 200, 60)
        with one_caller_each(server) as callers:
            assert len(callers) == 3
            assert {caller.ask("GET", "/readyz").status_code for caller in callers.values()} == {200}
        assert server.stop() == 0
    finally:
        server.process.kill()


def test_worker_that_loads_is_asked_nothing(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path) as server:
        os.kill(pids(server)[0], signal.SIGKILL)
        codes = set()
        while "is ready again" not in server.stderr:
            with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:
                codes.add(client.post("/classify", json={"window": rows()}).status_code)
        assert codes == {200}


def test_sigterm_makes_all_workers_unready_then_drains_and_exits_with_0(
    trained_store: Path, tmp_path: Path
) -> None:
    with workers(2, trained_store, tmp_path, OFFNORMAL_DRAIN_S="4") as server:
        running = pids(server)
        with one_caller_each(server) as callers:
            server.process.send_signal(signal.SIGTERM)
            for caller in callers.values():
                until(lambda caller=caller: caller.ask("GET", "/readyz").status_code == 503)
                assert caller.ask("POST", "/classify", json={"window": rows()}).status_code == 200
            fresh = httpx.post(server.url + "/classify", json={"window": rows()})
            assert fresh.status_code == 200
        assert server.process.wait(30) == 0
        assert not any(map(alive, running))
        assert "Traceback" not in server.stderr


def test_request_under_way_is_answered_before_the_end(trained_store: Path, tmp_path: Path) -> None:
    body = b'{"window": ' + str(rows()).encode() + b"}"
    head = (
        f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    with workers(2, trained_store, tmp_path, OFFNORMAL_DRAIN_S="0") as server:
        connections = [socket.create_connection(("127.0.0.1", port(server))) for _ in range(4)]
        for connection in connections:
            connection.sendall(head.encode() + b"\r\n\r\n" + body[:20])
        until(lambda: value(scrape(server), "offnormal_requests_in_progress") == 5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        for connection in connections:
            connection.sendall(body[20:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.close()
        assert server.process.wait(30) == 0


def test_interrupt_stops_at_once_with_0(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path, OFFNORMAL_DRAIN_S="30") as server:
        running = pids(server)
        started = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - started < 10
        assert not any(map(alive, running))


def test_worker_that_does_not_end_is_killed_and_the_exit_code_tells(
    trained_store: Path, tmp_path: Path
) -> None:
    with workers(
        2, trained_store, tmp_path, OFFNORMAL_DRAIN_S="0", OFFNORMAL_SHUTDOWN_TIMEOUT_S="1"
    ) as server:
        running = pids(server)
        os.kill(running[0], signal.SIGSTOP)
        assert server.stop() == 1
        assert not any(map(alive, running))


def test_worker_that_says_nothing_is_replaced(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path, OFFNORMAL_HANG_AFTER_S="3") as server:
        stopped = pids(server)[0]
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: "is ready again" in server.stderr, 60)
        assert "silent for 3 s" in server.stderr
        assert not alive(stopped)
        assert len(pids(server)) == 2


def test_worker_that_is_told_to_go_answers_and_is_replaced(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path) as server:
        gone = pids(server)[0]
        os.kill(gone, signal.SIGTERM)
        until(lambda: "is ready again" in server.stderr, 60)
        assert "ended with exit code 0" in server.stderr
        assert gone not in pids(server)


def test_workers_end_when_the_first_process_is_killed(trained_store: Path, tmp_path: Path) -> None:
    with workers(2, trained_store, tmp_path) as server:
        running = pids(server)
        server.process.kill()
        until(lambda: not any(map(alive, running)))


def test_store_without_a_whole_model_ends_the_start_and_says_why(tiny_store: Path, tmp_path: Path) -> None:
    for network in tiny_store.rglob("model.onnx"):
        network.write_bytes(b"nothing")
    code, said = run_to_end(
        *("--port", "0", "--models", str(tiny_store), "--state", str(tmp_path / "state"), "--workers", "2")
    )
    assert code == 1
    assert said.count("model tiny version 2 REFUSED") == 1
    assert said.count("error:") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("variable", "content", "words"),
    [
        ("OFFNORMAL_KEYS_FILE", "/nonexistent", "/nonexistent"),
        ("OFFNORMAL_WORKERS", "0", "OFFNORMAL_WORKERS"),
    ],
)
def test_setting_that_cannot_be_used_is_named_once(
    trained_store: Path, tmp_path: Path, variable: str, content: str, words: str
) -> None:
    variables = {
        "OFFNORMAL_MODELS": str(trained_store),
        "OFFNORMAL_STATE": str(tmp_path),
        "OFFNORMAL_PORT": "0",
        "OFFNORMAL_WORKERS": "2",
        variable: content,
    }
    code, said = run_to_end(**variables)
    assert code == 1
    assert words in said
    assert said.count("error:") == 1
    assert "Traceback" not in said
