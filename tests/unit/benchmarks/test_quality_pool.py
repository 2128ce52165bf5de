"""Jobs in real processes: what they say, how they fail, and that they end with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.pool import Job, Report, run


class Notes:
    """A `Watch` that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.running = self.most = 0

    def started(self, name: str) -> None:
        self.running += 1
        self.most = max(self.most, self.running)

    def heard(self, name: str, message: tuple[Any, ...]) -> None:
        self.lines.append((name, *message))

    def ended(self, name: str, error: str | None) -> None:
        self.running -= 1
        self.lines.append((name, "ended", error is None))


def tell(report: Report) -> None:
    report(("stage", os.environ.get("OMP_NUM_THREADS", "")))


def fail(report: Report) -> None:
    raise ValueError("the data is odd")


def die(report: Report) -> None:
    os.write(2, b"out of memory, says the library\n")
    os._exit(9)


def sleep(mark: Path, report: Report) -> None:
    mark.write_text(str(os.getpid()))
    time.sleep(120)


def jobs(folder: Path, *work: Any) -> list[Job]:
    return [Job(f"job-{number}", one, folder / f"{number}.log") for number, one in enumerate(work)]


def test_jobs_run_in_fresh_processes_that_see_the_settings_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notes = Notes()
    assert run(jobs(tmp_path, tell, tell, tell), 2, notes) == {}
    assert sorted(notes.lines) == sorted(
        line for n in range(3) for line in ((f"job-{n}", "stage", "1"), (f"job-{n}", "ended", True))
    )
    assert notes.most == 2


@pytest.mark.parametrize(
    ("work", "said"),
    [
        pytest.param(fail, "ValueError: the data is odd", id="raises"),
        pytest.param(die, "out of memory", id="dies"),
    ],
)
def test_job_that_goes_wrong_says_why_and_stops_no_other(tmp_path: Path, work: Any, said: str) -> None:
    notes = Notes()
    errors = run(jobs(tmp_path, work, tell), 1, notes)
    assert list(errors) == ["job-0"]
    assert said in errors["job-0"]
    assert ("job-1", "ended", True) in notes.lines


def test_interrupted_run_ends_its_jobs(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    # Whoever runs the tests in the background may have them ignore the signal.
    program = f"""
import signal
from functools import partial
from pathlib import Path
from benchmarks.quality.pool import Job, run
from tests.unit.benchmarks.test_quality_pool import Notes, sleep

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run([Job("long", partial(sleep, Path({str(mark)!r})), Path({str(tmp_path / "log")!r}))], 1, Notes())
"""
    (tmp_path / "program.py").write_text(program)
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")], env={**os.environ, "PYTHONPATH": root},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (mark.is_file() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    job = int(mark.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(job, 0)
