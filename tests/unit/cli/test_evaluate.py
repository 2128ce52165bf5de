"""`offnormal evaluate`: figures, JSON and pictures of labelled files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.unit.cli.plant_files import write_run


def evaluate(store: Path, *arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["evaluate", "--models", str(store), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_a_plain_fault_is_found_and_counted(tiny_store, tmp_path):
    write_run(tmp_path / "runs", "one.csv", seed=60)
    write_run(tmp_path / "runs", "two.csv", seed=61, fault=None)
    code, shown, _ = evaluate(tiny_store, tmp_path / "runs", "--json", tmp_path / "figures.json")
    assert code == 0
    assert "one.csv" in shown
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["model"] == "tiny"
    together, one, two = figures["all"], figures["files"]["one.csv"], figures["files"]["two.csv"]
    assert together["events_found"] == together["events"] == 1
    assert one["auc"] > 0.95
    assert one["missed_alarm_rate"] < 0.1
    assert together["f1"] > together["always_on_f1"]
    # No fault, nothing to find: no F1 is better than one of 0.
    assert two["f1"] is None
    assert together["judged_rows"] == one["judged_rows"] + two["judged_rows"]


def test_every_file_is_drawn(tiny_store, tmp_path):
    write_run(tmp_path / "runs" / "a", "one.csv", seed=60)
    write_run(tmp_path / "runs" / "b", "one.csv", seed=61)
    code, _, _ = evaluate(tiny_store, tmp_path / "runs", "--plots", tmp_path / "plots")
    assert code == 0
    drawn = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in drawn] == ["a-one.csv.png", "b-one.csv.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_rows_of_the_baseline_are_not_counted(tiny_store, tmp_path):
    write_run(tmp_path, "one.csv", seed=60)
    evaluate(tiny_store, tmp_path / "one.csv", "--baseline-rows", 120, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["all"]["judged_rows"] == 180


@pytest.mark.parametrize(
    ("labelled", "arguments", "said"),
    [
        (False, [], "no file has labels"),
        (True, ["--baseline-rows", 5000], "leaves none"),
        (True, ["--false-alarm-rate", 0.000001], "cannot be promised"),
        (True, ["--model", "none"], "no model"),
    ],
    ids=["no-labels", "baseline-longer-than-file", "budget-too-small", "unknown-model"],
)
def test_what_cannot_be_evaluated_is_refused(tiny_store, tmp_path, labelled, arguments, said):
    write_run(tmp_path, "one.csv", labelled=labelled)
    code, _, complaint = evaluate(tiny_store, tmp_path / "one.csv", *arguments)
    assert code == 1
    assert said in complaint
