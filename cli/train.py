"""`offnormal train`: from a historian's files to a published model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, note, out
from cli.errors import CommandError
from cli.figures import figures_table
from cli.model_choice import DEFAULT_MODELS, ModelsOption
from cli.quiet import native_stderr_hidden
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings

if TYPE_CHECKING:
    from collections.abc import Callable

    from history.options import ReadOptions
    from history.recording import Recording


@with_read_options
def train(
    paths: Annotated[
        list[Path], typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True)
    ],
    name: Annotated[str, typer.Option(help="Name of the model; an existing one gets its next version.")],
    models: ModelsOption = DEFAULT_MODELS,
    recipe: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="TOML file; see docs/training.md.")
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(help="Files or folders to report figures on, never trained on; repeat for more."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Steps of a window; 30 unless given.")] = None,
    baseline_rows: Annotated[
        int | None, typer.Option(help="Rows of known-normal operation at the beginning of each file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed and data give the same model.")] = None,
    unit: Annotated[
        list[str] | None, typer.Option(help="Unit of a sensor, as 'Pressure=bar'; repeat for more.")
    ] = None,
    description: Annotated[str, typer.Option(help="Where the data comes from, for the model's card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the data, for the model's card.")] = "",
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Train a model on files of normal operation, with fault labels or without any, and publish it.

    Labels are a column (found by its name) or a file of events. Without labels the files should be mostly
    normal operation; faults are then injected. Some recordings are kept apart for calibration and for the
    figures that are reported.

    `offnormal train exports/ --name pump7`
    """
    units = _units(unit or [])
    # What can be wrong with the arguments and the files is said before TensorFlow takes its seconds to load.
    from detector import ModelStore
    from training.publish import check_name
    from training.recipe import read_recipe

    check_name(name)
    settings = read_recipe(recipe, window_steps=window, baseline_rows=baseline_rows, seed=seed)
    training, reported = _read(paths, test or [], reading, events)
    note("Loading TensorFlow ...")
    with native_stderr_hidden():
        from training.pipeline import About
        from training.pipeline import train as run

    with _progress() as (on_stage, on_step):
        trained = run(
            training, About(name, description, licence, units), ModelStore(models), settings, reported,
            on_stage, on_step,
        )  # fmt: skip
    manifest = trained.manifest
    if manifest.metrics:
        out.print(figures_table({f"{manifest.name} {trained.folder.name}": manifest.metrics}))
    parts = trained.split
    note(
        f"trained on {len(parts.train)}, calibrated on {len(parts.calibration)}, reported on "
        f"{len(parts.test)} recordings, divided by {parts.by}"
    )
    out.print(f"Published {trained.folder}", style="bold green", soft_wrap=True)


def _read(
    paths: list[Path], test: list[Path], reading: "ReadOptions", events: Path | None
) -> tuple[list["Recording"], list["Recording"]]:
    """Recordings to train on, and those to report on; a file that is both is reported on."""
    from history.read import find_files

    held_out = {file.path for file in find_files(test)} if test else set()
    training: list[Recording] = []
    reported: list[Recording] = []
    everything = [*paths, *test]
    with err.status("Reading files"):
        for file, recording in zip(
            find_files(everything), recordings(everything, reading, events), strict=True
        ):
            (reported if file.path in held_out else training).append(recording)
            quality = recording.quality
            if not quality.usable:
                raise CommandError(
                    f"{recording.name}: no sensor has readings that change; see offnormal check"
                )
    rows = sum(len(recording) for recording in training)
    note(
        f"{len(training)} files, {rows:,} rows to train and calibrate on; {len(reported)} files to report on"
    )
    return training, reported


def _units(pairs: list[str]) -> dict[str, str]:
    units = {}
    for pair in pairs:
        sensor, separator, unit = pair.partition("=")
        if not separator or not sensor or not unit:
            raise typer.BadParameter(f"{pair!r}: expected SENSOR=UNIT", param_hint="--unit")
        units[sensor] = unit
    return units


@contextmanager
def _progress() -> Iterator[tuple["Callable[[str], None]", "Callable[[int, int, float, float], None]"]]:
    """A bar with the losses and the time left, and a line for each stage that is done."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
    )
    tasks: list[TaskID] = []

    def on_stage(stage: str) -> None:
        if tasks:
            progress.update(tasks[-1], total=1.0, completed=1.0)
        tasks.append(progress.add_task(stage, total=None, losses=""))

    def on_step(step: int, steps: int, reconstruction: float, classification: float) -> None:
        losses = f"{step}/{steps}, losses {reconstruction:.2f} {classification:.2f}"
        progress.update(tasks[-1], total=steps, completed=step, losses=losses)

    with progress:
        yield on_stage, on_step
        if tasks:
            progress.update(tasks[-1], total=1.0, completed=1.0)
