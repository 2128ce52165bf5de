"""A plant's file over HTTP: judged row by row as `offnormal score` judges it; answers as CSV."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from detector import Detector, ModelStore, Options
from evaluation.scoring import Cut, score_recording
from evaluation.verdict_row import VerdictRow, iso_time
from history.read import read_bytes
from tests.contract.app import STEPS, CheckedClient, classify, faulty, rows, running, settings_for
from tests.contract.test_npy import saved
from tests.contract.test_operations import value
from tests.plant import SENSORS, recording, to_csv

CSV = {"Content-Type": "text/csv"}
EXPORT = to_csv(recording("run", 300, seed=3, fault=(200, 260), sensor=0, size=6.0))
HEADER, *LINES = EXPORT.splitlines()
# The same with a silence of a minute in the middle and a few readings missing.
BROKEN = "\n".join([HEADER, *LINES[:100], *LINES[160:180], LINES[180].replace(",", ",bad", 1), *LINES[181:]])


def german(text: str) -> str:
    """As a historian in Germany exports it."""
    header, *lines = text.splitlines()
    return "\n".join(
        [header.replace(",", ";"), *(line.replace(",", ";").replace(".", ",") for line in lines)]
    )


def post(client: CheckedClient, body: str | bytes, query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.post(f"/classify{query}", content=body, headers={**CSV, **named})


def results(client: CheckedClient, body: str | bytes, query: str = "") -> list[dict[str, Any]]:
    response = post(client, body, query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


def scored(text: str, store: Path, baseline_rows: int = 0) -> list[VerdictRow]:
    """What `offnormal score` writes of the file."""
    detector = Detector.load(ModelStore(store).folder("tiny"))
    chunks = score_recording(read_bytes(text.encode()), detector, Cut(baseline_rows), Options(explain=True))
    return [row for chunk in chunks for row in chunk]


def as_scored(row: VerdictRow) -> dict[str, Any]:
    """A row of `offnormal score` in the words of the service's CSV."""
    record = row.record(("normal", "anomalous"))
    kept = {name: cell for name, cell in record.items() if name not in ("file", "row", "score", "label")}
    return {"id": row.row, **kept}


def same(answer: dict[str, str], row: VerdictRow) -> None:
    for name, expected in as_scored(row).items():
        given: Any = answer[name] or None
        if name == "timestamp":
            assert np.datetime64(given[:-1]) == np.datetime64(iso_time(row.timestamp)[:-1])
        elif name == "observed" and expected is None:  # the service counts them, where it does not judge too
            assert 0 <= float(given) <= 1
        elif isinstance(expected, float):
            # Windows run in batches of other sizes differ in the last digits of single precision.
            assert float(given) == pytest.approx(expected, rel=2e-4, abs=1e-6), (name, row.row)
        else:
            assert given == (None if expected is None else str(expected)), (name, row.row)


@pytest.mark.parametrize("text", [EXPORT, german(EXPORT), BROKEN], ids=["comma", "german", "broken"])
def test_rows_are_judged_as_score_judges_them(
    onnx_client: CheckedClient, trained_store: Path, text: str
) -> None:
    answers = table(post(onnx_client, text, "?explain=true", Accept="text/csv"))
    expected = scored(text, trained_store)
    assert len(answers) == len(expected) > 200
    for answer, row in zip(answers, expected, strict=True):
        same(answer, row)
    assert {row.verdict for row in expected} == {"normal", "anomalous", "cannot_judge"}


def test_rows_of_a_commissioned_asset_are_judged_as_score_judges_them_by_its_baseline(
    onnx_client: CheckedClient, trained_store: Path
) -> None:
    normal = "\n".join([HEADER, *LINES[:150]])
    assert onnx_client.put("/assets/csv/baseline", content=normal, headers=CSV).status_code == 201
    answers = table(post(onnx_client, EXPORT, "?asset=csv&explain=true", Accept="text/csv"))
    assert {answer["baseline"] for answer in answers} == {"asset"}
    assert {answer["asset"] for answer in answers} == {"csv"}
    for answer, row in list(zip(answers, scored(EXPORT, trained_store, 150), strict=True))[150:]:
        same(answer, row)


def test_each_result_names_its_row_and_time_and_the_answer_its_model(onnx_client: CheckedClient) -> None:
    answer = post(onnx_client, EXPORT).json()
    assert [result["id"] for result in answer["results"]] == list(range(1, 301))
    assert answer["results"][7]["timestamp"] == "2026-09-21T14:13:27.000Z"
    assert (answer["model"]["name"], answer["model"]["version"]) == ("tiny", 2)
    assert len(answer["model"]["sha256"]) == 64


def test_row_is_judged_as_its_window_is_in_json(onnx_client: CheckedClient) -> None:
    values = read_bytes(EXPORT.encode()).select(SENSORS).values
    (in_json,) = classify(onnx_client, {"values": values[240 - STEPS : 240].tolist()})["results"]
    in_file = results(onnx_client, EXPORT)[239]
    assert (in_file.pop("id"), in_file.pop("timestamp")) == (240, "2026-09-21T14:17:19.000Z")
    assert in_json.pop("id") is None
    assert in_file.pop("probabilities") == pytest.approx(in_json.pop("probabilities"), abs=1e-5)
    for name in ("reconstruction_error", "p_value"):
        assert in_file.pop(name) == pytest.approx(in_json.pop(name), rel=1e-4)
    assert in_file == in_json


def test_row_with_too_little_before_it_cannot_be_judged_and_says_why(onnx_client: CheckedClient) -> None:
    found = results(onnx_client, BROKEN, "?explain=true&reconstruct=true")
    short = [result for result in found if result["verdict"] == "cannot_judge"]
    assert [result["id"] for result in short] == [1, 2, 3, 101, 102, 103]
    for result in short:
        assert {"sensor": None, "issue": "window_too_short"} in result["quality"]["issues"]
        assert (result["p_value"], result["contributions"], result["reconstruction"]) == (None, None, None)


def test_last_row_alone_is_judged_where_that_is_asked_for(onnx_client: CheckedClient) -> None:
    (result,) = results(onnx_client, EXPORT, "?rows=last")
    whole = results(onnx_client, EXPORT)[-1]
    assert result.pop("probabilities") == pytest.approx(whole.pop("probabilities"), abs=1e-5)
    assert result.pop("reconstruction_error") == pytest.approx(whole.pop("reconstruction_error"), rel=1e-4)
    assert result == whole


def test_so_many_of_the_newest_rows_are_judged_with_all_that_comes_before_them(
    onnx_client: CheckedClient,
) -> None:
    newest = results(onnx_client, EXPORT, "?rows=50")
    assert [result["id"] for result in newest] == list(range(251, 301))
    assert {result["quality"]["steps"] for result in newest} == {STEPS}
    assert [result["id"] for result in results(onnx_client, EXPORT, "?rows=50&stride=20")] == [260, 280, 300]
    assert results(onnx_client, EXPORT, "?rows=1000") == results(onnx_client, EXPORT)


def test_stride_leaves_out_rows(onnx_client: CheckedClient) -> None:
    assert [result["id"] for result in results(onnx_client, EXPORT, "?stride=100")] == [1, 101, 201]


def test_file_without_time_is_one_run_of_rows(onnx_client: CheckedClient) -> None:
    text = "\n".join(line.partition(",")[2] for line in EXPORT.splitlines())
    found = results(onnx_client, text)
    assert {result["timestamp"] for result in found} == {None}
    assert [result["verdict"] for result in found].count("cannot_judge") == 3


def test_sensor_without_a_column_is_missing_and_other_columns_are_ignored(onnx_client: CheckedClient) -> None:
    text = EXPORT.replace("Flow", "Vibration")
    (result,) = results(onnx_client, text, "?rows=last")
    assert {"sensor": "Flow", "issue": "missing"} in result["quality"]["issues"]


def test_how_stamps_are_written_can_be_said(onnx_client: CheckedClient) -> None:
    doubtful = "\n".join(
        [HEADER, *(f"03/04/2026 12:00:{i:02},{LINES[i].partition(',')[2]}" for i in range(20))]
    )
    problem = post(onnx_client, doubtful).json()
    assert (problem["code"], problem["place"]) == ("unreadable_file", "body, column 'time'")
    assert "time_format day-first" in problem["detail"]
    assert results(onnx_client, doubtful, "?time_format=day-first")[0]["timestamp"].startswith("2026-04-03")
    assert results(onnx_client, doubtful, "?time_column=none")[0]["timestamp"] is None


def test_decimal_mark_and_delimiter_can_be_said(onnx_client: CheckedClient) -> None:
    text = german(EXPORT).replace(";", "|")
    assert results(onnx_client, text, "?delimiter=%7C&decimal=comma") == results(onnx_client, german(EXPORT))


def test_file_may_be_compressed(onnx_client: CheckedClient) -> None:
    response = post(onnx_client, gzip.compress(EXPORT.encode()), "?rows=last", Content_Encoding="gzip")
    assert response.json()["results"] == results(onnx_client, EXPORT, "?rows=last")


def test_rows_that_are_judged_are_counted_as_windows(trained_store: Path, tmp_path: Path) -> None:
    with running(settings_for(trained_store, tmp_path)) as client:
        found = results(client, EXPORT, "?asset=A")
        for ruling in ("normal", "anomalous"):
            counted = value(
                client, "offnormal_verdicts_total", model="tiny", version="2", asset="A", verdict=ruling
            )
            assert counted == [result["verdict"] for result in found].count(ruling) > 0


LETTERS = "\n".join([HEADER, *(f"{line.partition(',')[0]},a,b,c,0" for line in LINES[:20])])
CASES: dict[str, tuple[str | bytes, str, str, str, list[str]]] = {
    "empty": (b"", "", "unreadable_file", "body", ["is empty"]),
    "binary": (b"\x00\x01\x02" * 50, "", "unreadable_file", "body", ["is not text"]),
    "header only": (HEADER, "", "unreadable_file", "body", ["no data rows"]),
    "one row": (f"{HEADER}\n{LINES[0]}", "", "unreadable_file", "body", ["1 data row"]),
    "a row cut short": (
        "\n".join([HEADER, *LINES[:9], "2026-09-21T14:13:29,4.1", *LINES[10:20]]),
        "",
        "unreadable_file",
        "body, line 11",
        ["2 cells, expected 5"],
    ),
    "no numbers": (LETTERS, "", "unreadable_file", "body", ["no column of numbers"]),
    "sensors of another plant": (
        EXPORT.replace("Pressure", "P").replace("Flow", "F").replace("Temperature", "T"),
        "",
        "unreadable_file",
        "body",
        ["'Pressure'", "'F'", "names sensors of the model: Pressure, Flow, Temperature"],
    ),
    "no such column": (EXPORT, "?time_column=when", "unreadable_file", "body", ["'when'", "time_column"]),
    "another pace": (
        "\n".join([HEADER, *LINES[::10]]),
        "",
        "wrong_sampling_period",
        "body",
        ["10 s", "one reading every 1 s"],
    ),
    "too many rows for one request": (
        to_csv(recording("long", 1100)),
        "",
        "too_many_windows",
        "body",
        ["1100 rows", "at most 1024", "`rows`", "`stride`"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_file_is_refused_with_its_place(onnx_client: CheckedClient, name: str) -> None:
    content, query, code, place, words = CASES[name]
    response = post(onnx_client, content, query)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["place"]) == (422, code, place)
    said = f"{problem['detail']} {problem['expected']}"
    assert [word for word in words if word not in said] == []
    assert "--" not in said
    assert len(response.content) < 1500


def test_file_of_too_many_rows_is_refused_even_if_only_the_last_is_asked_for(
    trained_store: Path, tmp_path: Path
) -> None:
    with running(settings_for(trained_store, tmp_path, max_steps=299)) as client:
        problem = post(client, EXPORT, "?rows=last").json()
        assert (problem["code"], problem["place"]) == ("too_many_steps", "body")


def test_last_row_of_a_long_file_is_within_the_limits(onnx_client: CheckedClient) -> None:
    assert len(results(onnx_client, to_csv(recording("long", 1100)), "?rows=last")) == 1
    assert len(results(onnx_client, to_csv(recording("long", 1100)), "?stride=2")) == 550


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("?rows=first", "query.rows"),
        ("?rows=0", "query.rows"),
        ("?rows=-1", "query.rows"),
        ("?stride=0", "query.stride"),
        ("?decimal=,", "query.decimal"),
        ("?delimiter=", "query.delimiter"),
        ("?delimiter=ab", "query.delimiter"),
        ("?on_error=skip", "query.on_error"),
        ("?window=1", "query.window"),
        ("?asset=", "query.asset"),
        ("?rows=last&rows=all", "query.rows"),
    ],
)
def test_bad_query_is_refused_with_its_place(onnx_client: CheckedClient, query: str, place: str) -> None:
    problem = post(onnx_client, EXPORT, query).json()
    assert (problem["code"], problem["place"]) == ("wrong_content", place)


@pytest.mark.parametrize("query", ["?rows=last", "?stride=2", "?decimal=comma"])
@pytest.mark.parametrize("kind", ["json", "npy"])
def test_choice_for_a_file_beside_another_body_is_refused(
    onnx_client: CheckedClient, query: str, kind: str
) -> None:
    body: Any = {"json": {"window": rows()}}
    if kind == "npy":
        body = {"content": saved(np.array([rows()])), "headers": {"Content-Type": "application/x-npy"}}
    problem = onnx_client.post(f"/classify{query}", **body).json()
    name = query[1:].partition("=")[0]
    assert (problem["code"], problem["place"]) == ("wrong_content", f"query.{name}")


@pytest.mark.parametrize(
    ("accept", "as_csv"),
    [
        ("text/csv", True),
        ("TEXT/CSV", True),
        ("text/csv, */*;q=0.1", True),
        ("application/json;q=0.5, text/csv", True),
        ("*/*", False),
        ("text/*", False),
        ("text/csv;q=0", False),
        ("application/json, text/csv", False),
        ("text/csv;q=0.4, application/json", False),
        ("text/csv;q=often", False),
        ("text/html", False),
    ],
)
def test_answer_is_csv_only_where_that_is_more_welcome(
    onnx_client: CheckedClient, accept: str, as_csv: bool
) -> None:
    response = onnx_client.post("/classify", json={"window": rows()}, headers={"Accept": accept})
    kind = "text/csv; charset=utf-8" if as_csv else "application/json"
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


def test_windows_of_json_and_of_arrays_are_answered_as_csv_with_the_same_numbers(
    onnx_client: CheckedClient,
) -> None:
    windows = [rows(), faulty()]
    in_json = classify(
        onnx_client, *[{"id": f"w,{i}", "values": w} for i, w in enumerate(windows)], explain=True
    )
    body = {"windows": [{"id": f"w,{i}", "values": w} for i, w in enumerate(windows)], "explain": True}
    from_json = table(onnx_client.post("/classify", json=body, headers={"Accept": "text/csv"}))
    headers = {"Content-Type": "application/x-npy", "Accept": "text/csv"}
    from_array = table(
        onnx_client.post("/classify?explain=1", content=saved(np.array(windows)), headers=headers)
    )
    assert [row.pop("id") for row in from_json] == ["w,0", "w,1"]
    assert [row.pop("id") for row in from_array] == ["", ""]
    assert from_json == from_array
    for row, result in zip(from_json, in_json["results"], strict=True):
        assert row["verdict"] == result["verdict"]
        assert float(row["probability_anomalous"]) == pytest.approx(
            result["probabilities"]["anomalous"], rel=1e-4
        )
        assert row["top_sensor"] == result["contributions"][0]["sensor"]
        assert (row["model"], row["version"], row["sha256"]) == ("tiny", "2", in_json["model"]["sha256"])


def test_window_that_was_skipped_is_a_line_with_its_error(onnx_client: CheckedClient) -> None:
    body = {"windows": [{"id": 1, "values": rows()}, {"id": 2, "values": []}], "on_error": "skip"}
    good, bad = table(onnx_client.post("/classify", json=body, headers={"Accept": "text/csv"}))
    assert (good["id"], good["verdict"], good["error"]) == ("1", "normal", "")
    assert (bad["id"], bad["verdict"]) == ("2", "")
    assert bad["error"] == "window_too_short at windows[1].values"
    assert bad["sha256"] == good["sha256"]


def test_problem_is_a_problem_document_whatever_is_accepted(onnx_client: CheckedClient) -> None:
    response = post(onnx_client, b"", Accept="text/csv")
    assert response.headers["content-type"] == "application/problem+json"


def test_reconstruction_does_not_fit_an_answer_in_csv(onnx_client: CheckedClient) -> None:
    problem = post(onnx_client, EXPORT, "?reconstruct=true", Accept="text/csv").json()
    assert (problem["code"], problem["place"]) == ("wrong_content", "query.reconstruct")
    body = {"window": rows(), "reconstruct": True}
    problem = onnx_client.post("/classify", json=body, headers={"Accept": "text/csv"}).json()
    assert problem["place"] == "reconstruct"


def test_file_and_its_choices_are_described(onnx_client: CheckedClient) -> None:
    operation = onnx_client.get("/openapi.json").json()["paths"]["/classify"]["post"]
    assert "text/csv" in operation["requestBody"]["content"]
    assert "text/csv" in operation["responses"]["200"]["content"]
    beside = {p["name"]: p["x-beside"] for p in operation["parameters"] if p["in"] == "query"}
    assert beside["rows"] == ["text/csv"]
    assert beside["explain"] == ["application/x-npy", "text/csv"]
    assert beside["on_error"] == ["application/x-npy"]
