"""Bad input gets a clear error that names its place, and does no harm."""

import json
from typing import Any

import pytest

from tests.contract.app import STEPS, CheckedClient, by_sensor, rows, verdict

GOOD = by_sensor(rows())


def body(**fields: Any) -> str:
    """A request whose first window is good and whose second has these fields."""
    return json.dumps({"windows": [{"values": rows()}, fields]})


def readings(**columns: Any) -> str:
    return body(readings={**GOOD, **columns})


def with_literal(literal: str) -> str:
    return readings(Flow=[1.0, 2.0, "HERE", *[1.0] * (STEPS - 3)]).replace('"HERE"', literal)


TIMES = [1_790_000_000 + s for s in range(STEPS)]

CASES: dict[str, tuple[str | bytes, int, str, str | None]] = {
    "empty body": ("", 400, "not_json", None),
    "not JSON": ("window=1,2,3", 400, "not_json", None),
    "cut short": (readings()[:-20], 400, "not_json", None),
    "two documents": ('{"window": []} {}', 400, "not_json", None),
    "not UTF-8": (b'{"model": "\xff"}', 400, "not_json", None),
    "UTF-16": (readings().encode("utf-16"), 400, "not_json", None),
    "NaN": (with_literal("NaN"), 400, "not_json", None),
    "Infinity": (with_literal("-Infinity"), 400, "not_json", None),
    "nested a hundred thousand deep": ('{"windows":' + "[" * 100_000, 400, "not_json", None),
    "nested readings": (
        readings(Flow=json.loads("[" * 90 + "]" * 90)),
        422,
        "wrong_content",
        "windows[1].readings.Flow[0]",
    ),
    "a list": ("[1, 2]", 422, "wrong_content", None),
    "a number": ("3", 422, "wrong_content", None),
    "nothing in it": ("{}", 422, "wrong_content", "windows"),
    "no windows": ('{"windows": []}', 422, "wrong_content", "windows"),
    "windows and window": ('{"windows": [{}], "window": [[1, 2, 3]]}', 422, "wrong_content", "windows"),
    "windows is an object": ('{"windows": {}}', 422, "wrong_content", "windows"),
    "unknown field": ('{"window": [], "modle": "tiny"}', 422, "wrong_content", "modle"),
    "unknown field of a window": (body(reading={}), 422, "wrong_content", "windows[1].reading"),
    "window is a number": ('{"windows": [3]}', 422, "wrong_content", "windows[0]"),
    "window without readings": (body(id="x"), 422, "wrong_content", "windows[1]"),
    "readings and values": (body(readings=GOOD, values=rows()), 422, "wrong_content", "windows[1]"),
    "readings null": (body(readings=None), 422, "wrong_content", "windows[1].readings"),
    "readings a list": (body(readings=[1]), 422, "wrong_content", "windows[1].readings"),
    "readings empty": (body(readings={}), 422, "window_too_short", "windows[1].readings"),
    "sensor a number": (readings(Flow=3), 422, "wrong_content", "windows[1].readings.Flow"),
    "reading a string": (with_literal('"1.5"'), 422, "wrong_content", "windows[1].readings.Flow[2]"),
    "reading true": (with_literal("true"), 422, "wrong_content", "windows[1].readings.Flow[2]"),
    "reading an object": (with_literal("{}"), 422, "wrong_content", "windows[1].readings.Flow[2]"),
    "reading 1e400": (with_literal("1e400"), 422, "wrong_content", "windows[1].readings.Flow[2]"),
    "reading of 5000 digits": (with_literal("9" * 5000), 422, "wrong_content", "windows[1].readings.Flow[2]"),
    "row a number": (body(values=[1, 2]), 422, "wrong_content", "windows[1].values[0]"),
    "row with a string": (body(values=[[1, 2, "x"]]), 422, "wrong_content", "windows[1].values[0][2]"),
    "ragged sensors": (readings(Flow=[1.0]), 422, "ragged_window", "windows[1].readings.Flow"),
    "ragged rows": (
        body(values=[*rows()[:-1], [1, 2]]),
        422,
        "ragged_window",
        f"windows[1].values[{STEPS - 1}]",
    ),
    "unknown sensor": (readings(Presure=GOOD["Flow"]), 422, "unknown_sensor", "windows[1].readings.Presure"),
    "odd sensor": (readings(**{'a"b': [1.0]}), 422, "unknown_sensor", 'windows[1].readings["a\\"b"]'),
    "repeated sensor": (
        readings(Other=GOOD["Flow"]).replace("Other", "Flow"),
        422,
        "repeated_sensor",
        "windows[1].readings.Flow",
    ),
    "sensor repeated in other letters": (
        readings(Other=GOOD["Flow"]).replace("Other", "Fl\\u006fw"),
        422,
        "repeated_sensor",
        "windows[1].readings.Flow",
    ),
    "no step": (body(values=[]), 422, "window_too_short", "windows[1].values"),
    "one step": (body(values=rows(1)), 422, "window_too_short", "windows[1].values"),
    "one step too few": (body(values=rows(3)), 422, "window_too_short", "windows[1].values"),
    "shorthand one step": (json.dumps({"window": rows(1)}), 422, "window_too_short", "window"),
    "shorthand ragged": ('{"window": [[1, 2, 3], [1]]}', 422, "ragged_window", "window[1]"),
    "shorthand with an object": ('{"window": {"readings": {}}}', 422, "wrong_content", "window"),
    "a million steps": (
        '{"windows": [{"values": [' + ",".join(["[1,2,3]"] * 1_000_000) + "]}]}",
        422,
        "too_many_steps",
        "windows[0].values",
    ),
    "too many windows": (
        '{"windows": [' + ",".join(["{}"] * 1025) + "]}",
        422,
        "too_many_windows",
        "windows",
    ),
    "timestamps too few": (
        body(values=rows(), timestamps=TIMES[:-1]),
        422,
        "bad_timestamps",
        "windows[1].timestamps",
    ),
    "timestamps backwards": (
        body(values=rows(), timestamps=[*TIMES[:5], *reversed(TIMES[5:])]),
        422,
        "bad_timestamps",
        "windows[1].timestamps[6]",
    ),
    "timestamps repeated": (
        body(values=rows(), timestamps=[TIMES[0], *TIMES[:-1]]),
        422,
        "bad_timestamps",
        "windows[1].timestamps[1]",
    ),
    "timestamp no date": (
        body(values=rows(), timestamps=["yesterday", *map(str, TIMES[1:])]),
        422,
        "bad_timestamps",
        "windows[1].timestamps[0]",
    ),
    "timestamp true": (
        body(values=rows(), timestamps=[True]),
        422,
        "bad_timestamps",
        "windows[1].timestamps[0]",
    ),
    "timestamps a string": (
        body(values=rows(), timestamps="now"),
        422,
        "bad_timestamps",
        "windows[1].timestamps",
    ),
    "timestamps of another pace": (
        body(values=rows(), timestamps=[10 * s for s in TIMES]),
        422,
        "wrong_sampling_period",
        "windows[1].timestamps",
    ),
    "timestamps in milliseconds": (
        body(values=rows(), timestamps=[1000 * s for s in TIMES]),
        422,
        "wrong_sampling_period",
        "windows[1].timestamps",
    ),
    "id a list": (body(id=[], values=rows()), 422, "wrong_content", "windows[1].id"),
    "asset a number": (body(asset=7, values=rows()), 422, "wrong_content", "windows[1].asset"),
    "asset empty": (body(asset="", values=rows()), 422, "wrong_content", "windows[1].asset"),
    "asset with a line break": (body(asset="a\nb", values=rows()), 422, "invalid_asset", "windows[1].asset"),
    "asset too long": (body(asset="a" * 129, values=rows()), 422, "wrong_content", "windows[1].asset"),
    "explain a word": ('{"window": [], "explain": "yes"}', 422, "wrong_content", "explain"),
    "on_error unknown": ('{"window": [], "on_error": "ignore"}', 422, "wrong_content", "on_error"),
    "alarm budget 0": ('{"window": [], "false_alarm_rate": 0}', 422, "wrong_content", "false_alarm_rate"),
    "alarm budget 1": ('{"window": [], "false_alarm_rate": 1}', 422, "wrong_content", "false_alarm_rate"),
    "alarm budget text": (
        '{"window": [], "false_alarm_rate": "1%"}',
        422,
        "wrong_content",
        "false_alarm_rate",
    ),
    "alarm budget too small": (
        json.dumps({"window": rows(), "false_alarm_rate": 1e-9}),
        422,
        "unsupported_false_alarm_rate",
        "false_alarm_rate",
    ),
    "version 0": ('{"window": [], "version": 0}', 422, "wrong_content", "version"),
    "version text": ('{"window": [], "version": "1"}', 422, "wrong_content", "version"),
    "model a list": ('{"window": [], "model": ["tiny"]}', 422, "wrong_content", "model"),
    "unknown model": ('{"window": [], "model": "other"}', 404, "model_not_found", None),
    "unknown version": ('{"window": [], "version": 99}', 404, "model_not_found", None),
    "traversal in the model": ('{"window": [], "model": "../tiny"}', 404, "model_not_found", None),
    "absolute path as model": ('{"window": [], "model": "/etc/passwd"}', 404, "model_not_found", None),
    "empty model": ('{"window": [], "model": ""}', 404, "model_not_found", None),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_request_is_refused_with_its_place(onnx_client: CheckedClient, name: str) -> None:
    content, status, code, place = CASES[name]
    response = onnx_client.post("/classify", content=content, headers={"Content-Type": "application/json"})
    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("place")) == (status, code, place)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["detail"]
    assert len(response.content) < 2000
    assert verdict(onnx_client, {"values": rows()})["verdict"] == "normal"


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if (case[3] or "").startswith("windows[1]")]
)
def test_bad_window_is_only_its_own_harm_when_skipped(onnx_client: CheckedClient, name: str) -> None:
    content, _, code, place = CASES[name]
    assert isinstance(content, str)
    skipping = '{"on_error": "skip", ' + content[1:]
    response = onnx_client.post("/classify", content=skipping, headers={"Content-Type": "application/json"})
    good, bad = response.json()["results"]
    assert good == verdict(onnx_client, {"values": rows()})
    assert (bad["error"]["code"], bad["error"]["place"]) == (code, place)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown sensor", ["Presure", "Pressure, Flow, Temperature"]),
        ("ragged sensors", ["Flow", "1 readings", "Pressure", "12"]),
        ("one step", ["1 steps", "at least 4"]),
        ("alarm budget too small", ["1e-09", "at least 0.0"]),
        ("unknown version", ["version 99", "2, 1"]),
        ("unknown model", ["other", "tiny"]),
        ("timestamps of another pace", ["10 s", "every 1 s"]),
        ("too many windows", ["1025", "at most 1024"]),
        ("unknown field", ["modle"]),
        ("reading a string", ["a string", "a number or null"]),
    ],
)
def test_error_says_what_was_expected(onnx_client: CheckedClient, name: str, words: list[str]) -> None:
    response = onnx_client.post(
        "/classify", content=CASES[name][0], headers={"Content-Type": "application/json"}
    )
    said = f"{response.json()['detail']} {response.json().get('expected', '')}"
    for word in words:
        assert word in said


@pytest.mark.parametrize("path", ["/models/..%2ftiny", "/models/tiny%00", "/models/%2e%2e", "/models/tiny/1"])
def test_traversal_in_a_path_finds_nothing(onnx_client: CheckedClient, path: str) -> None:
    assert onnx_client.get(path).status_code == 404
