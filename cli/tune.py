"""`offnormal tune`: which recipe suits these files."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, note, out
from cli.interruption import Interruption
from cli.quiet import native_stderr_hidden
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings_to_learn_from
from cli.training_view import OnStep

if TYPE_CHECKING:
    from history.options import ReadOptions
    from training.tune import Standing, Study

# A process keeps some 40 MB of compiled steps for each trial, and nothing but its end gives them back.
TRIALS_OF_A_PROCESS = 20


class Pruner(StrEnum):
    """How trials that fall behind are given up early."""

    MEDIAN = "median"
    HYPERBAND = "hyperband"


@with_read_options
def tune(
    paths: Annotated[
        list[Path], typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True)
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier runs included.")] = 30,
    storage: Annotated[
        Path, typer.Option(dir_okay=False, help="SQLite file of the search; an existing one is gone on with.")
    ] = Path("tuning.db"),
    report: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder for report and best recipe; beside the storage if not given."
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="TOML file of all that is not searched.")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(help="Files or folders to stay out altogether; repeat for more.")
    ] = None,
    steps: Annotated[int, typer.Option(min=20, help="Optimiser steps of a trial.")] = 600,
    pruner: Annotated[Pruner, typer.Option(help="How trials that fall behind are given up.")] = Pruner.MEDIAN,
    seed: Annotated[int | None, typer.Option(help="Seeds the search and every trial.")] = None,
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Search for a recipe by short trials, and write the best one for `offnormal train --recipe`.

    Searched are learning rate, batch size, cell, units, layers, dropout and window steps. Trials are compared
    by the ROC AUC of the combined score on recordings that they were not trained on: by recorded faults, or
    where there are none by injected ones. Ctrl-C ends it with a report; the same command goes on.

    `offnormal tune exports/ --test exports/line-4 --trials 40 --storage tuning.db`
    """
    from training.recipe import read_recipe

    base = read_recipe(recipe, seed=seed)
    with recordings_to_learn_from(paths, test or [], reading, events) as (training, tested):
        note("Loading TensorFlow ...")
        with native_stderr_hidden():
            from training.describe import fingerprint
            from training.trial import lay_ground
            from training.tune import Study
            from training.tune_report import objective_in_words
        ground = lay_ground(training, base, tested)
        study = Study(storage, ground, base, steps, fingerprint([*training, *tested]), pruner.value)
        note(f"Objective: {objective_in_words(study)}")
        if study.counted:
            note(f"{storage}: going on after {len(study.counted)} trials")
        with Interruption() as interruption, _progress(trials) as (on_trial, on_step):
            study.run(trials, on_trial, on_step, interruption.asked, TRIALS_OF_A_PROCESS)
        done = len(study.counted)
        goes_on = done < trials and not interruption.asked()
        if not goes_on:
            _report(study, report or storage.with_name(f"{storage.stem}-report"))
            if done < trials:
                err.print(
                    f"Ended after {done} of {trials} trials. The same command continues {storage}.",
                    soft_wrap=True,
                    markup=False,
                )
                raise typer.Exit(interruption.exit_code)
    if goes_on:  # the recordings were let go of; the same command continues with the memory of a new process
        os.execv(sys.executable, sys.orig_argv)


def _report(study: "Study", folder: Path) -> None:
    """Write it, and say what was found."""
    from training.tune_report import PICTURE_FILE, RECIPE_FILE, write_report

    write_report(study, folder)
    if study.best is not None:
        out.print(f"Best of {len(study.counted)} trials: {study.best.value:.4f}", style="bold green")
        for name, value in study.best.params.items():
            out.print(f"  {name} = {value:.4g}" if isinstance(value, float) else f"  {name} = {value}")
        if study.as_given is not None:
            out.print(f"The recipe as it was given: {study.as_given.value:.4f}")
        out.print(f"Report {folder / PICTURE_FILE}, recipe {folder / RECIPE_FILE}", soft_wrap=True)


@contextmanager
def _progress(trials: int) -> Iterator[tuple[Callable[["Standing"], None], OnStep]]:
    """One bar for the search, with the best so far, and one for the trial under way."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
        transient=True,
    )
    search = progress.add_task("Trials", total=trials, text="")
    trial = progress.add_task("Trial", total=None, text="")

    def on_trial(now: "Standing") -> None:
        best = "" if now.best is None else f", best {now.best:.4f}"
        progress.update(search, completed=now.done, text=f"{now.done}/{now.wanted}{best}")
        chosen = now.choices
        text = (
            f"{chosen['cell']} {chosen['layers']}x{chosen['units']}, {chosen['window_steps']} steps, "
            f"batch {chosen['batch_size']}, rate {chosen['learning_rate']:.1g}"
        )
        progress.reset(trial, total=None, description=f"Trial {now.number}", text=text)

    def on_step(step: int, steps: int, reconstruction: float, classification: float) -> None:
        progress.update(trial, total=steps, completed=step)

    with progress:
        yield on_trial, on_step
