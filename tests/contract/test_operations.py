"""Probes, metrics and the log."""

import json
import logging
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.windows import Batch
from service.http.request_log import JsonLines
from tests.contract.app import CheckedClient, classify, faulty, gated, rows, running, settings_for, until


def samples(client: CheckedClient) -> dict[tuple[str, frozenset], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def value(client: CheckedClient, name: str, **labels: str) -> float:
    return samples(client).get((name, frozenset(labels.items())), 0.0)


MODEL = {"model": "tiny", "version": "2"}


@pytest.fixture
def fresh(trained_store: Path, tmp_path: Path):
    with running(settings_for(trained_store, tmp_path / "state")) as client:
        yield client


def test_every_metric_has_the_prefix_help_and_a_documented_line(fresh: CheckedClient) -> None:
    classify(fresh, {"values": rows()})
    documented = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for family in text_string_to_metric_families(fresh.get("/metrics").text):
        if family.name.startswith("process_"):
            continue
        assert family.name.startswith("offnormal_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        suffix = "_total" if family.type == "counter" else ""
        assert f"`{family.name}{suffix}`" in documented


def test_verdicts_and_scores_are_counted(fresh: CheckedClient) -> None:
    classify(fresh, {"values": rows()}, {"values": faulty()}, {"values": [[None] * 3] * 12})
    for name in ("normal", "anomalous", "cannot_judge"):
        assert value(fresh, "offnormal_verdicts_total", **MODEL, verdict=name) == 1
    for name in ("anomalous_probability", "reconstruction_error", "p_value"):
        assert value(fresh, f"offnormal_{name}_count", **MODEL) == 2
    assert value(fresh, "offnormal_batch_windows_sum", **MODEL) >= 3
    until(lambda: value(fresh, "offnormal_missing_readings_total", **MODEL, sensor="Flow") == 12)
    assert value(fresh, "offnormal_sensor_windows_total", **MODEL, sensor="Pressure") == 2


def test_drift_and_range_of_inputs_are_measured(fresh: CheckedClient) -> None:
    for seed in range(30):
        classify(fresh, *[{"values": faulty(seed=seed, sensor=1, size=20.0)}] * 100)
    until(lambda: value(fresh, "offnormal_input_drift", **MODEL, sensor="Flow") > 10)
    assert abs(value(fresh, "offnormal_input_drift", **MODEL, sensor="Pressure")) < 1
    assert value(fresh, "offnormal_out_of_range_readings_total", **MODEL, sensor="Flow") > 1000
    assert value(fresh, "offnormal_out_of_range_readings_total", **MODEL, sensor="Pressure") == 0


def test_requests_are_counted_by_route_template(fresh: CheckedClient) -> None:
    fresh.get("/models/tiny")
    fresh.get("/models/other")
    fresh.get("/a/path/that/is/made/up")
    fresh.get("/assets/X/baseline")
    name = "offnormal_requests_total"
    assert value(fresh, name, route="/models/{name}", method="GET", status="200") == 1
    assert value(fresh, name, route="/models/{name}", method="GET", status="404") == 1
    assert value(fresh, name, route="/assets/{asset}/baseline", method="GET", status="404") == 1
    assert value(fresh, name, route="unmatched", method="GET", status="404") == 1
    assert value(fresh, "offnormal_rejected_requests_total", code="model_not_found") == 1


def test_labels_that_callers_choose_are_bounded(trained_store: Path, tmp_path: Path) -> None:
    with running(settings_for(trained_store, tmp_path / "state", metric_assets=20)) as client:

        def call(numbers: range) -> int:
            for k in numbers:
                client.request(f"METHOD{k}", "/classify")
                client.get(f"/made/up/{k}")
                classify(client, {"id": f"id {k}", "asset": f"asset {k}", "values": rows()})
            return len(samples(client))

        call(range(1))
        assert call(range(1, 30)) == call(range(30, 60))


def test_stages_are_timed(fresh: CheckedClient) -> None:
    classify(fresh, {"values": rows()})
    for stage in ("parse", "queue", "infer", "verdict", "encode"):
        assert value(fresh, "offnormal_stage_duration_seconds_count", stage=stage) == 1


def test_skipped_windows_are_counted_by_code(fresh: CheckedClient) -> None:
    classify(fresh, {"values": rows()}, {"values": []}, on_error="skip")
    assert value(fresh, "offnormal_rejected_windows_total", code="window_too_short") == 1


def test_model_and_assets_are_told(fresh: CheckedClient) -> None:
    fresh.put("/assets/A/baseline", json={"values": rows(60)})
    sha256 = fresh.get("/models/tiny").json()["sha256"]
    assert value(fresh, "offnormal_model_info", **MODEL, sha256=sha256, runtime="onnx") == 1
    assert value(fresh, "offnormal_model_created_timestamp_seconds", **MODEL) > 1.7e9
    assert value(fresh, "offnormal_asset_baselines") == 1
    assert value(fresh, "offnormal_ready") == 1


def test_two_apps_do_not_share_their_metrics(
    trained_store: Path, tmp_path: Path, fresh: CheckedClient
) -> None:
    classify(fresh, {"values": rows()})
    with running(settings_for(trained_store, tmp_path / "other")) as other:
        assert value(other, "offnormal_verdicts_total", **MODEL, verdict="normal") == 0


def test_worker_that_hangs_fails_both_probes(trained_store: Path, tmp_path: Path) -> None:
    opened, reached = threading.Event(), threading.Event()
    opened.set()

    def gate(batch: Batch) -> None:
        reached.set()
        assert opened.wait(30)

    with running(settings_for(trained_store, tmp_path / "state", hang_after_s=0.1), gated(gate)) as client:
        assert client.get("/livez").json() == {"alive": True, "hanging": []}
        opened.clear()
        reached.clear()
        answer = client.post("/classify", json={"window": rows()}, headers={"Request-Timeout": "0.3"})
        assert answer.json()["code"] == "deadline_passed"
        assert client.get("/livez").status_code == 503
        assert client.get("/livez").json()["hanging"] == ["tiny/2"]
        assert "hangs" in client.get("/readyz").json()["reason"]
        opened.set()
        until(lambda: client.get("/livez").status_code == 200)
        assert client.get("/readyz").status_code == 200


def test_draining_service_is_unready_but_answers(fresh: CheckedClient) -> None:
    fresh.app.state.draining.set()
    assert fresh.get("/readyz").status_code == 503
    assert fresh.get("/readyz").json()["reason"] == "the service is shutting down"
    assert fresh.get("/livez").status_code == 200
    assert classify(fresh, {"values": rows()})["results"]


def test_log_has_one_line_a_request_and_no_reading(
    fresh: CheckedClient, caplog: pytest.LogCaptureFixture
) -> None:
    window = faulty()
    with caplog.at_level(logging.INFO, "service.requests"):
        classify(fresh, {"id": "private id", "values": window}, {"values": rows()})
    (record,) = [record for record in caplog.records if record.name == "service.requests"]
    line = json.loads(JsonLines().format(record))
    assert line["event"] == "request"
    assert (line["route"], line["status"]) == ("/classify", 200)
    assert (line["model"], line["version"], line["windows"]) == ("tiny", 2, 2)
    assert line["verdicts"] == {"anomalous": 1, "normal": 1}
    assert line["milliseconds"] > 0
    assert set(line) == {
        *("time", "level", "event", "request_id", "method", "route", "status", "milliseconds"),
        *("model", "version", "windows", "verdicts"),
    }
    assert "private" not in str(line)


def test_log_line_of_a_refusal_has_the_code(fresh: CheckedClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.requests"):
        fresh.post("/classify", json={"windows": [{"readings": {"secret sensor": [12345.678]}}]})
    (record,) = [record for record in caplog.records if record.name == "service.requests"]
    line = JsonLines().format(record)
    assert json.loads(line)["code"] == "unknown_sensor"
    assert "secret" not in line
    assert "12345" not in line


@pytest.mark.parametrize(
    "text", ['x\n{"level": "error"}', "x\r\ny", 'x", "status": 200, "y": "', "\u2028\x1b[31m"]
)
def test_nothing_breaks_out_of_a_log_line(text: str) -> None:
    record = logging.LogRecord("service", logging.INFO, "", 0, text, (), None)
    record.fields = {"asset": text}
    line = JsonLines().format(record)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == json.loads(line)["asset"] == text
