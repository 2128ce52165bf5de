"""`offnormal simulate`: files, and streams to a real service."""

import csv
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cli.main import app
from cli.service_client import Patience, ServedModel, ServiceClient
from cli.simulate import read_fault
from cli.simulator.feed import Answered, Commissioned, Commissioning, Event, Failed, Feed, Snapshot
from cli.simulator.metrics import PlantMetrics
from cli.simulator.tally import PlantTally
from cli.simulator.view import PlantView
from history.faults import FAULTS
from history.read import read_file, read_paths
from history.schedule import SIZES, Episode
from tests.plant import SENSORS
from tests.unit.cli.conftest import run_service

SHIFT = Episode("P-101", "shift", (0,), 8.0, 10, 50)


def simulate(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


class Running:
    """`offnormal simulate` in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "simulate", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._readers = [
            threading.Thread(target=self._said.extend, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def said(self) -> str:
        return "".join(self._said)

    def until(self, test: Callable[[], object], seconds: float = 30.0) -> None:
        limit = time.monotonic() + seconds
        while not test():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < limit, self.said
            time.sleep(0.05)

    def until_said(self, words: str) -> None:
        self.until(lambda: words in self.said)

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, as Prometheus sees them."""
        found = re.search(r"metrics: (http://\S+)", self.said)
        assert found, self.said
        text = httpx.get(found[1], trust_env=False).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def end(self, sig: int | None = None, seconds: float = 30.0) -> int:
        if sig is not None:
            self.process.send_signal(sig)
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code


@contextmanager
def running(*arguments: object) -> Iterator[Running]:
    plant = Running(*arguments)
    try:
        yield plant
    finally:
        if plant.process.poll() is None:
            plant.process.kill()
            plant.process.wait()


# Files


def test_file_is_read_back_with_labels_sensors_and_period(tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "pump.csv"
    explicit = ["--fault", "ramp:Flow:6@P-101+30/40", "--fault", "noise:Pressure,Flow:4@P-101+100/25"]
    code, _, said = simulate(
        "--models", tiny_store, "--assets", 1, "--steps", 200, "--baseline-rows", 60, "--out", out, *explicit
    )
    assert code == 0
    recording = read_file(out)
    assert recording.sensors == SENSORS
    assert recording.period_s == 1.0
    assert recording.labels is not None
    expected = np.array(["normal"] * 260, "<U6")
    expected[90:130], expected[160:185] = "ramp", "noise"
    assert recording.labels.tolist() == expected.tolist()
    assert np.isfinite(recording.values).all()
    assert "195 rows normal, 40 rows ramp, 25 rows noise" in said


def test_readings_survive_the_file_exactly(tiny_store: Path, tmp_path: Path) -> None:
    simulate("--models", tiny_store, "--steps", 50, "--out", tmp_path / "plant")
    path = tmp_path / "plant" / "P-102.csv"
    cells = [row[1:-1] for row in csv.reader(io.StringIO(path.read_text()))][1:]
    np.testing.assert_array_equal(read_file(path).values, np.array(cells, float))
    assert max(len(cell) for row in cells for cell in row) <= 9


def test_folder_has_a_file_for_each_machine_the_last_always_normal(tiny_store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    simulate("--models", tiny_store, "--minutes", 20, "--out", folder)
    recordings = {recording.name: recording for recording in read_paths([folder])}
    assert list(recordings) == ["P-101.csv", "P-102.csv", "P-103.csv"]
    found: list[set[str]] = []
    for recording in recordings.values():
        assert len(recording) == 1200 + 1200
        assert recording.labels is not None
        assert set(recording.labels[:1200].tolist()) == {"normal"}
        found.append(set(recording.labels.tolist()) - {"normal"})
    assert found[0] | found[1] == set(FAULTS)
    assert found[2] == set()


def test_same_seed_gives_the_same_files(tiny_store: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        simulate("--models", tiny_store, "--steps", 300, "--seed", seed, "--out", tmp_path / name)
    one, two, three = ((tmp_path / name / "P-101.csv").read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_score_finds_the_shift_and_little_else(tiny_store: Path, tmp_path: Path) -> None:
    """The file is what `score` reads, and its machine is normal once commissioned."""
    out, verdicts = tmp_path / "pump.csv", tmp_path / "verdicts.csv"
    arguments = ["--assets", 1, "--steps", 600, "--fault", "shift:Pressure:8@P-101+300/60", "--out", out]
    simulate("--models", tiny_store, *arguments)
    score = ["score", out, "--models", tiny_store, "--baseline-rows", 1200, "--out", verdicts]
    assert CliRunner().invoke(app, list(map(str, score))).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(verdicts.read_text())))[1200:]
    called = {
        label: [row["verdict"] for row in rows if row["label"] == label] for label in ("normal", "shift")
    }
    assert called["shift"].count("anomalous") > 50
    assert called["normal"].count("normal") > 0.85 * len(called["normal"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "plant"], "--out needs an end"),
        (["--out", "plant.csv", "--steps", 9], "3 machines need a folder"),
        (["--minutes", 1, "--steps", 9], "--minutes or --steps, not both"),
        (["--asset", "A", "--assets", 2], "--asset or --assets, not both"),
        (["--asset", "A", "--asset", "A"], "the same name"),
        (["--asset", " A"], "1 to 128 printable characters"),
        (["--no-faults", "--kind", "ramp"], "only one of --fault, --kind and --no-faults"),
        (["--fault", "ramp:Flow:6@P-9+1/9"], "no machine 'P-9'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_arguments_that_do_not_fit_together_are_refused(
    tiny_store: Path, arguments: list[object], message: str
) -> None:
    code, _, error = simulate("--models", tiny_store, *arguments)
    assert code == 2
    assert message in re.sub(r"\s*│\s*", " ", error)


def test_overlapping_faults_are_refused(tiny_store: Path) -> None:
    faults = ["--fault", "ramp:Flow:6@P-101+1/9", "--fault", "shift:Flow:6@P-101+5/9"]
    code, _, error = simulate("--models", tiny_store, *faults)
    assert code == 1
    assert "P-101: ramp until step 10 and shift from step 5 overlap" in error


# A fault in words


def test_fault_is_read_with_its_names_as_they_are() -> None:
    sensors, assets = ("Flow: in", "Flow@2", "Level+1"), ("P-101", "Pump 7+8")
    found = read_fault("mode:Flow: in,Level+1:4.5@Pump 7+8+60/90", sensors, assets, period_s=30)
    assert found == Episode("Pump 7+8", "mode", (0, 2), 4.5, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shift", "expected KIND:SENSOR"),
        ("shift:Flow:5@P-101", "expected KIND:SENSOR"),
        ("shift:Flow:1.2.3@P-101+0/9", "expected KIND:SENSOR"),
        ("rust:Flow:5@P-101+0/9", "no kind 'rust'; there are: shift, ramp"),
        ("shift:Flaw:5@P-101+0/9", "no sensor 'Flaw'"),
        ("swap:Flow,Flow:5@P-101+0/9", "a sensor is named twice"),
        ("shift:Flow:5@P-7+0/9", "no machine 'P-7'; there are: P-101"),
        ("shift:Flow:0@P-101+0/9", "size above 0"),
        ("shift:Flow:5@P-101+0/0.5", "length of at least one reading, 1 s"),
    ],
    ids=lambda value: value,
)
def test_fault_that_cannot_be_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(message)):
        read_fault(text, ("Pressure", "Flow"), ("P-101",), 1.0)


# Metrics


def test_metrics_of_the_truth_equal_the_labels(tiny_store: Path, tmp_path: Path) -> None:
    simulate("--models", tiny_store, "--minutes", 20, "--out", tmp_path / "plant")
    recording = read_file(tmp_path / "plant" / "P-101.csv")
    metrics = PlantMetrics(["P-101", "P-102"], list(FAULTS))
    assert recording.labels is not None
    for label in recording.labels.tolist():
        fault = None if label == "normal" else Episode("P-101", label, (0,), 1.0, 0, 1)
        metrics.truth("P-101", fault)
        active = {kind: sample(metrics, "fault_active", asset="P-101", fault=kind) for kind in FAULTS}
        assert active == {kind: float(kind == label) for kind in FAULTS}
        assert sample(metrics, "anomalous", asset="P-101") == float(label != "normal")
        assert sample(metrics, "anomalous", asset="P-102") == 0.0


def test_all_series_of_the_truth_are_there_from_the_beginning() -> None:
    metrics = PlantMetrics(["A", "B"], ["shift", "ramp"])
    samples = [s for metric in metrics.registry.collect() for s in metric.samples]
    active = [(s.labels["asset"], s.labels["fault"]) for s in samples if s.name.endswith("fault_active")]
    assert active == [("A", "shift"), ("A", "ramp"), ("B", "shift"), ("B", "ramp")]
    verdicts = [s.labels["verdict"] for s in samples if s.name.endswith("windows_total")]
    assert verdicts == ["normal", "anomalous", "cannot_judge"] * 2


def test_metrics_have_help_and_names_as_prometheus_wants_them() -> None:
    for metric in PlantMetrics(["A"], ["shift"]).registry.collect():
        assert re.fullmatch(r"offnormal_plant_[a-z_]+", metric.name)
        assert metric.documentation.endswith(".")
        assert not any(s.name.endswith("_created") for s in metric.samples)


def sample(metrics: PlantMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"offnormal_plant_{name}", labels)


def test_metrics_and_kinds_of_the_documentation_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    described = re.findall(r"^\| `(offnormal_plant_\w+)\{([\w,]+)\}`", page, re.MULTILINE)
    metrics = PlantMetrics(["A"], ["shift"])
    metrics.request("A", "200", 0.1)
    metrics.retry("A", "429")
    samples = {
        re.sub("_(bucket|sum|count)$", "", s.name): ",".join(name for name in s.labels if name != "le")
        for metric in metrics.registry.collect()
        for s in metric.samples
    }
    assert dict(described) == samples
    sizes = re.findall(r"^\| `(\w+)` \|.*\| (?:(\d) to (\d)|none) \|$", page, re.MULTILINE)
    assert {kind for kind, _, _ in sizes} == set(FAULTS)
    assert all((float(low), float(high)) == SIZES[kind] for kind, low, high in sizes if low)


# Streams, to a real service


def test_stream_is_commissioned_judged_measured_and_summed_up(served: str, tiny_store: Path) -> None:
    with running(
        "--models", tiny_store, "--url", served, "--assets", 2, "--speed", 25, "--steps", 200,
        "--baseline-rows", 400,
        "--fault", "shift:Pressure:8@P-101+100/9999", "--metrics-port", 0,
    ) as plant:  # fmt: skip
        plant.until_said("P-101  truth: shift of Pressure  verdict: anomalous")
        metrics = plant.metrics()
        assert plant.end() == 0
    assert metrics['offnormal_plant_fault_active{asset="P-101",fault="shift"}'] == 1
    assert metrics['offnormal_plant_fault_active{asset="P-102",fault="shift"}'] == 0
    assert metrics['offnormal_plant_anomalous{asset="P-101"}'] == 1
    assert metrics['offnormal_plant_anomalous{asset="P-102"}'] == 0
    assert metrics['offnormal_plant_windows_total{asset="P-101",verdict="anomalous"}'] >= 1
    answered = metrics['offnormal_plant_requests_total{asset="P-102",status="200"}']
    assert answered > 50
    assert metrics['offnormal_plant_request_duration_seconds_count{asset="P-102"}'] == answered
    assets = httpx.get(f"{served}/assets", trust_env=False).json()["assets"]
    assert [(item["asset"], item["rows"]) for item in assets] == [("P-101", 400), ("P-102", 400)]
    figures = {line.split()[0]: line.split() for line in plant.said.splitlines() if line.strip()}
    assert float(figures["shift"][2].rstrip("%")) > 80
    assert figures["shift"][4:7] == ["1", "of", "1"]
    assert float(figures["normal"][2].rstrip("%")) < 15
    assert int(figures["normal"][1].replace(",", "")) + int(figures["shift"][1]) > 350


def test_baseline_is_kept_and_replaced_when_asked(served: str, tiny_store: Path) -> None:
    def said(*arguments: object) -> str:
        code, _, error = simulate(
            "--models", tiny_store, "--url", served, "--assets", 1, "--steps", 3, "--speed", 50, *arguments
        )
        assert code == 0
        return error

    assert "P-101: commissioned with 1200 rows" in said()
    assert "P-101: the service has a baseline already" in said()
    assert "P-101: commissioned with 300 rows" in said("--recommission", "--baseline-rows", 300)


def test_stride_posts_every_nth_window(served: str, tiny_store: Path) -> None:
    arguments = ["--assets", 1, "--steps", 40, "--stride", 10, "--speed", 20, "--no-faults"]
    code, table, _ = simulate("--models", tiny_store, "--url", served, *arguments)
    assert code == 0
    assert re.search(r"normal +4 ", table)


@pytest.mark.parametrize(("sig", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_signal_ends_it_within_a_second_with_the_figures(
    served: str, tiny_store: Path, sig: int, code: int
) -> None:
    with running("--models", tiny_store, "--url", served, "--speed", 20) as plant:
        plant.until_said("P-103  truth: normal  verdict: normal")
        begin = time.monotonic()
        assert plant.end(sig) == code
    assert time.monotonic() - begin < 1.0
    assert "Traceback" not in plant.said
    assert "What the plant had, and what the service said" in plant.said


def test_signal_ends_it_while_it_waits_for_a_service(tiny_store: Path) -> None:
    with running("--models", tiny_store, "--url", "http://127.0.0.1:9") as plant:
        plant.until_said("waiting for the service")
        begin = time.monotonic()
        assert plant.end(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 1.0


def test_plant_goes_on_while_the_service_is_down_and_reports_its_newest_windows_after(
    tiny_store: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--port", str(port)]
    with running(
        "--models", tiny_store, "--url", f"http://127.0.0.1:{port}", "--assets", 1, "--speed", 20,
        "--fault", "shift:Pressure:8@P-101+60/9999", "--metrics-port", 0,
    ) as plant:  # fmt: skip
        plant.until_said("waiting for the service")
        with run_service(tiny_store, tmp_path / "state", *arguments):
            plant.until_said("P-101  truth: normal  verdict: normal")
        plant.until_said("the plant goes on, asking again")
        # The fault begins while nobody answers.
        active = 'offnormal_plant_fault_active{asset="P-101",fault="shift"}'
        plant.until(lambda: plant.metrics()[active] == 1)
        down = plant.metrics()
        assert down['offnormal_plant_retries_total{asset="P-101",reason="unreachable"}'] >= 2
        assert down['offnormal_plant_requests_total{asset="P-101",status="unreachable"}'] >= 1
        judged = down['offnormal_plant_windows_total{asset="P-101",verdict="anomalous"}']
        with run_service(tiny_store, tmp_path / "state", *arguments):
            plant.until_said("answers again")
            plant.until(
                lambda: (
                    plant.metrics()['offnormal_plant_windows_total{asset="P-101",verdict="anomalous"}']
                    > judged
                )
            )
            assert plant.end(signal.SIGTERM) == 0
    assert plant.said.count("the plant goes on, asking again") == 1


def test_service_without_the_model_is_told_at_once(served: str, tiny_store: Path, tmp_path: Path) -> None:
    code, _, error = simulate("--models", tiny_store, "--url", served, "--version", 1, "--steps", 1)
    assert code == 0, error
    with run_service(tiny_store, tmp_path / "other") as url:
        (tiny_store / "tiny").rename(tiny_store / "small")
        for manifest in tiny_store.glob("small/*/manifest.json"):
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"name": "small"}))
        code, _, error = simulate("--models", tiny_store, "--url", url, "--steps", 1)
    assert code == 1
    assert "404 model_not_found" in error


# Feeds, under faults of the network and of the service

MODEL = ServedModel("tiny", 2, SENSORS, ("normal", "anomalous"), 12, 4, 1.0, 5.0)
SENSOR_BASELINES = {name: {"center": 1.0, "scale": 1.0, "drift": 0.0, "left_out": False} for name in SENSORS}


class Fed:
    """A feed whose service is `answer`; what it sent, and what it told."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], replace: bool = False) -> None:
        self.requests: list[tuple[str, Any, float]] = []
        self.events: list[Event] = []
        self.metrics = PlantMetrics(["P-101"], ["shift"])

        def handle(request: httpx.Request) -> httpx.Response:
            body = json.loads(request.content or b"null")
            self.requests.append((request.method, body, time.monotonic()))
            return answer(request)

        client = ServiceClient(
            "http://plant:8000", None, Patience(attempts=1), transport=httpx.MockTransport(handle)
        )
        given = Commissioning({name: [0.9, 1.1] for name in SENSORS}, ["a", "b"], replace)
        self.feed = Feed("P-101", client, MODEL, given, self.metrics, self.events.append, newest_version=True)

    def posted(self) -> list[Any]:
        return [body["windows"][0]["id"] for method, body, _ in self.requests if method == "POST"]

    def until(self, test: Callable[[], object]) -> None:
        limit = time.monotonic() + 10
        while not test():
            assert time.monotonic() < limit, self.events
            time.sleep(0.01)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def fed(answer: Callable[[httpx.Request], httpx.Response], replace: bool = False) -> Iterator[Fed]:
    made = Fed(answer, replace)
    made.feed.start()
    try:
        yield made
    finally:
        made.feed.stop()


def window(step: int, fault: Episode | None = None) -> Snapshot:
    return Snapshot(step, {"id": step}, fault, False)


def judged(verdict: str = "normal", baseline: str = "asset") -> httpx.Response:
    return httpx.Response(200, json={"results": [{"verdict": verdict, "baseline": baseline}]})


def service(request: httpx.Request) -> httpx.Response:
    """One that has a baseline, and finds everything normal."""
    return judged() if request.method == "POST" else httpx.Response(200, json={"sensors": SENSOR_BASELINES})


def test_window_after_a_busy_answer_is_the_newest_and_no_sooner_than_asked() -> None:
    answers = iter([httpx.Response(429, headers={"retry-after": "1"}, json={"code": "queue_full"})])

    def answer(request: httpx.Request) -> httpx.Response:
        return next(answers, None) or judged() if request.method == "POST" else service(request)

    with fed(answer) as plant:
        plant.feed.offer(window(1))
        plant.until(lambda: plant.of(Failed))
        plant.feed.offer(window(2))
        plant.feed.offer(window(3))
        plant.until(lambda: plant.of(Answered))
    assert plant.posted() == [1, 3]
    (_, _, refused), (_, _, sent) = (r for r in plant.requests if r[0] == "POST")
    assert 1.0 <= sent - refused < 1.5
    assert sample(plant.metrics, "retries_total", asset="P-101", reason="429") == 1
    assert sample(plant.metrics, "requests_total", asset="P-101", status="429") == 1
    assert sample(plant.metrics, "requests_total", asset="P-101", status="200") == 1
    assert not plant.of(Failed)[0].lasting


def test_window_is_sent_again_when_there_is_no_newer_one() -> None:
    answers = iter(
        [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(502, text="<html>")]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return service(request)
        found = next(answers, None)
        if isinstance(found, Exception):
            raise found
        return found or judged()

    with fed(answer) as plant:
        plant.feed.offer(window(1))
        plant.until(lambda: plant.of(Answered))
        plant.until(lambda: plant.feed.idle)
    assert plant.posted() == [1, 1, 1, 1]
    assert sample(plant.metrics, "retries_total", asset="P-101", reason="unreachable") == 2
    assert sample(plant.metrics, "retries_total", asset="P-101", reason="502") == 1


def test_window_asks_for_the_newest_version() -> None:
    with fed(service) as plant:
        plant.feed.offer(window(1))
        plant.until(lambda: plant.of(Answered))
    (body,) = (body for method, body, _ in plant.requests if method == "POST")
    assert (body["model"], body["version"], body["explain"]) == ("tiny", None, True)


def test_nothing_is_sent_before_the_asset_is_commissioned() -> None:
    answers = iter([httpx.Response(503, json={"code": "not_ready"})])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404, json={"code": "baseline_not_found"})
        return next(answers, None) or (httpx.Response(201, json={}) if request.method == "PUT" else judged())

    with fed(answer) as plant:
        plant.feed.offer(window(1))
        plant.until(lambda: plant.of(Answered))
    assert [method for method, _, _ in plant.requests] == ["GET", "PUT", "GET", "PUT", "POST"]
    assert plant.of(Commissioned) == [Commissioned("P-101", kept=False)]


def test_asset_that_the_service_has_forgotten_is_commissioned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.simulator.feed.RECOMMISSION_S", 0.0)
    baselines = iter(["asset", "model"])

    def answer(request: httpx.Request) -> httpx.Response:
        return judged(baseline=next(baselines, "asset")) if request.method == "POST" else service(request)

    with fed(answer) as plant:
        for step in (1, 2, 3):
            plant.feed.offer(window(step))
            plant.until(lambda step=step: len(plant.of(Answered)) == step)
    assert [method for method, _, _ in plant.requests] == ["GET", "POST", "POST", "PUT", "POST"]


def test_refusal_for_good_is_told_as_such_and_asked_again_rarely() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"code": "key_not_allowed", "detail": "no"})

    with fed(answer) as plant:
        plant.until(lambda: plant.of(Failed))
        time.sleep(0.5)
    assert [event.lasting for event in plant.of(Failed)] == [True]
    assert len(plant.requests) == 1


def test_baseline_of_another_machine_is_noticed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        far = {name: item | {"center": 7.0} for name, item in SENSOR_BASELINES.items()}
        return httpx.Response(200, json={"sensors": far})

    with fed(answer) as plant:
        plant.until(lambda: plant.of(Commissioned))
    assert plant.of(Commissioned) == [Commissioned("P-101", kept=True, differs=True)]


# What is shown


def test_figures_tell_found_from_missed_and_leave_out_what_the_end_cut_off() -> None:
    tally = PlantTally(SENSORS, period_s=2.0)
    blamed = [{"sensor": "Pressure", "share": 0.9}]
    missed, cut = (Episode("P-101", "shift", (0,), 8.0, start, 50) for start in (100, 200))
    for step, fault, verdict in (
        (9, None, "anomalous"),
        (10, SHIFT, "normal"),
        (12, SHIFT, "anomalous"),
        (13, SHIFT, "anomalous"),
        (100, missed, "normal"),
        (101, None, "normal"),
        (200, cut, "cannot_judge"),
    ):
        tally.add("P-101", step, fault, False, {"verdict": verdict, "contributions": blamed})
    tally.add("P-102", 201, None, True, {"verdict": "anomalous"})
    table = drawn(lambda console: console.print(tally.table()))
    rows = {line.split("  ")[0].strip(): line.split() for line in table.splitlines()}
    assert rows["normal"] == ["normal", "2", "50.0%", "0"]
    assert rows["shift"] == ["shift", "5", "40.0%", "1", "1", "of", "2", "4", "s", "100%"]
    assert rows["after a fault"] == ["after", "a", "fault", "1", "100.0%", "0"]
    assert tally.counts("shift") == (5, 2)


def test_live_view_shows_truth_beside_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(
        "cli.simulator.view.out", Console(file=text, force_terminal=True, width=100, highlight=False)
    )
    with PlantView(["P-101", "P-102"], SENSORS) as view:
        for step in range(30):
            fault = SHIFT if step >= 20 else None
            view.truth("P-101", step, fault)
            verdict = "anomalous" if step >= 25 else "normal"
            view.verdict("P-101", step, fault, answer_of(verdict))
        view.warn("a [b] warning")
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue()).splitlines()
    shown = lines[-8:]
    assert shown[0].split() == ["P-101", "truth", "▁" * 20 + "█" * 10]
    assert shown[1].split() == ["verdict", "▁" * 25 + "█" * 5]
    assert "shift of Pressure / anomalous (by both, p 0.001, most by Pressure 90%)" in shown[2]
    assert shown[3].split() == ["windows", "25", "normal", "5", "anomalous"]
    assert max(map(len, shown)) <= 100
    assert any("warning: a [b] warning" in line for line in lines)


def test_log_has_a_line_for_each_change_and_none_between(capsys: pytest.CaptureFixture[str]) -> None:
    with PlantView(["P-101"], SENSORS) as view:
        for step, fault, verdict in (
            (0, None, "normal"),
            (1, None, "normal"),
            (2, SHIFT, "normal"),
            (3, SHIFT, "anomalous"),
            (4, SHIFT, "anomalous"),
        ):
            view.truth("P-101", step, fault)
            view.verdict("P-101", step, fault, answer_of(verdict))
    assert capsys.readouterr().out.splitlines() == [
        "1970-01-01T00:00:00Z P-101  truth: normal  verdict: normal",
        "1970-01-01T00:00:02Z P-101  truth: shift of Pressure  verdict: normal",
        "1970-01-01T00:00:03Z P-101  truth: shift of Pressure  verdict: anomalous "
        "(by both, p 0.001, most by Pressure 90%)",
    ]


def answer_of(verdict: str) -> dict[str, Any]:
    contributions = [{"sensor": "Pressure", "share": 0.9, "error": 9.0}]
    return {"verdict": verdict, "decided_by": "both", "p_value": 0.001, "contributions": contributions}


def drawn(draw: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=120)
    draw(console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]
