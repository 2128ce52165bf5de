"""`offnormal score --format lookout`: the lines that Lookout for Equipment wrote, from the files it took."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.lookout import lookout_line
from cli.main import app
from evaluation.verdict_row import VerdictRow
from tests.plant import SENSORS, recording
from tests.unit.cli.plant_files import write_run


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def lines_of(store: Path, *arguments: object) -> list[dict[str, Any]]:
    code, text, said = run("score", "--models", store, "--format", "lookout", *arguments)
    assert code == 0, said
    return [json.loads(line) for line in text.splitlines()]


def test_each_row_is_a_line_with_the_fields_of_lookout(tiny_store: Path, tmp_path: Path) -> None:
    lines = lines_of(tiny_store, write_run(tmp_path, "pump_20260921141320.csv"))
    assert len(lines) == 300
    calm, faulty = lines[100], lines[230]
    fields = ["timestamp", "prediction", "prediction_reason", "anomaly_score", "diagnostics"]
    assert list(calm) == list(faulty) == fields
    assert calm["timestamp"] == "2026-09-21T14:15:00.000000"
    assert (calm["prediction"], calm["prediction_reason"]) == (0, "NO_ANOMALY_DETECTED")
    assert (faulty["prediction"], faulty["prediction_reason"]) == (1, "ANOMALY_DETECTED")
    assert 0 <= calm["anomaly_score"] < faulty["anomaly_score"] <= 1
    for line in (calm, faulty):
        assert {item["name"] for item in line["diagnostics"]} == {f"pump\\{sensor}" for sensor in SENSORS}
        assert sum(item["value"] for item in line["diagnostics"]) == pytest.approx(1, abs=1e-4)
    assert faulty["diagnostics"][0]["name"] == "pump\\Pressure"


def test_lines_say_what_a_file_of_verdicts_says(tiny_store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    lines = lines_of(tiny_store, path)
    rows = [
        json.loads(line)
        for line in run("score", "--models", tiny_store, "--format", "jsonl", path)[1].splitlines()
    ]
    for line, row in zip(lines, rows, strict=True):
        assert line["timestamp"] == row["timestamp"][:-1] + ".000000"
        assert line["prediction"] == (row["verdict"] == "anomalous")
        if row["probability_anomalous"] is not None:
            assert line["anomaly_score"] == pytest.approx(row["probability_anomalous"], abs=1e-5)
            assert line["diagnostics"][0]["value"] == pytest.approx(row["top_share"], abs=1e-5)


def test_row_that_cannot_be_judged_has_no_score_and_is_not_called_normal(
    tiny_store: Path, tmp_path: Path
) -> None:
    first = lines_of(tiny_store, write_run(tmp_path))[0]
    assert list(first) == ["timestamp", "prediction", "prediction_reason"]
    assert (first["prediction"], first["prediction_reason"]) == (0, "CANNOT_JUDGE")


def test_rows_of_the_baseline_have_no_line(tiny_store: Path, tmp_path: Path) -> None:
    lines = lines_of(tiny_store, write_run(tmp_path), "--baseline-rows", 100)
    assert len(lines) == 200
    assert lines[0]["timestamp"] == "2026-09-21T14:15:00.000000"


def test_lines_go_to_a_file_too(tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    assert lines_of(tiny_store, write_run(tmp_path), "--out", out) == []
    assert json.loads(out.read_text().splitlines()[230])["prediction"] == 1


def test_file_without_time_is_refused_by_name(tiny_store: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    path.write_text("\n".join(line.partition(",")[2] for line in path.read_text().splitlines()) + "\n")
    code, text, error = run("score", "--models", tiny_store, "--format", "lookout", path)
    assert (code, text) == (1, "")
    assert "run.csv: has no time column" in error


def test_sensor_that_names_its_component_keeps_its_name() -> None:
    row = VerdictRow(
        "dataset",
        1,
        0.0,
        "anomalous",
        probabilities=(0.25, 0.5, 0.25),
        contributions=(("motor\\Speed", 1.0),),
    )
    assert lookout_line(row) == {
        "timestamp": "1970-01-01T00:00:00.000000",
        "prediction": 1,
        "prediction_reason": "ANOMALY_DETECTED",
        "anomaly_score": 0.75,
        "diagnostics": [{"name": "motor\\Speed", "value": 1.0}],
    }


def write_dataset(folder: Path, rows: int, seed: int, fault: tuple[int, int] | None) -> Path:
    """One machine of two components, in the layout of a data set."""
    item = recording("run", rows, seed, fault, size=8.0, labelled=False)
    for component, sensors in (("pump", SENSORS[:2]), ("motor", SENSORS[2:])):
        lines = [",".join(["Timestamp", *sensors])]
        for row in range(rows):
            stamp = f"{np.datetime64(int(item.timestamps[row]), 's')}.000000"
            columns = [SENSORS.index(sensor) for sensor in sensors]
            lines.append(",".join([stamp, *(f"{item.values[row, column]:.6g}" for column in columns)]))
        path = folder / component / f"{component}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return folder


def stamp(row: int) -> str:
    return str(np.datetime64(1_790_000_000 + row, "s"))


RECIPE = """
window_steps = 12
minimum_steps = 4
units = [6]
batch_size = 32
reconstruction_steps = 60
joint_steps = 60
baseline = "pooled"
baseline_rows = 60
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on a data set and a label file of Lookout's, and a second such data set."""
    folder = tmp_path_factory.mktemp("lookout")
    write_dataset(folder / "dataset", 900, seed=1, fault=(700, 740))
    (folder / "labels.csv").write_text(f"{stamp(700)},{stamp(739)}\n")
    write_dataset(folder / "new", 300, seed=2, fault=(200, 260))
    (folder / "new-labels.csv").write_text(f"{stamp(200)},{stamp(259)}\n")
    (folder / "recipe.toml").write_text(RECIPE)
    code, _, said = run(
        "train", folder / "dataset", "--layout", "lookout", "--events", folder / "labels.csv",
        "--name", "pump7", "--models", folder / "models", "--recipe", folder / "recipe.toml",
        "--run-folder", folder / "run", "--publish-anyway",
    )  # fmt: skip
    assert code == 0, said
    return folder


def test_data_set_and_label_file_of_lookout_train_a_model(machine: Path) -> None:
    manifest = json.loads((machine / "models" / "pump7" / "1" / "manifest.json").read_text())
    names = [sensor["name"] for sensor in manifest["sensors"]]
    assert sorted(names) == ["motor\\Temperature", "pump\\Flow", "pump\\Pressure"]
    assert (manifest["training_data"]["files"], manifest["training_data"]["rows"]) == (1, 720)
    assert "recorded" in manifest["training_data"]["labels"]


def test_model_of_a_data_set_names_components_and_sensors_in_its_lines(machine: Path) -> None:
    lines = lines_of(machine / "models", machine / "new", "--layout", "lookout")
    assert len(lines) == 300
    named = {item["name"] for item in lines[230]["diagnostics"]}
    assert named == {"motor\\Temperature", "pump\\Flow", "pump\\Pressure"}
    assert sum(line["prediction"] for line in lines[212:260]) > 0.8 * 48


def test_label_file_of_lookout_is_what_is_evaluated_against(machine: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code, _, said = run(
        "evaluate", machine / "new", "--layout", "lookout", "--events", machine / "new-labels.csv",
        "--models", machine / "models", "--json", figures,
    )  # fmt: skip
    assert code == 0, said
    assert '"auc"' in figures.read_text()


GUIDE = Path(__file__).parents[3] / "docs" / "migration" / "lookout.md"
BLOCK = re.compile(r"(?:<!-- (?P<remark>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)


def test_commands_of_the_migration_guide_work_in_their_order(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guide calls input is the second data set, as a scheduler was given it."""
    (machine / "input").mkdir()
    for component in ("pump", "motor"):
        shutil.copy(
            machine / "new" / component / f"{component}.csv",
            machine / "input" / f"{component}_20260921141320.csv",
        )
    monkeypatch.chdir(machine)
    found = list(BLOCK.finditer(GUIDE.read_text()))
    commands = [
        b["text"] for b in found if b["kind"] == "sh" and not (b["remark"] or "").startswith("not run")
    ]
    assert len(commands) == 3
    for command in commands:
        name, *arguments = shlex.split(command)
        code, _, said = run(*arguments)
        assert (name, code) == ("offnormal", 0), said
    (shown,) = (json.loads(b["text"].replace(", …]", "]")) for b in found if b["kind"] == "json")
    lines = [json.loads(line) for line in (machine / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 300
    assert list(lines[230]) == list(shown)
    assert lines[230]["diagnostics"][0].keys() == shown["diagnostics"][0].keys()
    assert lines[230]["prediction_reason"] == shown["prediction_reason"]
    assert lines[230]["diagnostics"][0]["name"] == shown["diagnostics"][0]["name"]


def test_data_set_is_checked_as_one_recording(machine: Path) -> None:
    code, text, _ = run("check", machine / "dataset", "--layout", "lookout", "--json")
    (report,) = json.loads(text)["files"]
    assert code == 0
    assert report["usable"] is True
