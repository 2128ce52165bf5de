"""The command as a whole: help, exit codes, errors without tracebacks, and how light it starts."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

COMMANDS = ["serve", "replay", "example", "check", "train", "evaluate", "score", "inspect"]
HEAVY = ["numpy", "onnxruntime", "tensorflow", "keras", "polars", "sklearn", "matplotlib", "fastapi", "httpx"]


def offnormal(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def test_help_lists_every_command_in_its_group() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    positions = [text.index(f"─ {panel} ─") for panel in ("Serve", "Train", "Use")]
    assert positions == sorted(positions)
    for command in COMMANDS:
        assert f"│ {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_has_a_help_text(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    for line in result.stdout.splitlines():
        if "--" in line and line.startswith("│"):
            assert line.rstrip("│ ").split("  ")[-1].strip(), f"no help: {line}"


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(app, ["--version"]).stdout == f"offnormal {version('offnormal')}\n"


def test_help_and_usage_errors_load_no_heavy_library() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from cli.main import app\n"
        "for arguments in (['--help'], ['serve', '--help'], ['score', '--help'], ['nonsense']):\n"
        "    CliRunner().invoke(app, arguments)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "[]\n"


def test_command_that_is_not_there_is_told_what_is_like_it() -> None:
    assert "Did you mean 'serve'" in CliRunner().invoke(app, ["srve"]).stderr


def test_command_imports_no_other_and_says_things_without_rich() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from cli.main import app\n"
        "result = CliRunner().invoke(app, ['serve', '--models', 'nowhere'])\n"
        "found = [name for name in ('rich.console', 'cli.train', 'cli.replay') if name in sys.modules]\n"
        "print(result.exit_code, found)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "1 []\n"


def test_service_starts_without_what_nothing_of_it_needs(tiny_store: Path, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from cli.serve import quick_imports, read_settings\n"
        "settings = read_settings({'models': sys.argv[1], 'state': sys.argv[2]})\n"
        "with quick_imports():\n"
        "    from service.app import create_app\n"
        "    app = create_app(settings)\n"
        "async def start():\n"
        "    async with app.router.lifespan_context(app) as state:\n"
        "        while state['resources'].models.default() is None:\n"
        "            await asyncio.sleep(0.01)\n"
        "        print([name for name in ('pydantic.v1', 'numpy.ma') if name in sys.modules])\n"
        "asyncio.run(start())\n"
        "from pydantic import v1"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tiny_store, tmp_path / "state"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["score"], ["score", "--nonsense"], ["replay", "nowhere.csv"]],
    ids=["unknown command", "missing argument", "unknown option", "no such file"],
)
def test_usage_error_exits_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_foreseen_error_is_one_line_on_standard_error_and_exit_1(tmp_path: Path) -> None:
    result = offnormal("inspect", "pump", "--models", tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "error: no model 'pump' in the store; it has: none\n"


def test_file_that_may_not_be_written_is_named_without_a_traceback(tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "run.csv").write_text("Pressure\n1\n2\n3\n")
    out = tmp_path / "nowhere" / "verdicts.csv"
    result = offnormal("score", tmp_path / "run.csv", "--models", tiny_store, "--out", out)
    assert result.returncode == 1
    assert result.stderr == f"error: {out}: No such file or directory\n"


def test_defect_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("cli.inspect.model_folder", fail)
    result = CliRunner().invoke(app, ["inspect"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr("cli.inspect.model_folder", fail)
    result = CliRunner().invoke(app, ["inspect"])
    assert result.exit_code == 1
    assert "pip install 'offnormal[train]'" in result.stderr


def test_reader_that_closes_the_pipe_ends_it_quietly(tiny_store: Path, tmp_path: Path) -> None:
    from tests.unit.cli.plant_files import write_run

    path = write_run(tmp_path, rows=3000)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "score", str(path), "--models", str(tiny_store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=30) == 1


def test_interrupt_exits_130_without_a_traceback(tiny_store: Path, tmp_path: Path) -> None:
    import signal

    from tests.unit.cli.plant_files import write_run

    path = write_run(tmp_path, rows=60_000)
    out = tmp_path / "verdicts.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "score", str(path), "--models", str(tiny_store), "-o", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=30) == 130
    assert out.read_text().startswith("file,row,")
