"""`offnormal score`: files in, verdicts out."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from detector import Detector, Options, Window
from history.read import read_file
from tests.unit.cli.plant_files import write_run

COLUMNS = [
    "file",
    "row",
    "timestamp",
    "verdict",
    "decided_by",
    "probability_normal",
    "probability_anomalous",
    "reconstruction_error",
    "score",
    "p_value",
    "top_sensor",
    "top_share",
    "observed",
    "issues",
    "label",
]


def score(store: Path, *arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["score", "--models", str(store), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_row_of_a_file_gets_one_line_in_order(tiny_store: Path, tmp_path: Path) -> None:
    code, text, summary = score(tiny_store, write_run(tmp_path))
    rows = rows_of(text)
    assert code == 0
    assert list(rows[0]) == COLUMNS
    assert [int(row["row"]) for row in rows] == list(range(1, 301))
    assert {row["file"] for row in rows} == {"run.csv"}
    assert rows[1]["timestamp"] == "2026-09-21T14:13:21Z"
    assert rows[230]["label"] == "anomalous"
    assert re.search(r"tiny 2 \([0-9a-f]{16}\): 1 file\(s\), 300 rows", summary)


def test_rows_before_the_minimum_cannot_be_judged_and_say_why(tiny_store: Path, tmp_path: Path) -> None:
    rows = rows_of(score(tiny_store, write_run(tmp_path))[1])
    assert [row["verdict"] for row in rows[:3]] == ["cannot_judge"] * 3
    assert rows[0]["issues"] == "window_too_short"
    assert rows[0]["probability_normal"] == ""
    assert rows[3]["verdict"] in ("normal", "anomalous")


def test_fault_is_called_with_its_sensor_and_normal_rows_are_not(tiny_store: Path, tmp_path: Path) -> None:
    rows = rows_of(score(tiny_store, write_run(tmp_path))[1])
    fault = rows[212:260]
    assert Counter(row["verdict"] for row in fault)["anomalous"] > 0.9 * len(fault)
    assert Counter(row["top_sensor"] for row in fault).most_common(1)[0][0] == "Pressure"
    assert Counter(row["verdict"] for row in rows[3:200])["anomalous"] < 0.2 * 197


def test_verdict_is_that_of_the_detector_on_the_window_that_ends_at_the_row(
    tiny_store: Path, tmp_path: Path, tiny_detector: Detector
) -> None:
    path = write_run(tmp_path)
    values = read_file(path).values
    rows = rows_of(score(tiny_store, path)[1])
    for end in (3, 150, 240):
        window = Window(values[max(end - 11, 0) : end + 1])
        (verdict,) = tiny_detector.judge([window], Options(explain=True))
        assert rows[end]["verdict"] == verdict.ruling
        assert float(rows[end]["p_value"]) == pytest.approx(verdict.p_value, rel=1e-4)
        assert float(rows[end]["reconstruction_error"]) == pytest.approx(
            verdict.reconstruction_error, rel=1e-4
        )


def test_rows_of_the_baseline_are_marked_and_the_rest_is_judged_by_it(
    tiny_store: Path, tmp_path: Path
) -> None:
    path = write_run(tmp_path)
    rows = rows_of(score(tiny_store, path, "--baseline-rows", 100)[1])
    plain = rows_of(score(tiny_store, path)[1])
    assert [row["verdict"] for row in rows[:100]] == ["baseline"] * 100
    assert "baseline" not in {row["verdict"] for row in rows[100:]}
    assert [row["row"] for row in rows] == [row["row"] for row in plain]
    assert rows[150]["p_value"] != plain[150]["p_value"]


def test_stride_judges_every_nth_row(tiny_store: Path, tmp_path: Path) -> None:
    rows = rows_of(score(tiny_store, write_run(tmp_path), "--stride", 10)[1])
    assert [int(row["row"]) for row in rows] == list(range(1, 301, 10))


def test_no_window_spans_a_gap_or_two_files(tiny_store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:101] + lines[161:]) + "\n")
    write_run(tmp_path, "second.csv")
    rows = rows_of(score(tiny_store, tmp_path, "--stride", 1)[1])
    unjudged = [(row["file"], row["row"]) for row in rows if row["verdict"] == "cannot_judge"]
    starts = [("run.csv", 1), ("run.csv", 101), ("second.csv", 1)]
    assert unjudged == [(file, str(row + k)) for file, row in starts for k in range(3)]


def test_json_lines_hold_numbers_and_nulls(tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    code, text, _ = score(tiny_store, write_run(tmp_path), "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (code, text) == (0, "")
    assert list(rows[0]) == COLUMNS
    assert rows[0]["p_value"] is None
    assert rows[50]["probability_normal"] + rows[50]["probability_anomalous"] == pytest.approx(1, abs=1e-5)


def test_parquet_holds_the_same_rows_as_csv(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import polars

    from cli import verdict_file

    monkeypatch.setattr(verdict_file, "PARQUET_PART_ROWS", 70)
    path, out = write_run(tmp_path), tmp_path / "verdicts.parquet"
    assert score(tiny_store, path, "--out", out)[0] == 0
    frame = polars.read_parquet(out)
    rows = rows_of(score(tiny_store, path)[1])
    assert frame.columns == COLUMNS
    assert frame["row"].to_list() == [int(row["row"]) for row in rows]
    assert frame["verdict"].to_list() == [row["verdict"] for row in rows]
    assert frame["p_value"].dtype == polars.Float64
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_format_can_be_asked_for_where_there_is_no_name(tiny_store: Path, tmp_path: Path) -> None:
    text = score(tiny_store, write_run(tmp_path), "--format", "jsonl", "--stride", 50)[1]
    assert [json.loads(line)["row"] for line in text.splitlines()] == [1, 51, 101, 151, 201, 251]


def test_missing_sensor_is_said_and_the_rest_is_judged(tiny_store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    table = rows_of(path.read_text())
    keep = ["time", "Pressure", "Flow"]
    path.write_text("\n".join(",".join(line) for line in [keep, *([r[k] for k in keep] for r in table)]))
    code, text, said = score(tiny_store, path)
    assert code == 0
    assert "run.csv: judged without Temperature" in said
    assert "Temperature:missing" in rows_of(text)[50]["issues"]


def test_row_with_nothing_observed_is_never_called_normal(tiny_store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path, fault=None, labelled=False)
    lines = path.read_text().splitlines()
    lines[100:140] = [line.split(",")[0] + ",,," for line in lines[100:140]]
    path.write_text("\n".join(lines))
    rows = rows_of(score(tiny_store, path)[1])
    assert {row["verdict"] for row in rows[111:139]} == {"cannot_judge"}


def test_a_model_of_machines_that_differ_says_that_these_have_no_baseline(
    tiny_store: Path, tmp_path: Path
) -> None:
    path = write_run(tmp_path)
    assert "held against the mean" not in score(tiny_store, path)[2]
    for manifest in tiny_store.glob("tiny/*/manifest.json"):
        content = json.loads(manifest.read_text())
        content["recipe"] |= {"baseline": "asset", "baseline_rows": 100}
        manifest.write_text(json.dumps(content))
    assert "without --baseline-rows (100 in training)" in " ".join(score(tiny_store, path)[2].split())
    assert "held against the mean" not in score(tiny_store, path, "--baseline-rows", 100)[2]


def test_fault_inside_the_baseline_is_warned_of(tiny_store: Path, tmp_path: Path) -> None:
    _, _, said = score(tiny_store, write_run(tmp_path, fault=(20, 60)), "--baseline-rows", 100)
    assert "40 of the 100 rows of its baseline are labelled as faulty" in said


def slower(path: Path) -> Path:
    """The same readings, every 60 s."""
    lines = path.read_text().splitlines()
    start = np.datetime64("2026-01-01T00:00:00", "s")
    moved = [f"{start + 60 * i}," + line.split(",", 1)[1] for i, line in enumerate(lines[1:])]
    path.write_text("\n".join([lines[0], *moved]))
    return path


def test_another_sampling_period_is_refused(tiny_store: Path, tmp_path: Path) -> None:
    code, _, error = score(tiny_store, slower(write_run(tmp_path)))
    assert code == 1
    assert "run.csv: one reading every 60 s, the model expects one every 1 s" in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\nx,y\nz,w\n", "run.csv"),
        ("Pressure,Flow,Temperature\n4,120,60\n", "run.csv"),
        ("Speed,Torque\n1,2\n2,3\n3,4\n", "has none of the sensors"),
    ],
    ids=["no numbers", "one row", "other sensors"],
)
def test_file_that_cannot_be_judged_is_named_in_one_line(
    tiny_store: Path, tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "run.csv"
    path.write_text(content)
    code, _, error = score(tiny_store, path)
    assert code == 1
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline-rows", 300], "300 rows, so a baseline of 300 leaves none"),
        (["--baseline-rows", 5], "no baseline from its first 5 rows"),
        (["--false-alarm-rate", 0.0001], "cannot be promised"),
    ],
    ids=["baseline of all rows", "baseline too short", "false-alarm rate too small"],
)
def test_what_the_data_cannot_support_is_one_line_and_exit_1(
    tiny_store: Path, tmp_path: Path, arguments: list[object], words: str
) -> None:
    code, _, error = score(tiny_store, write_run(tmp_path), *arguments)
    assert code == 1
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--out", "verdicts.xlsx"], ["--format", "parquet"], ["--stride", "0"], ["nowhere.csv"]],
    ids=["unknown format", "parquet to the terminal", "stride 0", "no such file"],
)
def test_wrong_usage_exits_2(tiny_store: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert score(tiny_store, write_run(tmp_path), *arguments)[0] == 2


def test_folder_without_a_file_is_said(tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, error = score(tiny_store, tmp_path / "empty")
    assert code == 1
    assert "empty" in error
