"""`offnormal check`: what it prints, and what it tells a script."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.check import check

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(check)
GOOD = "time,Pressure,Flow\n" + "".join(
    f"2024-05-01 00:{i:02}:00,{i % 7}.5,{i * i % 11}.5\n" for i in range(60)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_text(GOOD)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_good_file_is_reported_sensor_by_sensor_with_exit_code_0(folder: Path) -> None:
    result = run(folder / "good.csv")

    assert result.exit_code == 0
    assert "good.csv  60 rows, one every 60 s, 2024-05-01T00:00:00Z to 2024-05-01T00:59:00Z" in result.stdout
    assert result.stdout.count("high") == 2
    for word in ("Pressure", "Flow", "has no labels", "time is taken from 'time'"):
        assert word in result.stdout


def test_what_is_wrong_is_said_in_words(folder: Path) -> None:
    rows = GOOD.splitlines()
    rows[10] = rows[9]
    rows[20] = rows[20].rsplit(",", 1)[0] + ",Bad"
    (folder / "good.csv").write_text("\n".join([*rows[:40], *rows[45:]]))
    result = run(folder)

    assert result.exit_code == 0
    assert "2 gaps in time, the longest 360 s" in result.stdout
    assert "1 row dropped: the next row has the same stamp" in result.stdout
    assert "Flow: 1.85 % of the readings are invalid" in result.stdout


def test_one_file_that_cannot_be_read_does_not_hide_the_others_and_gives_exit_code_1(folder: Path) -> None:
    (folder / "bad.csv").write_text("a,b\n1,2\n3,4,5\n6,7\n")
    (folder / "still.csv").write_text("a\n1\n1\n1\n")
    result = run(folder)

    assert result.exit_code == 1
    assert "error: bad.csv, line 3: has 3 cells, expected 2" in result.stderr
    assert "no sensor ever changes" in result.stdout
    assert "Pressure" in result.stdout
    assert "3 files, 2 of them cannot be used" in result.stderr


def test_json_holds_every_file_and_nothing_else_is_printed(folder: Path) -> None:
    (folder / "bad.csv").write_text("")
    result = run(folder, "--json")
    bad, good = json.loads(result.stdout)["files"]

    assert result.exit_code == 1
    assert bad == {"file": "bad.csv", "usable": False, "error": "is empty", "place": "bad.csv"}
    assert good["usable"]
    assert good["rows"] == 60
    assert [(s["sensor"], s["grade"]) for s in good["sensors"]] == [("Pressure", "high"), ("Flow", "high")]


def test_reading_options_reach_the_reader(folder: Path) -> None:
    text = "when;Temp;ist;Notiz\n03/04/2024 00:00;1,5;0;a\n03/04/2024 00:01;2,5;1;b\n"
    (folder / "good.csv").write_bytes(text.encode("utf-16"))
    options = ("--delimiter", "semicolon", "--decimal", "comma", "--header", "--time-column", "when",
               "--time-format", "day-first", "--label-column", "ist", "--sensor", "Temp", "--ignore", "Notiz",
               "--encoding", "utf-16")  # fmt: skip
    report = json.loads(run(folder, "--json", *options).stdout)["files"][0]

    assert report["start"] == "2024-04-03T00:00:00Z"
    assert report["labels"] == {"normal": 1, "anomalous": 1}
    assert [s["sensor"] for s in report["sensors"]] == ["Temp"]
    assert "left out 'Notiz': ignored as asked" in report["notes"]


def test_no_time_column_can_be_asked_for(folder: Path) -> None:
    assert json.loads(run(folder, "--json", "--time-column", "none").stdout)["files"][0]["start"] is None


def test_events_are_checked_against_the_files(folder: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.json"
    events.write_text('[["2024-05-01 00:10", "2024-05-01 00:19", "leak"]]')
    report = json.loads(run(folder / "good.csv", "--json", "--events", events).stdout)["files"][0]
    assert report["labels"] == {"normal": 50, "leak": 10}

    events.write_text('[["2025-05-01 00:10", "2025-05-01 00:19", "leak"]]')
    result = run(folder / "good.csv", "--events", events)
    assert result.exit_code == 1
    assert "lies outside the time of every recording" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("nowhere.csv",), id="no such file"),
        pytest.param((".", "--delimiter", "xx"), id="delimiter of two characters"),
        pytest.param((".", "--decimal", "dot"), id="unknown decimal mark"),
        pytest.param((".", "--time-format", "sometimes"), id="unknown time format"),
        pytest.param((), id="no path"),
    ],
)
def test_wrong_use_gives_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
