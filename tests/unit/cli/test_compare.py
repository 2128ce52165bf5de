"""`offnormal compare`: models side by side."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.unit.cli.plant_files import write_run


def compare(store: Path, *arguments: object) -> tuple[int, str, str]:
    command = ["compare", *map(str, arguments), "--models", str(store)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in range(60, 66):
        write_run(tmp_path / "runs", f"{seed}.csv", seed=seed)
    return tmp_path / "runs"


def test_two_versions_are_compared_in_terminal_page_and_json(tiny_store, tmp_path, runs):
    code, shown, _ = compare(
        tiny_store,
        *("tiny@1", "tiny@2", runs, "--baseline-rows", 100, "--alarm-after", "2/3"),
        *("--report", tmp_path / "out" / "c.html", "--json", tmp_path / "out" / "c.json"),
    )
    assert code == 0
    content = json.loads((tmp_path / "out" / "c.json").read_text())
    assert content["models"] == ["tiny@1", "tiny@2"]
    assert len(content["files"]) == 6
    page = (tmp_path / "out" / "c.html").read_text()
    assert "http" not in page
    for item in content["differences"]:
        assert item["low"] <= item["mean"] <= item["high"]
        assert item["better"] + item["worse"] + item["equal"] == 6
        for text in (shown, page):
            assert f"{item['mean']:+.3f}" in text
    for name in ("always on", "PCA T²+Q", "mean z²"):
        assert name in shown
        assert name in page


def test_newest_version_and_a_folder_are_models_too(tiny_store, runs):
    code, shown, said = compare(tiny_store, "tiny", tiny_store / "tiny" / "1", runs)
    assert code == 0
    assert "tiny@2" in shown
    assert "tiny@1" in shown
    assert "no file" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny@1", "RUNS"], "expected two models or more"),
        (["tiny@1", "tiny@2"], "expected files after the models"),
        (["tiny@1", "tiny@1", "RUNS"], "given twice"),
        (["tiny@1", "tiny@7", "RUNS"], "no version 7"),
        (["tiny@1", "tiny@new", "RUNS"], "expected a number after the @"),
        (["tiny@1", "tiny@2", "nowhere.csv"], "nowhere.csv: no such file"),
        (["tiny@1", "other", "RUNS"], "'other' is none"),
    ],
    ids=[
        "one-model",
        "no-files",
        "same-model",
        "unknown-version",
        "bad-version",
        "no-such-file",
        "no-such-model",
    ],
)
def test_what_cannot_be_compared_is_refused(tiny_store, runs, arguments, said):
    code, _, complaint = compare(tiny_store, *(str(runs) if item == "RUNS" else item for item in arguments))
    assert code == 1
    assert said in complaint


def test_files_without_labels_are_refused(tiny_store, tmp_path):
    write_run(tmp_path, "one.csv", labelled=False)
    code, _, complaint = compare(tiny_store, "tiny@1", "tiny@2", tmp_path / "one.csv")
    assert code == 1
    assert "no file has labels" in complaint
