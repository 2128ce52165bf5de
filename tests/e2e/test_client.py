"""The Python client against real servers: answers, problems, refusals under load, restarts, frames."""

import asyncio
import http.server
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import Detector, ModelStore, Options
from evaluation.scoring import Cut, score_recording
from history.read import read_bytes
from offnormal.client import (
    AsyncClient,
    Client,
    ClientError,
    Failure,
    NotOffnormal,
    Problem,
    Result,
    Retries,
    ServiceUnreachable,
    Window,
)
from tests.contract.app import by_sensor, faulty, rows
from tests.e2e.server import ROOT, Server, serving
from tests.plant import SENSORS, recording, to_csv

AT_ONCE = Retries(attempts=1)
EXPORT = to_csv(recording("run", 300, seed=3, fault=(200, 260), sensor=0, size=6.0))


@pytest.fixture(scope="module")
def server(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained_store, tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def verdicts(results: Any) -> list[str]:
    return [result.verdict for result in results]


def test_windows_are_answered_in_order_with_typed_results(client: Client) -> None:
    answer = client.classify(
        [
            Window(readings=by_sensor(rows()), id="good", asset="A"),
            Window(values=faulty(), id=2),
        ],
        explain=True,
        reconstruct=True,
    )
    assert (answer.model.name, answer.model.version, len(answer.model.sha256)) == ("tiny", 2, 64)
    good, bad = answer.results
    assert (good.id, good.asset, good.verdict, bad.id, bad.verdict) == ("good", "A", "normal", 2, "anomalous")
    assert bad.contributions is not None
    assert bad.contributions[0].sensor == "Pressure"
    assert bad.reconstruction is not None
    assert bad.reconstruction["Pressure"] is not None
    assert len(bad.reconstruction["Pressure"]) == 12
    assert bad.probabilities is not None
    assert sum(bad.probabilities.values()) == pytest.approx(1)


def test_arrays_and_missing_readings_and_datetimes_may_stand_in_a_window(client: Client) -> None:
    readings: dict[str, Any] = {name: np.array(column) for name, column in by_sensor(rows()).items()}
    readings["Flow"][3] = np.nan
    start = datetime(2026, 9, 21, tzinfo=UTC)
    stamps = [start + timedelta(seconds=i) for i in range(12)]
    (result,) = client.classify([Window(readings=readings, timestamps=stamps)]).results
    assert [(item.sensor, item.issue) for item in result.quality.issues] == [("Flow", "gaps")]


def test_bad_window_raises_a_problem_with_code_place_and_what_was_expected(client: Client) -> None:
    with pytest.raises(Problem) as caught:
        client.classify([Window(values=rows()), Window(readings={"Presure": [1.0] * 12})])
    problem = caught.value
    assert (problem.status, problem.code, problem.place) == (
        422,
        "unknown_sensor",
        "windows[1].readings.Presure",
    )
    assert problem.expected is not None
    assert "Pressure" in problem.expected
    assert problem.request_id
    assert "windows[1].readings.Presure" in str(problem)


def test_bad_window_is_a_failure_among_results_where_each_is_asked_for(client: Client) -> None:
    good, bad = client.classify_each([Window(values=rows(), id=1), Window(values=[], id=2)]).results
    assert isinstance(good, Result)
    assert isinstance(bad, Failure)
    assert (bad.id, bad.error.code, bad.error.place) == (2, "window_too_short", "windows[1].values")


@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f8", "i4"])
def test_array_is_answered_as_its_windows_are(client: Client, dtype: str) -> None:
    array = np.array([rows(), faulty()]).astype(dtype)
    in_json = client.classify([Window(values=window.astype(float)) for window in array], explain=True)
    assert client.classify_array(array, explain=True) == in_json


def test_file_is_judged_row_by_row(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(EXPORT)
    answer = client.classify_csv(path)
    assert [result.id for result in answer.results] == list(range(1, 301))
    assert client.classify_csv(EXPORT.encode(), rows=2) == type(answer)(answer.model, answer.results[-2:])


def test_compressed_bodies_are_answered_alike(server: Server, client: Client) -> None:
    with Client(server.url, gzip_above_bytes=100) as compressing:
        assert compressing.classify_csv(EXPORT.encode(), rows=5) == client.classify_csv(
            EXPORT.encode(), rows=5
        )


def test_asset_is_commissioned_shown_listed_and_forgotten(client: Client) -> None:
    assert client.baseline("Pump 7/ü") is None
    made = client.commission("Pump 7/ü", by_sensor(rows(100)), model="tiny")
    assert (made.asset, made.rows, set(made.sensors)) == ("Pump 7/ü", 100, set(SENSORS))
    assert client.baseline("Pump 7/ü") == made
    assert client.classify([Window(values=rows(), asset="Pump 7/ü")]).results[0].baseline == "asset"
    assert "Pump 7/ü" in [item.asset for item in client.assets()]
    client.delete_baseline("Pump 7/ü")
    assert client.baseline("Pump 7/ü") is None
    with pytest.raises(Problem, match="baseline_not_found"):
        client.delete_baseline("Pump 7/ü")


def test_models_are_listed_and_described(client: Client) -> None:
    listed = client.models()
    assert (listed.default, listed.models[0].name) == ("tiny", "tiny")
    detail = client.model()
    assert [sensor.name for sensor in detail.sensors] == list(SENSORS)
    assert (detail.window.steps, detail.classes, client.model("tiny", 1).version) == (
        12,
        ("normal", "anomalous"),
        1,
    )
    assert client.ready()


# Frames


def frame_of(text: str) -> Any:
    import pandas as pd

    return pd.read_csv(io.StringIO(text), index_col="time", parse_dates=True).drop(columns="anomaly")


@pytest.mark.parametrize(
    "size", [1000, 30, 2], ids=["one request", "three requests", "a request for two rows"]
)
def test_rows_of_a_frame_are_judged_as_those_of_the_file_whatever_the_size_of_requests(
    client: Client, trained_store: Path, size: int
) -> None:
    lines = EXPORT.splitlines()
    # With a silence, so that windows must not span it, and short for the sake of many requests.
    text = "\n".join([*lines[:20], *lines[195:250]])
    answer = client.classify_frame(frame_of(text), rows_per_request=size, explain=True)
    detector = Detector.load(ModelStore(trained_store).folder("tiny"))
    scored = [
        row
        for chunk in score_recording(read_bytes(text.encode()), detector, Cut(), Options(explain=True))
        for row in chunk
    ]
    assert answer.index.equals(frame_of(text).index)
    assert list(answer["verdict"]) == [row.verdict for row in scored]
    assert {row.verdict for row in scored} == {"normal", "anomalous", "cannot_judge"}
    expected = [np.nan if row.p_value is None else row.p_value for row in scored]
    assert list(answer["p_value"]) == pytest.approx(expected, nan_ok=True, rel=1e-4)
    assert list(answer["issues"]) == [";".join(row.issues) for row in scored]
    top = answer[answer["verdict"] == "anomalous"][[f"share_{name}" for name in SENSORS]].idxmax(axis=1)
    assert top.mode()[0] == "share_Pressure"
    assert (answer.attrs["model"]["name"], answer.attrs["model"]["version"]) == ("tiny", 2)


def test_newest_rows_of_a_frame_are_judged_with_what_comes_before_them(client: Client) -> None:
    frame = frame_of(EXPORT)
    whole = client.classify_frame(frame)
    newest = client.classify_frame(frame, rows=7)
    assert newest.index.equals(frame.index[-7:])
    assert list(newest["verdict"]) == list(whole["verdict"][-7:])
    assert set(newest["steps"]) == {12}
    assert client.classify_frame(frame, rows="last").index.equals(frame.index[-1:])


def test_zone_of_a_frame_is_kept_and_a_frame_without_time_has_even_rows(client: Client) -> None:
    frame = frame_of(EXPORT).iloc[:30]
    abroad = frame.tz_localize("UTC").tz_convert("Asia/Tokyo")
    answer = client.classify_frame(abroad)
    assert answer.index.equals(abroad.index)
    plain = client.classify_frame(frame.reset_index(drop=True))
    assert list(plain.index) == list(range(30))
    assert list(plain["p_value"]) == pytest.approx(list(answer["p_value"]), nan_ok=True)


def test_frame_commissions_an_asset(client: Client) -> None:
    made = client.commission_frame("frame", frame_of(EXPORT).iloc[:150])
    assert made.rows == 150
    assert set(client.classify_frame(frame_of(EXPORT), asset="frame", rows=5)["baseline"]) == {"asset"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: {"frame": frame.iloc[:1]}, "1 rows, expected at least 2"),
        (lambda frame: {"frame": frame, "rows_per_request": 1}, "expected at least 2"),
        (lambda frame: {"frame": frame, "reconstruct": True}, "does not fit a row"),
    ],
    ids=["one row", "one row a request", "reconstruction"],
)
def test_frame_that_cannot_be_judged_is_refused(
    client: Client, change: Callable[[Any], dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        client.classify_frame(**change(frame_of(EXPORT)))


# Asynchronous


def test_asynchronous_client_answers_the_same(server: Server, client: Client) -> None:
    array = np.array([rows(), faulty()])
    windows = [Window(values=window) for window in array]

    async def ask() -> list[Any]:
        async with AsyncClient(server.url) as asking:
            return list(
                await asyncio.gather(
                    asking.classify(windows, explain=True),
                    asking.classify_array(array),
                    asking.classify_csv(EXPORT.encode(), rows=3),
                    asking.classify_each([Window(values=[])]),
                    asking.model(),
                    asking.models(),
                    asking.ready(),
                    asking.classify_frame(frame_of(EXPORT), rows=3),
                )
            )

    classified, of_array, of_csv, each, model, models, ready, frame = asyncio.run(ask())
    assert classified == client.classify(windows, explain=True)
    assert verdicts(of_array.results) == ["normal", "anomalous"]
    assert [result.id for result in of_csv.results] == [298, 299, 300]
    assert isinstance(each.results[0], Failure)
    assert (model, models, ready) == (client.model(), client.models(), True)
    assert len(frame) == 3


def test_asynchronous_client_commissions_and_forgets(server: Server) -> None:
    async def ask() -> None:
        async with AsyncClient(server.url) as asking:
            made = await asking.commission("async", by_sensor(rows(100)))
            assert await asking.baseline("async") == made
            assert "async" in [item.asset for item in await asking.assets()]
            await asking.delete_baseline("async")
            assert await asking.baseline("async") is None
            with pytest.raises(Problem, match="window_too_short"):
                await asking.classify([Window(values=[])])

    asyncio.run(ask())


# Keys


def test_key_is_sent(trained_store: Path, tmp_path: Path) -> None:
    import hashlib

    key = "a-long-random-word"
    digest = hashlib.sha256(key.encode()).hexdigest()
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{"name": "scada", "sha256": digest, "roles": ["classify"]}]})
    )
    with serving(trained_store, tmp_path, OFFNORMAL_KEYS_FILE=str(tmp_path / "keys.json")) as server:
        with Client(server.url, key=key) as client:
            assert verdicts(client.classify([Window(values=rows())]).results) == ["normal"]
            with pytest.raises(Problem, match="403 key_not_allowed"):
                client.assets()
        with Client(server.url) as client, pytest.raises(Problem, match="401 key_required"):
            client.classify([Window(values=rows())])


# Under load, and when the service goes away


def test_refusals_of_a_full_service_are_waited_out(trained_store: Path, tmp_path: Path) -> None:
    """Real 429s: the queue holds the windows of one or two of fifteen requests that come at once."""
    small = {"OFFNORMAL_QUEUE_WINDOWS": "300", "OFFNORMAL_MAX_WINDOWS": "200", "OFFNORMAL_BATCH_WINDOWS": "1"}
    windows = [Window(values=rows())] * 200
    with serving(trained_store, tmp_path, **small) as server:

        def ask(retries: Retries) -> int:
            with Client(server.url, retries=retries) as client, suppress(Problem):
                return len(client.classify(windows).results)
            return 0

        def crowd(retries: Retries) -> list[int]:
            with ThreadPoolExecutor(15) as pool:
                return list(pool.map(ask, [retries] * 30))

        assert 0 < sum(crowd(AT_ONCE)) < 30 * 200
        refused = sum('"code": "queue_full"' in line for line in server.out)
        assert refused > 0
        assert crowd(Retries(attempts=40, longest_wait_s=1)) == [200] * 30
        assert sum('"code": "queue_full"' in line for line in server.out) > refused


def test_service_that_is_killed_and_started_again_is_waited_for(trained_store: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ("--port", port, "--models", str(trained_store), "--state", str(tmp_path))
    first = Server(*options).until_ready()
    second: list[Server] = []
    try:
        with Client(first.url, retries=Retries(attempts=60, longest_wait_s=0.5)) as client:
            assert client.ready()
            first.stop(signal.SIGKILL)
            with Client(first.url, retries=AT_ONCE) as hasty, pytest.raises(ServiceUnreachable):
                hasty.models()
            starting = threading.Timer(1.0, lambda: second.append(Server(*options)))
            starting.start()
            # The connection it holds is dead, then nobody listens, then models are being loaded.
            assert verdicts(client.classify([Window(values=faulty())]).results) == ["anomalous"]
            starting.join()
    finally:
        for server in (first, *second):
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait(10)


def test_nobody_at_the_address_is_told_after_the_attempts(trained_store: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    client = Client(url, retries=Retries(attempts=3, first_wait_s=0.1))
    with client, pytest.raises(ServiceUnreachable, match=f"no answer from {url}"):
        client.classify([Window(values=rows())])
    assert 0.15 <= time.monotonic() - started < 3


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://plant", "http://", "http://plant:port"])
def test_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ClientError, match="is no address of a service"):
        Client(url)


# Faults that no healthy service shows: a server of the test's own, over a socket all the same.

Answer = tuple[int, dict[str, str], bytes] | None
GOOD = json.dumps({"default": "tiny", "models": []}).encode()


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[tuple[float, Any]]]]:
    """A server that gives these answers in turn, None hanging up. Its address, and when it was asked what."""
    asked: list[tuple[float, Any]] = []
    waiting = iter(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            asked.append((time.monotonic(), (self.command, self.path, dict(self.headers))))
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = next(waiting)
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem(status: int, code: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return status, named, json.dumps({"status": status, "code": code, "detail": "so it is"}).encode()


def pauses(asked: list[tuple[float, Any]]) -> list[float]:
    moments = [moment for moment, _ in asked]
    return [later - earlier for earlier, later in pairwise(moments)]


@pytest.mark.parametrize(
    "passing",
    [
        problem(429, "queue_full"),
        problem(503, "not_ready"),
        problem(504, "deadline_passed"),
        (502, {}, b"<html>bad gateway</html>"),
        None,
    ],
    ids=["429", "503", "504", "a proxy's 502", "hung up"],
)
def test_what_may_pass_is_tried_again_after_pauses_that_grow(passing: Answer) -> None:
    answers = (passing, passing, passing, (200, {}, GOOD))
    with answering(*answers) as (url, asked), Client(url, retries=Retries(first_wait_s=0.1)) as client:
        assert client.models().default == "tiny"
    first, second, third = pauses(asked)
    assert 0.05 <= first < 0.2
    assert 0.1 <= second < 0.4
    assert 0.2 <= third < 0.8


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (lambda: "1", 1.0, 1.5),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True), 0.8, 2.8),
        (lambda: "soon", 0.0, 0.3),
    ],
    ids=["seconds", "a date", "neither"],
)
def test_pause_is_what_the_service_asks_for(header: Callable[[], str], least: float, most: float) -> None:
    answers = (problem(429, "queue_full", Retry_After=header()), (200, {}, GOOD))
    with answering(*answers) as (url, asked), Client(url, retries=Retries(first_wait_s=0.1)) as client:
        client.models()
    (pause,) = pauses(asked)
    assert least <= pause < most


def test_pause_beyond_reason_is_not_waited_for() -> None:
    with (
        answering(problem(429, "queue_full", Retry_After="86400")) as (url, asked),
        Client(url) as client,
        pytest.raises(Problem) as caught,
    ):
        client.models()
    assert caught.value.retry_after_s == 86400
    assert len(asked) == 1


def test_time_for_all_attempts_is_bounded() -> None:
    with (
        answering(*[problem(503, "not_ready")] * 50) as (url, asked),
        Client(url, retries=Retries(50, 0.1, 0.1, give_up_after_s=0.5)) as client,
        pytest.raises(Problem, match="503 not_ready"),
    ):
        client.models()
    assert 4 <= len(asked) <= 11


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500], ids=str)
def test_what_does_not_get_better_is_not_repeated(status: int) -> None:
    with (
        answering(problem(status, "some_code")) as (url, asked),
        Client(url) as client,
        pytest.raises(Problem, match=f"{status} some_code: so it is"),
    ):
        client.models()
    assert len(asked) == 1


@pytest.mark.parametrize("status", [200, 404], ids=str)
@pytest.mark.parametrize("content", [b"<html>hello</html>", b"[1]", b"\xff"], ids=["page", "list", "bytes"])
def test_other_server_is_recognised(status: int, content: bytes) -> None:
    with (
        answering((status, {}, content)) as (url, _),
        Client(url) as client,
        pytest.raises(NotOffnormal, match=f"answered {status} with nothing that") as caught,
    ):
        client.models()
    assert caught.value.status == status


def test_deadline_is_told_and_kept() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with Client(url, timeout_s=0.5, retries=AT_ONCE) as client, pytest.raises(ServiceUnreachable):
            client.models()
        assert 0.5 < time.monotonic() - started < 5
        connection, _ = silent.accept()
        with connection:
            assert b"request-timeout: 0.5\r\n" in connection.recv(4096).lower()


def test_deletion_whose_answer_was_lost_counts_as_done() -> None:
    with answering(None, problem(404, "baseline_not_found")) as (url, asked), Client(url) as client:
        client.delete_baseline("P-101")
    assert len(asked) == 2


def test_asynchronous_client_waits_and_gives_up_alike() -> None:
    async def ask(url: str) -> None:
        async with AsyncClient(url, retries=Retries(attempts=3, first_wait_s=0.01)) as client:
            assert (await client.models()).default == "tiny"
            with pytest.raises(Problem, match="503 not_ready"):
                await client.models()
            assert await client.ready() is False

    busy = problem(429, "queue_full")
    ready: Answer = (503, {}, json.dumps({"ready": False, "reason": "loading"}).encode())
    answers = (busy, None, (200, {}, GOOD), *[problem(503, "not_ready")] * 3, ready)
    with answering(*answers) as (url, asked):
        asyncio.run(ask(url))
    assert len(asked) == 7


# The guide

GUIDE = re.findall(r"<!-- run -->\n```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(GUIDE)))
def test_code_of_the_guide_runs_as_it_is_printed(server: Server, number: int) -> None:
    code = GUIDE[number].replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tiny" in done.stdout
    if number == 0:
        assert done.stdout.splitlines()[-1] == "unknown_sensor at windows[0].readings.Presure"


def test_methods_and_defaults_of_the_guide_are_those_of_the_client() -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert {name for name in methods if f"`{name}" not in text} == set()
    assert {name for name in vars(AsyncClient) if not name.startswith("_")} - {"aclose"} == methods
    rules = Retries()
    pauses = f"pauses from {rules.first_wait_s} s doubling to {rules.longest_wait_s:g} s"
    assert f"{rules.attempts} attempts, {pauses}" in text
    assert f"up to {rules.longest_asked_s:g} s; two minutes in all" in text.replace("\n", " ")
    assert rules.give_up_after_s == 120
