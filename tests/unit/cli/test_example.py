"""`offnormal example`: requests made by the model's own twin."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.example import FaultName
from cli.main import app
from detector import Detector, Options, Ruling, Window
from history.faults import FAULTS

SENSORS = ["Pressure", "Flow", "Temperature"]


def example(store: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["example", "--models", str(store), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def values_of(body: str) -> np.ndarray:
    (window,) = json.loads(body)["windows"]
    return np.array([window["readings"][name] for name in SENSORS]).T


def test_body_has_every_sensor_a_full_window_and_its_times(tiny_store: Path) -> None:
    body = json.loads(example(tiny_store))
    (window,) = body["windows"]
    assert body["model"] == "tiny"
    assert body["explain"] is True
    assert list(window["readings"]) == SENSORS
    assert {len(column) for column in window["readings"].values()} == {12}
    assert window["timestamps"][:2] == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]


def test_same_seed_gives_the_same_window_and_another_seed_another(tiny_store: Path) -> None:
    assert example(tiny_store, "--seed", "7") == example(tiny_store, "--seed", "7")
    assert example(tiny_store, "--seed", "7") != example(tiny_store, "--seed", "8")


def test_steps_are_as_asked(tiny_store: Path) -> None:
    assert values_of(example(tiny_store, "--steps", "5")).shape == (5, 3)


def test_fault_changes_only_the_named_sensor_from_its_onset_on(tiny_store: Path) -> None:
    normal = values_of(example(tiny_store, "--seed", "3"))
    faulty = values_of(example(tiny_store, "--seed", "3", "--fault", "shift", "--sensor", "Flow"))
    changed = np.abs(normal - faulty) > 0
    assert changed[3:, 1].all()
    assert not changed[:3].any()
    assert not changed[:, [0, 2]].any()


def test_size_is_in_standard_deviations(tiny_store: Path, tiny_detector: Detector) -> None:
    arguments = ["--seed", "3", "--fault", "shift", "--sensor", "Flow", "--size", "4"]
    moved = values_of(example(tiny_store, *arguments)) - values_of(example(tiny_store, "--seed", "3"))
    scale = tiny_detector.manifest.sensors[1].scale
    assert np.abs(moved[-1, 1]) == pytest.approx(4 * scale, rel=0.01)


def test_large_fault_is_called_anomalous_and_named_by_the_model(
    tiny_store: Path, tiny_detector: Detector
) -> None:
    values = values_of(example(tiny_store, "--fault", "shift", "--sensor", "Pressure", "--size", "10"))
    (verdict,) = tiny_detector.judge([Window(values)], Options(explain=True))
    assert verdict.ruling is Ruling.ANOMALOUS
    assert verdict.contributions
    assert verdict.contributions[0].sensor == "Pressure"


@pytest.mark.parametrize("fault", list(FaultName))
def test_every_fault_gives_a_body_of_finite_numbers(tiny_store: Path, fault: FaultName) -> None:
    assert np.isfinite(values_of(example(tiny_store, "--fault", fault.value))).all()


def test_faults_offered_are_those_that_can_be_injected() -> None:
    assert [fault.value for fault in FaultName] == list(FAULTS)


def test_curl_command_posts_the_same_body_to_the_url(tiny_store: Path) -> None:
    command = shlex.split(example(tiny_store, "--curl", "--url", "http://plant:9000/"))
    assert command[0] == "curl"
    assert "http://plant:9000/classify" in command
    assert json.loads(command[-1]) == json.loads(example(tiny_store))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "shift", "--sensor", "Level"], "'Level'"),
        (["--sensor", "Flow"], "--fault"),
        (["--fault", "rust"], "rust"),
        (["--fault", "shift", "--size", "-1"], "size"),
    ],
    ids=["unknown sensor", "sensor without fault", "unknown fault", "size below zero"],
)
def test_wrong_usage_exits_2_and_says_what(tiny_store: Path, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["example", "--models", str(tiny_store), *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_model_without_a_twin_is_said_to_have_none(tiny_store: Path) -> None:
    folder = tiny_store / "tiny" / "2"
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["twin.npz"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = CliRunner().invoke(app, ["example", "--models", str(tiny_store)])
    assert result.exit_code == 1
    assert "has no twin" in result.stderr
