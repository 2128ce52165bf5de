"""The commands of README.md and of docs/operations, run as they are printed.

A fenced block of `sh` is run unless the line before it is a comment that says why not:
`<!-- not run: ... -->`. They run in a folder that looks like a clone, against a service of the embedded model
in a process of its own; only the port is another.
"""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import run_service

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/operations/README.md", "docs/operations/alerts.md")
MODELS = ROOT / "models"
BLOCK = re.compile(r"(?:<!-- (?P<remark>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
COLUMNS = [
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment before it."""

    page: str
    number: int
    kind: str
    text: str
    remark: str

    def __str__(self) -> str:
        words = " ".join(self.text.replace(".venv/bin/", "").split())
        return f"{self.page}:{words[:40]}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer((ROOT / page).read_text())):
            found.append(Block(page, number, match["kind"], match["text"], match["remark"] or ""))
    return found


RUN = [block for block in blocks() if block.kind == "sh" and not block.remark.startswith("not run")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_service(MODELS, tmp_path_factory.mktemp("state")) as url:
        yield url


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the embedded models, and with files such as the pages speak of."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "models").symlink_to(MODELS)
    write_history(folder / "pump7.csv", rows=700, fault=slice(550, 650), seed=1)
    write_history(folder / "pump7-normal.csv", rows=400, seed=2)
    (folder / "exports").mkdir()
    for seed in (3, 4):
        write_history(folder / "exports" / f"{seed}.csv", rows=300, seed=seed)
    return folder


def write_history(path: Path, rows: int, seed: int, fault: slice = slice(0)) -> None:
    """A historian's file at 1 Hz, made by the embedded model's twin; its pressure rises during `fault`."""
    from detector import ModelStore
    from history.twin import Twin

    twin = Twin.load(ModelStore(MODELS).folder("pump-loop") / "twin.npz")
    values = twin.simulate(rows, np.random.default_rng(seed))
    pressure = twin.sensors.index("Pressure")
    values[fault, pressure] += 8 * twin.scale[pressure]
    labels = np.zeros(rows, int)
    labels[fault] = 1
    start = np.datetime64("2026-03-01T08:00:00")
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["datetime", *twin.sensors, "anomaly"])
        for row in range(rows):
            cells = (f"{value:.6g}" for value in values[row])
            table.writerow([start + np.timedelta64(row, "s"), *cells, labels[row]])


def run(block: Block, clone: Path, service: str) -> str:
    """What the block prints. Fails when any of its commands does."""
    commands = block.text.replace(".venv/bin/", "").replace("http://127.0.0.1:8000", service)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone,
        env=os.environ | {"PATH": path, "OFFNORMAL_URL": service, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", RUN, ids=str)
def test_command_of_the_documentation_works(block: Block, clone: Path, service: str) -> None:
    output = run(block, clone, service)
    if "/classify" in block.text or "| sh" in block.text:
        (result,) = json.loads(output)["results"]
        assert result["verdict"] == "anomalous"
    elif "curl" in block.text and "-X PUT" in block.text:
        assert json.loads(output)["rows"] == 400


def test_answer_in_the_readme_is_the_one_to_its_first_request(clone: Path, service: str) -> None:
    request = next(block for block in RUN if block.page == "README.md" and "/classify" in block.text)
    (answer,) = (block for block in blocks() if block.remark == "an answer to the first curl")
    shown, given = json.loads(answer.text.replace(", …]", "]")), json.loads(run(request, clone, service))
    (shown_result,), (given_result,) = shown["results"], given["results"]
    assert shown["model"].keys() == given["model"].keys()
    assert shown_result.keys() == given_result.keys()
    assert shown_result["quality"] == given_result["quality"]
    for name in ("id", "asset", "verdict", "decided_by", "baseline"):
        assert shown_result[name] == given_result[name]
    for name in ("reconstruction_error", "p_value"):
        assert shown_result[name] == pytest.approx(given_result[name], rel=0.1)
    assert shown_result["probabilities"] == pytest.approx(given_result["probabilities"], abs=0.01)
    for shown_item, given_item in zip(
        shown_result["contributions"], given_result["contributions"], strict=False
    ):
        assert shown_item["sensor"] == given_item["sensor"]
        assert shown_item["share"] == pytest.approx(given_item["share"], abs=0.01)
        assert shown_item["error"] == pytest.approx(given_item["error"], rel=0.1)


def test_figures_in_the_readme_are_those_of_the_embedded_model() -> None:
    from detector import ModelStore
    from detector.artefact import open_artefact

    metrics = open_artefact(ModelStore(MODELS).folder("pump-loop")).manifest.metrics
    table = (ROOT / "README.md").read_text().split("<!-- figures of the manifest -->")[1]
    row = [cell.strip() for cell in table.splitlines()[3].strip("|").split("|")]
    names = ("f1", "always_on_f1", "false_alarm_rate", "missed_alarm_rate", "auc")
    assert row == [
        *(f"{metrics[name]:.3f}" for name in names),
        f"{metrics['events_found']} of {metrics['events']}",
        f"{metrics['median_delay_s']:.0f} s",
    ]


def test_sensors_of_the_embedded_model_are_those_of_the_readme() -> None:
    from detector import ModelStore
    from detector.artefact import open_artefact

    artefact = open_artefact(ModelStore(MODELS).folder("pump-loop"))
    assert list(artefact.manifest.sensor_names) == COLUMNS


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "docs/architecture.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", (ROOT / page).read_text())
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


def test_commands_that_are_not_run_are_few_and_say_why() -> None:
    skipped = [block for block in blocks() if block.kind == "sh" and block not in RUN]
    assert len(RUN) > len(skipped)
    assert all(len(block.remark) > len("not run: ") for block in skipped)
