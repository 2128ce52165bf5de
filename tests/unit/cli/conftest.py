"""A real service in a process of its own, for commands that talk to one."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# A console keeps the width that the environment names when it is made, and whoever runs tests side by side
# names one: it is made here without, so that each test has its own.
os.environ.pop("COLUMNS", None)
import cli.console  # noqa: F401


@pytest.fixture
def served(tiny_store: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a service of the model `tiny`, on a free port."""
    with run_service(tiny_store, tmp_path / "state") as url:
        yield url


class run_service:  # noqa: N801  (reads as what it does)
    """`offnormal serve` on a free port, until the block ends. Gives its address once it is ready."""

    def __init__(self, models: Path, state: Path, *arguments: str) -> None:
        command = ["serve", "--port", "0", "--models", str(models), "--state", str(state), *arguments]
        self._command = [sys.executable, "-m", "cli.main", *command]

    def __enter__(self) -> str:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr
        timer = threading.Timer(60, self._process.kill)
        timer.start()
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.match(r"ready: (http://\S+)", line):
                timer.cancel()
                # What it says from now on must not fill the pipe.
                threading.Thread(target=self._process.stderr.read, daemon=True).start()
                return found[1]
        timer.cancel()
        raise AssertionError(f"the service did not get ready: {''.join(said)}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
