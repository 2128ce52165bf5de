"""`offnormal evaluate`: figures, JSON and pictures of labelled files."""

import json
import re
import subprocess
import sys
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


def test_report_is_one_page_that_fetches_nothing_and_has_the_numbers_of_the_json(tiny_store, tmp_path):
    write_run(tmp_path / "runs", "one.csv", seed=60)
    write_run(tmp_path / "runs", "<two>.csv", seed=61, fault=(150, 190))
    code, _, _ = evaluate(
        tiny_store,
        *(tmp_path / "runs", "--baseline-rows", 100, "--alarm-after", "2/3"),
        *("--report", tmp_path / "out" / "r.html", "--json", tmp_path / "out" / "r.json"),
    )
    assert code == 0
    page = (tmp_path / "out" / "r.html").read_text()
    figures = json.loads((tmp_path / "out" / "r.json").read_text())
    assert set(re.findall(r'(?:src|href)="([^,]*),', page)) == {"data:image/svg+xml;base64"}
    assert "http" not in page
    assert "<script" not in page
    assert "<two>" not in page
    detectors = [figures["all"], *(item["all"] for item in figures["references"].values())]
    for summary in (*detectors, *figures["files"].values(), *figures["persisted"].values()):
        for key in ("f1", "range_f1"):
            assert f">{summary[key]:.3f}<" in page
    for match in figures["against_references"]["matches"]:
        assert f"{match['difference']:+.3f}" in page
    assert f"calibration error {figures['reliability']['ece']:.3f}" in page
    # The chart over files, the two of promises, the keys, at least one extract and each file's timeline.
    assert page.count("<img") >= 7


def test_plain_detectors_and_the_verdict_stand_in_the_terminal(tiny_store, tmp_path):
    write_run(tmp_path, "one.csv", seed=60)
    _, shown, said = evaluate(
        tiny_store, tmp_path / "one.csv", "--baseline-rows", 100, "--alarm-after", "2/3"
    )
    for name in ("always on", "PCA T²+Q", "mean z²", "alarms after 2/3"):
        assert name in shown
    assert len(re.findall(r"(?:Beats|Does not beat) .* in AUC:", shown)) == 3
    assert "thresholds come from" in said


def test_without_a_drawing_library_everything_but_drawing_works(tiny_store, tmp_path):
    """As in the serving install."""
    write_run(tmp_path, "one.csv", seed=60)
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'scipy', 'tensorflow', 'polars'])); "
    )
    command = [sys.executable, "-c", blocked + "from cli.main import main; main()", "evaluate"]
    options = [tmp_path / "one.csv", "--models", tiny_store, "--json", tmp_path / "r.json"]

    def run(*more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, (*options, *more))], capture_output=True, text=True, check=False
        )

    assert run().returncode == 0
    assert json.loads((tmp_path / "r.json").read_text())["all"]["events"] == 1
    refused = run("--report", tmp_path / "r.html")
    assert refused.returncode == 1
    assert "offnormal[train]" in refused.stderr


@pytest.mark.parametrize("rule", ["5/3", "three", "0/2"])
def test_what_is_no_rule_of_persistence_is_refused(tiny_store, tmp_path, rule):
    write_run(tmp_path, "one.csv")
    code, _, complaint = evaluate(tiny_store, tmp_path / "one.csv", "--alarm-after", rule)
    assert code == 2
    assert "3/5" in complaint
