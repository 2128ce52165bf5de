"""`offnormal inspect`: the card of a model, and the proof that it is whole."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app


def inspect(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


def test_card_shows_what_one_must_know_of_a_model(tiny_store: Path) -> None:
    code, card, _ = inspect("tiny", "--models", tiny_store)
    assert code == 0
    for words in (
        "tiny version 2",
        "verified",
        "12 steps, at least 4; one reading every 1 s",
        "normal, anomalous",
        "false-alarm rate",
        "Pressure",
        "Flow",
        "Temperature",
        "model.onnx",
    ):
        assert words in card


def test_version_that_is_named_is_shown(tiny_store: Path) -> None:
    assert "tiny version 1" in inspect("tiny", "--models", tiny_store, "--version", 1)[1]


def test_folder_can_be_named_instead_of_a_store(tiny_store: Path) -> None:
    code, card, _ = inspect(tiny_store / "tiny" / "1")
    assert code == 0
    assert "tiny version 1" in card


def test_json_holds_the_manifest_and_what_was_verified(tiny_store: Path) -> None:
    code, text, _ = inspect("--models", tiny_store, "--json")
    document = json.loads(text)
    assert code == 0
    assert document["verified"] == {"hashes": True, "golden_replay": True, "runtime": "onnx"}
    assert document["manifest"] == json.loads((tiny_store / "tiny" / "2" / "manifest.json").read_text())


def test_altered_file_is_refused_by_name(tiny_store: Path) -> None:
    with (tiny_store / "tiny" / "2" / "model.onnx").open("ab") as file:
        file.write(b"x")
    code, card, error = inspect("tiny", "--models", tiny_store)
    assert code == 1
    assert card == ""
    assert "model.onnx was altered" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["unknown"], "no model 'unknown' in the store; it has: tiny"),
        (["tiny", "--version", "9"], "no version 9; it has: 1, 2"),
        (["../tiny"], "../tiny: no folder of a model"),
    ],
    ids=["unknown model", "unknown version", "not a folder"],
)
def test_model_that_is_not_there_is_one_line_and_exit_1(
    tiny_store: Path, arguments: list[str], words: str
) -> None:
    code, _, error = inspect(*arguments, "--models", tiny_store)
    assert code == 1
    assert words in error
    assert error.count("\n") == 1


def test_store_without_a_model_is_said_to_be_empty(tmp_path: Path) -> None:
    code, _, error = inspect("--models", tmp_path)
    assert code == 1
    assert "no model in" in error
