"""Every field of the contract of POST /classify, over both runtimes."""

import gzip
import json
import math

import numpy as np
import pytest

from tests.contract.app import (
    MINIMUM_STEPS,
    STEPS,
    CheckedClient,
    by_sensor,
    classify,
    faulty,
    rows,
    verdict,
)
from tests.plant import CENTER, SENSORS

NUMBERS = ("reconstruction_error", "p_value")


def numbers(result: dict) -> list[float]:
    return [*result["probabilities"].values(), *(result[name] for name in NUMBERS)]


def stamps(seconds: list[float]) -> list[str]:
    return [str(np.datetime64(int(1_790_000_000_000 + 1000 * s), "ms")) + "Z" for s in seconds]


def test_answer_names_the_model_and_has_every_documented_field(client: CheckedClient) -> None:
    answer = classify(client, {"id": "12:00", "asset": "never commissioned", "readings": by_sensor(rows())})
    assert set(answer) == {"model", "results"}
    assert answer["model"]["name"] == "tiny"
    assert answer["model"]["version"] == 2
    assert len(answer["model"]["sha256"]) == 64
    (result,) = answer["results"]
    assert set(result) == {
        "id",
        "asset",
        "verdict",
        "decided_by",
        "probabilities",
        "reconstruction_error",
        "p_value",
        "baseline",
        "quality",
    }
    assert result["id"] == "12:00"
    assert result["asset"] == "never commissioned"
    assert result["baseline"] == "model"
    assert result["quality"] == {"observed": 1.0, "steps": STEPS, "issues": []}


def test_normal_window_is_normal(client: CheckedClient) -> None:
    result = verdict(client, {"readings": by_sensor(rows())})
    assert result["verdict"] == "normal"
    assert result["probabilities"]["normal"] > result["probabilities"]["anomalous"]


def test_shifted_sensor_is_anomalous_and_is_named(client: CheckedClient) -> None:
    result = verdict(client, {"readings": by_sensor(faulty(sensor=0))}, explain=True)
    assert result["verdict"] == "anomalous"
    assert result["decided_by"] in ("classifier", "reconstruction", "both")
    assert result["probabilities"]["anomalous"] > 0.5
    assert result["p_value"] < 0.02
    assert result["contributions"][0]["sensor"] == SENSORS[0]


def test_probabilities_are_by_class_and_sum_to_one(client: CheckedClient) -> None:
    result = verdict(client, {"values": rows()})
    assert set(result["probabilities"]) == {"normal", "anomalous"}
    assert sum(result["probabilities"].values()) == pytest.approx(1.0)


def test_shares_sum_to_one_and_are_only_there_when_asked_for(client: CheckedClient) -> None:
    explained = verdict(client, {"values": faulty()}, explain=True)["contributions"]
    assert sum(item["share"] for item in explained) == pytest.approx(1.0)
    assert [item["share"] for item in explained] == sorted((i["share"] for i in explained), reverse=True)
    assert "contributions" not in verdict(client, {"values": faulty()})


def test_reconstruction_is_in_engineering_units_and_only_there_when_asked_for(client: CheckedClient) -> None:
    result = verdict(client, {"values": rows()}, reconstruct=True)
    assert set(result["reconstruction"]) == set(SENSORS)
    for name, center in zip(SENSORS, CENTER, strict=True):
        column = result["reconstruction"][name]
        assert len(column) == STEPS
        assert np.mean(column) == pytest.approx(center, rel=0.2)
    assert "reconstruction" not in verdict(client, {"values": rows()})


def test_readings_values_and_shorthand_give_the_same_answer(client: CheckedClient) -> None:
    window = rows()
    named = verdict(client, {"readings": by_sensor(window)})
    by_row = verdict(client, {"values": window})
    short = client.post("/classify", json={"window": window}).json()["results"][0]
    assert named == by_row == short


def test_sensors_may_come_in_any_order(client: CheckedClient) -> None:
    window = by_sensor(rows())
    assert verdict(client, {"readings": dict(reversed(window.items()))}) == verdict(
        client, {"readings": window}
    )


@pytest.mark.parametrize("identity", ["text", 17, None], ids=repr)
def test_id_comes_back_as_it_was_given(client: CheckedClient, identity: object) -> None:
    assert verdict(client, {"id": identity, "values": rows()})["id"] == identity


def test_older_version_can_be_asked_for(client: CheckedClient) -> None:
    newest = classify(client, {"values": rows()})
    older = classify(client, {"values": rows()}, model="tiny", version=1)
    assert (newest["model"]["version"], older["model"]["version"]) == (2, 1)
    assert newest["model"]["sha256"] != older["model"]["sha256"]
    assert newest["results"] != older["results"]


def test_larger_alarm_budget_raises_more_alarms(client: CheckedClient) -> None:
    windows = [{"values": rows(seed=seed)} for seed in range(40)]
    alarms = [
        sum(r["verdict"] == "anomalous" for r in classify(client, *windows, false_alarm_rate=rate)["results"])
        for rate in (0.02, 0.5)
    ]
    assert alarms[0] < alarms[1]


def test_verdict_follows_from_p_value_and_alarm_budget(client: CheckedClient) -> None:
    windows = [{"values": faulty(seed=seed, size=seed / 8)} for seed in range(32)]
    for result in classify(client, *windows, false_alarm_rate=0.1)["results"]:
        assert (result["verdict"] == "anomalous") == (result["p_value"] <= 0.1)


def test_frozen_sensor_is_anomalous_whatever_its_p_value(client: CheckedClient) -> None:
    windows = []
    for seed in range(40):
        window = np.array(rows(seed=seed))
        window[3:, 1] = CENTER[1]
        windows.append({"values": window.tolist()})
    rate = client.get("/models/tiny").json()["false_alarm_rate"]["smallest"]
    results = classify(client, *windows, false_alarm_rate=rate)["results"]
    assert {result["verdict"] for result in results} == {"anomalous"}
    by_rule = [result["decided_by"] == "stuck_sensor" for result in results]
    assert any(by_rule)
    assert by_rule == [result["p_value"] > rate for result in results]
    for result in results:
        assert {"sensor": "Flow", "issue": "flatline"} in result["quality"]["issues"]


def test_missing_readings_and_sensors_are_reported(client: CheckedClient) -> None:
    window = by_sensor(rows())
    del window["Flow"]
    window["Pressure"][3] = None
    result = verdict(client, {"readings": window})
    assert {"sensor": "Flow", "issue": "missing"} in result["quality"]["issues"]
    assert {"sensor": "Pressure", "issue": "gaps"} in result["quality"]["issues"]
    assert result["quality"]["observed"] == pytest.approx((2 * STEPS - 1) / (3 * STEPS))


@pytest.mark.parametrize("form", ["readings", "values"])
def test_missing_sensor_is_the_same_as_all_null(client: CheckedClient, form: str) -> None:
    window = by_sensor(rows())
    absent = verdict(client, {"readings": {name: window[name] for name in ("Pressure", "Temperature")}})
    window["Flow"] = [None] * STEPS
    given = (
        {"readings": window}
        if form == "readings"
        else {"values": list(map(list, zip(*window.values(), strict=True)))}
    )
    assert verdict(client, given) == absent


@pytest.mark.parametrize(
    "window",
    [
        [[None] * 3] * STEPS,
        [[row[0], None, None] for row in rows()],
        [list(CENTER)] * STEPS,
    ],
    ids=["nothing observed", "one sensor of three", "all sensors dead"],
)
def test_what_cannot_be_judged_is_never_called_normal(client: CheckedClient, window: list) -> None:
    result = verdict(client, {"values": window}, explain=True, reconstruct=True)
    assert result["verdict"] == "cannot_judge"
    for name in ("decided_by", "probabilities", *NUMBERS, "contributions", "reconstruction"):
        assert result[name] is None
    assert result["quality"]["issues"]


@pytest.mark.parametrize("steps", [MINIMUM_STEPS, MINIMUM_STEPS + 1, STEPS])
def test_short_windows_are_judged(client: CheckedClient, steps: int) -> None:
    result = verdict(client, {"values": rows(steps)})
    assert result["verdict"] in ("normal", "anomalous")
    assert result["quality"]["steps"] == steps


def test_long_window_is_judged_on_its_newest_steps(client: CheckedClient) -> None:
    window = rows(3 * STEPS)
    long = verdict(client, {"values": window}, reconstruct=True)
    newest = verdict(client, {"values": window[-STEPS:]}, reconstruct=True)
    assert long["quality"].pop("issues") == [{"sensor": None, "issue": "longer_than_model"}]
    assert newest["quality"].pop("issues") == []
    assert long == newest


def test_windows_of_different_lengths_are_answered_as_if_alone(client: CheckedClient) -> None:
    windows = [{"values": faulty(MINIMUM_STEPS + k % 9, seed=k, size=k / 4)} for k in range(24)]
    windows[5]["values"][2][1] = None
    together = classify(client, *windows)["results"]
    for window, result in zip(windows, together, strict=True):
        alone = verdict(client, window)
        assert result["verdict"] == alone["verdict"]
        assert numbers(result) == pytest.approx(numbers(alone), abs=1e-6, rel=1e-6)


def test_padding_does_not_change_an_answer(client: CheckedClient) -> None:
    short = {"values": rows(MINIMUM_STEPS)}
    beside = [
        numbers(classify(client, short, {"values": faulty(STEPS, seed=k, size=50.0 * k)})["results"][0])
        for k in range(4)
    ]
    for other in beside[1:]:
        assert other == pytest.approx(beside[0], abs=1e-6)


@pytest.mark.parametrize("large", [1e9, 1e38, 1e200, 1.7e308], ids=str)
def test_absurd_reading_is_neither_an_error_nor_normal(client: CheckedClient, large: float) -> None:
    window = rows()
    window[4][1] = large
    result = verdict(client, {"values": window}, explain=True, reconstruct=True)
    assert result["verdict"] in ("anomalous", "cannot_judge")
    assert {"sensor": "Flow", "issue": "out_of_range"} in result["quality"]["issues"]


def test_gap_in_time_leaves_the_steps_after_it(client: CheckedClient) -> None:
    window, cut = rows(), STEPS - MINIMUM_STEPS - 1
    times = [s if s < cut else s + 3600 for s in range(STEPS)]
    result = verdict(client, {"values": window, "timestamps": stamps(times)})
    alone = verdict(client, {"values": window[cut:]})
    assert result["quality"].pop("issues") == [{"sensor": None, "issue": "time_gap"}]
    assert result["quality"]["steps"] == STEPS - cut
    assert alone["quality"].pop("issues") == []
    assert result == alone


def test_too_few_steps_after_a_gap_cannot_be_judged(client: CheckedClient) -> None:
    times = [s if s < STEPS - 2 else s + 3600 for s in range(STEPS)]
    result = verdict(client, {"values": rows(), "timestamps": times})
    assert result["verdict"] == "cannot_judge"
    assert result["quality"]["steps"] == 2
    assert {"sensor": None, "issue": "time_gap"} in result["quality"]["issues"]


def test_gap_before_the_steps_that_are_judged_does_not_matter(client: CheckedClient) -> None:
    window = rows(2 * STEPS)
    times = [s if s < STEPS else s + 3600 for s in range(2 * STEPS)]
    result = verdict(client, {"values": window, "timestamps": times})
    assert result["quality"]["steps"] == STEPS
    assert result["quality"]["issues"] == [{"sensor": None, "issue": "longer_than_model"}]


@pytest.mark.parametrize(
    "first",
    ["2026-11-20T12:00:00Z", "2026-11-20T12:00:00", "2026-11-20 12:00:00+05:30", "20261120T120000Z"],
)
def test_timestamps_may_be_any_iso_8601(client: CheckedClient, first: str) -> None:
    times = [
        first.replace("12:00:00", f"12:00:{s:02}").replace("120000", f"1200{s:02}") for s in range(STEPS)
    ]
    assert verdict(client, {"values": rows(), "timestamps": times})["quality"]["issues"] == []


def test_bad_window_is_skipped_when_asked_for(client: CheckedClient) -> None:
    windows = [
        {"id": "good", "values": rows()},
        {"id": "bad", "readings": {"Presure": [1, 2, 3, 4]}},
        {"id": 3, "values": rows(2)},
        [1, 2],
        {"id": "last", "values": rows(seed=8)},
    ]
    results = classify(client, *windows, on_error="skip")["results"]
    assert [r.get("error", {}).get("code") for r in results] == [
        None,
        "unknown_sensor",
        "window_too_short",
        "wrong_content",
        None,
    ]
    assert [r["id"] for r in results] == ["good", "bad", 3, None, "last"]
    assert results[1]["error"]["place"] == "windows[1].readings.Presure"
    assert [results[0], results[4]] == classify(client, windows[0], windows[4])["results"]


def test_only_bad_windows_are_still_an_answer(client: CheckedClient) -> None:
    results = classify(client, {"values": []}, {"values": []}, on_error="skip")["results"]
    assert [r["error"]["place"] for r in results] == ["windows[0].values", "windows[1].values"]


def test_bad_window_fails_the_request_otherwise(client: CheckedClient) -> None:
    response = client.post("/classify", json={"windows": [{"values": rows()}, {"values": []}]})
    assert response.status_code == 422
    assert response.json()["place"] == "windows[1].values"


def test_gzip_body_is_read(client: CheckedClient) -> None:
    body = gzip.compress(json.dumps({"window": rows()}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/classify", content=body, headers=headers)
    assert response.json()["results"] == [verdict(client, {"values": rows()})]


def test_many_windows_are_answered_in_order(client: CheckedClient) -> None:
    windows = [{"id": k, "values": rows(MINIMUM_STEPS + k % 9, seed=k % 5)} for k in range(600)]
    results = classify(client, *windows)["results"]
    assert [result["id"] for result in results] == list(range(600))
    assert all(math.isfinite(result["p_value"]) for result in results)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-123", True), ("a" * 200, False), ('x"} {"level": "error', False), ("ü".encode(), False)],
    ids=["sane", "too long", "quotes", "not ascii"],
)
def test_sane_request_id_is_kept_and_any_other_replaced(
    client: CheckedClient, given: str, kept: bool
) -> None:
    answer = client.post("/classify", json={"window": rows()}, headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]
