"""`offnormal replay` against a real service process."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.unit.cli.plant_files import write_run


def run(*arguments: object, columns: int = 200) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": str(columns)})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_verdicts_of_a_replay_are_those_of_score_row_by_row(
    served: str, tiny_store: Path, tmp_path: Path
) -> None:
    """Also across a gap, with missing readings, and by the asset's baseline."""
    path = write_run(tmp_path)
    lines = path.read_text().splitlines()
    lines[150] = lines[150].split(",")[0] + ",,120.0,,0"
    path.write_text("\n".join(lines[:181] + lines[221:]) + "\n")
    out = tmp_path / "verdicts.csv"
    assert run("replay", path, "--url", served, "--baseline-rows", 100, "--out", out)[0] == 0
    replayed = rows_of(out.read_text())
    scored = rows_of(run("score", path, "--models", tiny_store, "--baseline-rows", 100)[1])
    assert len(replayed) == len(scored) == 260
    exact = ("file", "row", "timestamp", "verdict", "decided_by", "top_sensor", "issues", "label")
    for ours, theirs in zip(replayed, scored, strict=True):
        assert {name: ours[name] for name in exact} == {name: theirs[name] for name in exact}
        for name in ("probability_anomalous", "reconstruction_error", "p_value", "observed"):
            if theirs[name]:
                assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-3, abs=1e-4)


def test_figures_are_printed_where_the_file_has_labels(served: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "a.csv")
    write_run(tmp_path / "runs", "b.csv", seed=51)
    code, text, _ = run("replay", tmp_path / "runs", "--url", served, "--baseline-rows", 100)
    assert code == 0
    table, faults = text.split("Faults")
    figures = {line.split()[0]: line.split() for line in table.splitlines() if line.strip()}
    assert figures["a.csv"] != figures["b.csv"]
    assert figures["all"][1:3] == ["400", "120"]
    assert float(figures["all"][4]) < 0.2
    assert figures["all"][8] == f"{2 * 120 / (400 + 120):.3f}"
    assert "Pressure" in faults
    assert " s " in faults


def test_persistent_alarms_are_counted_as_evaluate_counts_them(
    served: str, tiny_store: Path, tmp_path: Path
) -> None:
    """Also across a gap."""
    path = write_run(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:231] + lines[241:]) + "\n")
    common = (path, "--baseline-rows", 100, "--alarm-after", "3/5")
    _, text, _ = run("replay", *common, "--url", served)
    run("evaluate", *common, "--models", tiny_store, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    raw, after = text.split("Rows, each judged")[1:]
    assert "3/5" in after.splitlines()[0]
    for shown, expected in ((raw, figures["all"]), (after, figures["persisted"]["model"])):
        cells = next(line.split() for line in shown.splitlines() if line.split()[:1] == ["run.csv"])
        assert cells[3] == f"{expected['false_alarm_rate']:.3f}"
        assert cells[4] == f"{expected['missed_alarm_rate']:.3f}"
        assert f"{expected['false_alarms_raised']} false alarms raised" in shown
        assert f"{expected['median_delay_s']:g} s" in shown
    assert figures["all"]["missed_alarm_rate"] < figures["persisted"]["model"]["missed_alarm_rate"]


def test_file_without_labels_shows_its_verdicts_and_no_figures(served: str, tmp_path: Path) -> None:
    _, text, _ = run("replay", write_run(tmp_path, labelled=False), "--url", served)
    assert "run.csv" in text
    assert "anomalous" in text
    assert "always-on" not in text


def test_line_of_a_file_fits_a_terminal_of_80_columns(served: str, tmp_path: Path) -> None:
    _, text, _ = run("replay", write_run(tmp_path), "--url", served, columns=80)
    line = next(line for line in text.splitlines() if line.startswith("run.csv"))
    assert "normal" in line
    assert "anomalous" in line
    assert max(map(len, text.splitlines())) <= 80


def test_speed_keeps_to_the_time_of_the_recording(served: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, rows=61, fault=None)
    start = time.monotonic()
    assert run("replay", path, "--url", served, "--speed", 40)[0] == 0
    assert 1.4 <= time.monotonic() - start < 10


def test_asset_is_named_after_the_file_and_known_to_the_service(served: str, tmp_path: Path) -> None:
    import httpx

    write_run(tmp_path / "runs", "valve2/0.csv")
    write_run(tmp_path / "runs", "valve1/0.csv")
    run("replay", tmp_path / "runs", "--url", served, "--baseline-rows", 100)
    assets = httpx.get(f"{served}/assets", trust_env=False).json()["assets"]
    assert [(item["asset"], item["rows"]) for item in assets] == [("valve1-0", 100), ("valve2-0", 100)]


def test_refused_baseline_names_file_and_asset(served: str, tmp_path: Path) -> None:
    code, _, error = run("replay", write_run(tmp_path), "--url", served, "--baseline-rows", 5)
    assert code == 1
    assert "run.csv: baseline of asset run: the service answered 422 baseline_refused" in error


def test_model_that_is_not_served_is_said(served: str, tmp_path: Path) -> None:
    code, _, error = run("replay", write_run(tmp_path), "--url", served, "--model", "pump")
    assert code == 1
    assert "404 model_not_found" in error
    assert "tiny" in error


def test_nobody_at_the_address_is_told_soon_and_in_one_line(tmp_path: Path) -> None:
    start = time.monotonic()
    code, _, error = run("replay", write_run(tmp_path), "--url", "http://127.0.0.1:9")
    assert code == 1
    assert error.startswith("error: no answer from http://127.0.0.1:9 in 3 attempts")
    assert error.count("\n") == 1
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_interrupt_writes_what_there_is_prints_figures_and_exits_130(
    served: str, tmp_path: Path, suffix: str
) -> None:
    path, out = write_run(tmp_path), tmp_path / f"verdicts.{suffix}"
    command = ["replay", path, "--url", served, "--speed", "20", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert process.stderr.readline().startswith("tiny 2 at")
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    text, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "stopped" in error
    assert "always-on" in text
    rows = read_rows(out)
    assert 5 < len(rows) < 200
    assert rows[0]["verdict"] == "cannot_judge"


def read_rows(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        import polars

        return polars.read_parquet(path).to_dicts()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return [dict(row) for row in rows_of(path.read_text())]
