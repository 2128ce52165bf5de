"""What the service tells Prometheus of assets, sensors and its own fitness."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector import Detector
from tests.contract.app import CheckedClient, by_sensor, classify, faulty, rows, running, settings_for, until
from tests.contract.test_operations import MODEL, samples, value

VERDICTS = {"normal": 0, "anomalous": 1, "cannot_judge": 2}
UNJUDGED = [[None] * 3] * 12


@pytest.fixture
def fresh(trained_store: Path, tmp_path: Path) -> Iterator[CheckedClient]:
    with running(settings_for(trained_store, tmp_path / "state", metric_assets=2)) as client:
        yield client


def send(client: CheckedClient, window: object, asset: str | None = "A", count: int = 1) -> None:
    classify(client, *[{"asset": asset, "values": window}] * count)


def test_windows_are_counted_by_asset_and_verdict(fresh: CheckedClient) -> None:
    send(fresh, rows(), "A", count=3)
    send(fresh, faulty(), "B", count=2)
    send(fresh, rows(), None)
    name = "offnormal_verdicts_total"
    assert value(fresh, name, **MODEL, asset="A", verdict="normal") == 3
    assert value(fresh, name, **MODEL, asset="A", verdict="anomalous") == 0
    assert value(fresh, name, **MODEL, asset="B", verdict="anomalous") == 2
    assert value(fresh, name, **MODEL, verdict="normal") == 1


@pytest.mark.parametrize(
    ("window", "expected"),
    [(rows(), "normal"), (faulty(), "anomalous"), (UNJUDGED, "cannot_judge")],
    ids=[*VERDICTS],
)
def test_newest_window_of_an_asset_is_shown(fresh: CheckedClient, window: object, expected: str) -> None:
    send(fresh, faulty(sensor=1))
    (result,) = classify(fresh, {"asset": "A", "values": window})["results"]
    here = {**MODEL, "asset": "A"}
    assert result["verdict"] == expected
    assert value(fresh, "offnormal_asset_verdict", **here) == VERDICTS[expected]
    shown = {
        "anomalous_probability": 1 - result["probabilities"]["normal"] if result["probabilities"] else np.nan,
        "reconstruction_error": result["reconstruction_error"] or np.nan,
        "p_value": result["p_value"] or np.nan,
        "observed_ratio": result["quality"]["observed"],
    }
    for name, number in shown.items():
        assert value(fresh, f"offnormal_asset_{name}", **here) == pytest.approx(number, abs=1e-6, nan_ok=True)


def test_time_of_the_newest_window_moves_on(fresh: CheckedClient) -> None:
    name, here = "offnormal_asset_last_window_timestamp_seconds", {**MODEL, "asset": "A"}
    send(fresh, rows())
    first = value(fresh, name, **here)
    assert first > 1.7e9
    until(lambda: send(fresh, rows()) or value(fresh, name, **here) > first)


def test_run_of_anomalous_windows_ends_with_a_normal_one_only(fresh: CheckedClient) -> None:
    run = []
    for window in (faulty(), faulty(), UNJUDGED, faulty(), rows(), faulty()):
        send(fresh, window)
        run.append(value(fresh, "offnormal_asset_anomalous_run", **MODEL, asset="A"))
    assert run == [1, 2, 2, 3, 0, 1]


def test_sensor_that_is_wrong_gets_the_blame(fresh: CheckedClient) -> None:
    send(fresh, rows())
    name, here = "offnormal_sensor_blame_total", {**MODEL, "asset": "A"}
    assert value(fresh, name, **here, sensor="Flow") == 0
    send(fresh, faulty(sensor=1, size=20), count=4)
    blame = {s: value(fresh, name, **here, sensor=s) for s in ("Pressure", "Flow", "Temperature")}
    assert sum(blame.values()) == pytest.approx(4, abs=1e-5)
    assert max(blame, key=lambda sensor: blame[sensor]) == "Flow"


def test_only_anomalous_windows_blame_anybody(fresh: CheckedClient) -> None:
    classify(fresh, *({"asset": "A", "values": window} for window in (rows(), faulty(), UNJUDGED, rows())))
    blame = [
        value(fresh, "offnormal_sensor_blame_total", **MODEL, asset="A", sensor=sensor)
        for sensor in ("Pressure", "Flow", "Temperature")
    ]
    # Each is written to half of its sixth decimal.
    assert sum(blame) == pytest.approx(1, abs=3 * 0.5e-6 + 1e-12)


def test_blame_is_the_share_that_the_answer_gives(fresh: CheckedClient) -> None:
    (result,) = classify(fresh, {"asset": "A", "values": faulty()}, explain=True)["results"]
    for item in result["contributions"]:
        counted = value(fresh, "offnormal_sensor_blame_total", **MODEL, asset="A", sensor=item["sensor"])
        assert counted == pytest.approx(item["share"], abs=1e-6)


def test_assets_beyond_the_limit_share_one_name_and_have_no_newest_window(fresh: CheckedClient) -> None:
    for name in "ABCDE":
        send(fresh, rows(), name)
        send(fresh, rows(), None)
    seen = {
        dict(labels).get("asset") for name, labels in samples(fresh) if name == "offnormal_verdicts_total"
    }
    assert seen == {None, "A", "B", "other"}
    assert value(fresh, "offnormal_verdicts_total", **MODEL, asset="other", verdict="normal") == 3
    gauges = {
        dict(labels).get("asset") for name, labels in samples(fresh) if name == "offnormal_asset_verdict"
    }
    assert gauges == {None, "A", "B"}


@pytest.mark.parametrize("asset", ['say "hi"', "back\\slash", "Größe 7 ℃", "{a=1},", "a # b"])
def test_whatever_an_asset_is_called_the_text_stays_readable(fresh: CheckedClient, asset: str) -> None:
    send(fresh, faulty(), asset)
    assert value(fresh, "offnormal_verdicts_total", **MODEL, asset=asset, verdict="anomalous") == 1


def test_asset_with_a_baseline_has_a_normal_band_of_its_own(
    fresh: CheckedClient, tiny_detector: Detector
) -> None:
    name, here = "offnormal_asset_reconstruction_error_normal", {**MODEL, "asset": "A"}
    send(fresh, rows())
    by_model = [value(fresh, name, **here, percentile=p) for p in ("50", "99")]
    of_model = [
        value(fresh, "offnormal_reconstruction_error_normal", **MODEL, percentile=p) for p in ("50", "99")
    ]
    assert by_model == of_model
    assert 0 < by_model[0] < by_model[1]
    assert fresh.put("/assets/A/baseline", json={"values": rows(200, seed=3)}).status_code in (200, 201)
    send(fresh, rows())
    by_asset = [value(fresh, name, **here, percentile=p) for p in ("50", "99")]
    assert 0 < by_asset[0] < by_asset[1]
    assert by_asset != by_model


def test_normal_scores_of_training_are_shown_for_comparison(
    fresh: CheckedClient, tiny_detector: Detector
) -> None:
    scores = tiny_detector.manifest.calibration.model_baseline.scores
    for percentile in (5, 50, 99):
        shown = value(fresh, "offnormal_normal_score", **MODEL, baseline="model", percentile=str(percentile))
        assert shown == pytest.approx(float(np.percentile(scores, percentile)), abs=1e-5)
    assert value(fresh, "offnormal_score_limit", **MODEL, baseline="model") == pytest.approx(
        tiny_detector.score_limit(), abs=1e-5
    )


def test_issues_of_readings_are_counted(fresh: CheckedClient) -> None:
    window = by_sensor(rows())
    window["Flow"][3] = None
    classify(fresh, {"readings": window}, {"readings": window})
    assert value(fresh, "offnormal_quality_issues_total", **MODEL, issue="gaps") == 2
    assert value(fresh, "offnormal_quality_issues_total", **MODEL, issue="missing") == 0


def test_limits_and_load_of_the_service_are_shown(fresh: CheckedClient) -> None:
    send(fresh, rows())
    assert value(fresh, "offnormal_queue_windows_limit") == 8192
    assert value(fresh, "offnormal_body_bytes_limit") == 256_000_000
    assert value(fresh, "offnormal_body_bytes") == 0
    assert value(fresh, "offnormal_requests_in_progress") == 1  # the scrape itself
    until(lambda: value(fresh, "offnormal_model_busy_seconds_total", **MODEL) > 0)


def test_buckets_of_a_histogram_add_up(fresh: CheckedClient) -> None:
    send(fresh, rows(), count=5)
    send(fresh, faulty(), count=2)
    buckets = [
        (float(dict(labels)["le"]), number)
        for (name, labels), number in samples(fresh).items()
        if name == "offnormal_anomalous_probability_bucket" and dict(labels)["version"] == "2"
    ]
    counts = [number for _, number in sorted(buckets)]
    assert counts == sorted(counts)
    assert counts[-1] == value(fresh, "offnormal_anomalous_probability_count", **MODEL) == 7
    assert 2 * 0.5 < value(fresh, "offnormal_anomalous_probability_sum", **MODEL) < 7


def test_text_holds_every_family_once(fresh: CheckedClient) -> None:
    send(fresh, faulty())
    names = [family.name for family in text_string_to_metric_families(fresh.get("/metrics").text)]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_finds_nothing_to_complain_of(fresh: CheckedClient) -> None:
    send(fresh, faulty())
    send(fresh, UNJUDGED, None)
    fresh.get("/nowhere")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=fresh.get("/metrics").text,
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
