"""python -m benchmarks.speed: install the peers, measure all servers in turns, write docs/benchmarks.md."""

import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.quality.results import machine
from benchmarks.speed import cores as core_choice
from benchmarks.speed import environments, page, processes, results, visits
from benchmarks.speed.answers import WrongAnswer
from benchmarks.speed.cases import CASES
from benchmarks.speed.cores import Cores, TooFewCores
from benchmarks.speed.environments import NotInstalled
from benchmarks.speed.load import LoadFailed
from benchmarks.speed.models import SUBJECTS, WIDE, WINDOW, Subject, is_whole, store_of
from benchmarks.speed.places import MODELS, PAGE, RESULTS, ROOT
from benchmarks.speed.plots import PICTURE, draw
from benchmarks.speed.probes import FULL, QUICK, Pace
from benchmarks.speed.processes import ServerFailed
from benchmarks.speed.results import Run, Sample
from benchmarks.speed.visits import Visit
from detector import ModelStore

ROUNDS = 4
# From the first round on. A round is only begun when one as long as the last still fits.
LIMIT_S = 13 * 60.0
# From then on nobody is visited any more, whatever is left of a round: a server may hang.
END_S = 14 * 60.0
LIBRARIES = ("fastapi", "uvicorn", "uvloop", "httptools", "msgspec", "onnxruntime", "numpy")

console = Console(stderr=True, highlight=False)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Case to measure; repeat for more. Of {', '.join(CASES)}.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often every server is visited.")] = ROUNDS,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="One round of half seconds: tries the benchmark, measures nothing."),
    ] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Compare with Ray Serve too.")] = False,
    again: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write the page from this file of an earlier run; repeat to take several runs together. "
            "Measures nothing."
        ),
    ] = None,
) -> None:
    """Measure every figure of docs/benchmarks.md on two cores of this machine, which should do nothing else.

    With --only or --quick the page is left alone, and one goes to benchmarks/results/speed/trial.
    """
    wanted = only or list(CASES)
    if unknown := [case for case in wanted if case not in CASES]:
        raise typer.BadParameter(f"{unknown[0]!r}: expected one of {', '.join(CASES)}", param_hint="--only")
    if again:
        _write(results.pooled([results.load(file) for file in again]), whole=True)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    processes.adopt_orphans()
    try:
        cores = core_choice.choose()
        run = _measure(wanted, cores, 1 if quick else rounds, quick, ray)
    except TooFewCores as error:
        console.print(f"error: {error}", style="bold red")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted. Every server was stopped; nothing was written.")
        raise typer.Exit(130) from None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    results.save(run, RESULTS / f"{stamp}{'-quick' if quick else ''}.json")
    _write(run, whole=not (only or quick))
    if run.failures:
        raise typer.Exit(1)


def _measure(wanted: list[str], cores: Cores, rounds: int, quick: bool, ray: bool) -> Run:
    planned = visits.plan(wanted, ray)
    failures: dict[str, str] = {}
    _prepare(planned, failures)
    planned = [visit for visit in planned if visit.name not in failures]
    pace = QUICK if quick else FULL
    began, started = time.monotonic(), datetime.now(UTC)
    samples: list[Sample] = []
    done, last = 0, 0.0
    for number in range(rounds):
        this = time.monotonic()
        if this - began + last > LIMIT_S:
            console.print(f"Ended after {done} of {rounds} rounds: another would take too long.")
            break
        samples += _round(number, planned, wanted, cores, pace, failures, began + END_S)
        last = time.monotonic() - this
        done += 1
    return Run(
        began=started.strftime("%Y-%m-%d"),
        seconds=time.monotonic() - began,
        rounds=done,
        quick=quick,
        machine=_machine(cores),
        versions={"offnormal": {name: version(name) for name in ("offnormal", *LIBRARIES)}},
        models={subject.name: _described(subject) for subject in (WINDOW, WIDE)},
        samples=samples,
        failures=failures,
    )


def _prepare(planned: list[Visit], failures: dict[str, str]) -> None:
    """Environments and models. A peer that cannot be installed is left out, and the page says why."""
    for peer in dict.fromkeys(visit.server.peer for visit in planned if visit.server.peer):
        try:
            environments.install(peer, console.print)
        except NotInstalled as error:
            console.print(f"error: {peer} could not be installed: {error}", style="bold red", markup=False)
            for visit in planned:
                if visit.server.peer == peer:
                    failures[visit.name] = f"could not be installed: {error}"
    if not all(is_whole(subject, MODELS) for subject in SUBJECTS):
        console.print("Training the models that are served")
        words = [sys.executable, "-m", "benchmarks.speed.models", str(MODELS)]
        MODELS.mkdir(parents=True, exist_ok=True)
        with (MODELS / "training.log").open("wb") as log:
            subprocess.run(words, cwd=ROOT, check=True, stdout=log, stderr=subprocess.STDOUT)


def _round(
    number: int,
    planned: list[Visit],
    wanted: list[str],
    cores: Cores,
    pace: Pace,
    failures: dict[str, str],
    end: float,
) -> list[Sample]:
    """Everybody once, in an order that begins elsewhere each round. end: see END_S."""
    samples: list[Sample] = []
    first = number * 3 % len(planned)
    for visit in [*planned[first:], *planned[:first]]:
        if visit.once and number > 0:
            continue
        if time.monotonic() > end:
            failures.setdefault(visit.name, f"round {number + 1}: there was no time left")
            continue
        console.print(f"round {number + 1}: {visit.name}", style="dim")
        try:
            for sample in visits.make(visit, number, cores, pace, MODELS, _folder_of):
                samples.append(sample)
                told = ", ".join(f"{name} {value:.4g}" for name, value in sample.figures.items())
                console.print(f"  {sample.probe}: {told}", style="dim", markup=False, soft_wrap=True)
        except (ServerFailed, LoadFailed, WrongAnswer) as error:
            failures[visit.name] = f"round {number + 1}: {error}"
            console.print(f"error: {visit.name}: {error}", style="bold red", markup=False, soft_wrap=True)
    samples += visits.make_bare(number, cores, pace, wanted, _folder_of)
    return samples


def _folder_of(subject: Subject) -> Path:
    return ModelStore(store_of(subject, MODELS)).folder(subject.name).resolve()


def _described(subject: Subject) -> str:
    from detector import Detector

    parameters = Detector.load(_folder_of(subject)).manifest.architecture.parameters
    return (
        f"Model `{subject.name}`: {subject.steps} steps × {subject.sensors} sensors, LSTM of {subject.units} "
        f"units each way, {parameters:,} parameters."
    )


def _machine(cores: Cores) -> str:
    """Processor, system, which cores, and whether those are one physical core."""
    threads = "threads of one physical core" if cores.siblings else "different physical cores"
    if cores.siblings is None:
        threads = "the system does not say whether they share a physical core"
    return (
        f"{machine()} {platform.release()}, Python {platform.python_version()}: "
        f"servers on core {cores.server}, load on core {cores.load} ({threads})"
    )


def _write(run: Run, whole: bool) -> None:
    target = PAGE if whole else RESULTS / "trial" / "benchmarks.md"
    text = page.write(PAGE.read_text(encoding="utf-8"), run)
    if run.quick:
        text = "QUICK: these figures mean nothing.\n\n" + text
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    draw(run, target.parent / "images" / PICTURE)
    console.print(f"Wrote {target.relative_to(ROOT)}", style="bold green", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
