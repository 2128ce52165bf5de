"""python -m benchmarks.quality DATA: measure what is not yet measured, then write docs/quality.md."""

import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.quality import datasets, pool
from benchmarks.quality.page import RUN, about_the_run, fill
from benchmarks.quality.progress import TerminalProgress
from benchmarks.quality.protocol import Protocol, tasks
from benchmarks.quality.results import FOLDER, ROOT, Filing, Results, Stored, code_sha256, data_sha256
from benchmarks.quality.sections import SECTIONS, Section

# One core a process, or two processes would fight over two cores. Libraries read it when they are imported,
# which the processes that measure do only once they have it from this one.
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
SEEDS = "0,1,2"
PAGE = ROOT / "docs" / "quality.md"
# Where a run goes that is not of everything.
TRIAL = FOLDER / "trial"

console = Console(stderr=True, highlight=False)


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the data sets: skab, tennessee_eastman, …")],
    only: Annotated[
        list[str] | None, typer.Option(help="Section of the page to measure; repeat for more.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="Part of a protocol, e.g. fold-1 or valve2.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of training, with commas between.")] = SEEDS,
    quick: Annotated[
        bool, typer.Option("--quick", help="Hardly any training: tries the benchmark, measures nothing.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 2,
) -> None:
    """Measure every figure of docs/quality.md. What is measured already is not measured again.

    With any of the first four options the page is left alone, and a page of what was asked for goes to
    benchmarks/results/quality/trial.
    """
    sections = _sections(only or [])
    needs = _needs(sections, part or [])
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{seeds!r}: expected numbers, as in 0,1,2") from None
    try:
        datasets.check(data, [protocol.data for protocol, _ in needs])
    except datasets.NoData as error:
        _fail(str(error))
        raise typer.Exit(2) from None

    console.print("Looking at code and data", style="dim")
    code = code_sha256()
    by_data = {protocol.name: data_sha256(protocol, data) for protocol in {p for p, _ in needs}}
    filings = [Filing(t, code, by_data[t.protocol.name]) for t in tasks(needs, numbers, quick)]
    began = time.monotonic()
    errors = _measure(filings, data.resolve(), workers)
    stored = [found for filing in filings if (found := filing.load()) is not None]
    whole = not (only or part or quick or seeds != SEEDS)
    _write(sections, stored, filings, PAGE if whole else TRIAL / "quality.md", quick)
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes", style="dim")
    for trace in dict.fromkeys(errors.values()):
        names = ", ".join(name for name, error in errors.items() if error == trace)
        console.print(f"\n{names}\n{trace}", style="red", markup=False, soft_wrap=True)
    if errors:
        _fail(f"{len(errors)} of {len(filings)} measurements failed; sections that need them were left alone")
        raise typer.Exit(1)


def _sections(names: list[str]) -> list[Section]:
    """Raises a usage error for a name that is none."""
    known = {section.name: section for section in SECTIONS}
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{unknown[0]!r}: expected one of {', '.join(known)}", param_hint="--only")
    return [known[name] for name in names] or list(SECTIONS)


def _needs(sections: list[Section], parts: list[str]) -> list[tuple[Protocol, str]]:
    """What the sections are made of; of that only these parts, if any. Raises a usage error."""
    needs = [need for section in sections for need in section.needs]
    known = {part for _, part in needs if part}
    if unknown := [part for part in parts if part not in known]:
        raise typer.BadParameter(
            f"{unknown[0]!r}: expected one of {', '.join(sorted(known))}", param_hint="--part"
        )
    return [need for need in needs if not parts or need[1] in parts]


def _measure(filings: list[Filing], data: Path, workers: int) -> dict[str, str]:
    """What is not there yet. Returns errors by task; exits when interrupted."""
    missing = [filing for filing in filings if not filing.path.is_file()]
    if not missing:
        return {}
    os.environ.update(SINGLE_THREADED)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-quality-") as scratch:
            jobs = []
            for number, filing in enumerate(missing):
                own = Path(scratch) / str(number)
                own.mkdir()
                work = partial(filing.measure, data, own)
                jobs.append(pool.Job(filing.task.name, work, own / "stderr"))
            with TerminalProgress(console, len(filings), len(filings) - len(missing)) as progress:
                return pool.run(jobs, workers, progress)
    except KeyboardInterrupt:
        done = sum(filing.path.is_file() for filing in filings)
        console.print(
            f"Interrupted. {done} of {len(filings)} measurements are kept; the same command does the rest."
        )
        raise typer.Exit(130) from None


def _write(
    sections: list[Section], stored: list[Stored], filings: list[Filing], target: Path, quick: bool
) -> None:
    """Sections that have all their measurements, pictures, and where it was measured."""
    from benchmarks.quality.plots import draw

    results = Results(stored)
    there = {(item.protocol, item.part, item.seed) for item in stored}
    texts = {}
    for section in sections:
        needed = [f.task for f in filings if (f.task.protocol, f.task.part) in section.needs]
        if needed and all((task.protocol.name, task.part, task.seed) in there for task in needed):
            texts[section.name] = section.write(results)
    if len(stored) == len(filings):
        texts[RUN] = about_the_run(stored)
    if target == PAGE:
        page = fill(PAGE.read_text(encoding="utf-8"), texts)
    else:
        heading = "QUICK: these figures mean nothing.\n\n" if quick else ""
        page = heading + "\n\n".join(f"## {name}\n\n{text}" for name, text in texts.items()) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    draw(results, texts.values(), target.parent / "images")
    shown = target.relative_to(ROOT)
    console.print(f"Wrote {shown}: {', '.join(texts) or 'nothing'}", style="bold green", soft_wrap=True)


def _fail(message: str) -> None:
    console.print(f"error: {message}", style="bold red", markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
