"""`offnormal train`: from a historian's files to a published model."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, note, out, warn
from cli.errors import CommandError
from cli.figures import figures_table
from cli.interruption import Interruption
from cli.model_choice import DEFAULT_MODELS, ModelsOption
from cli.quiet import native_stderr_hidden
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings_to_learn_from
from cli.training_view import OnStep, training_progress

if TYPE_CHECKING:
    from cli.training_order import Order
    from history.options import ReadOptions
    from history.recording import Recording
    from training.pipeline import Trained
    from training.recipe import Recipe
    from training.run import RunFolder

RUN_PANEL = "Runs that can be interrupted"
# Where the run goes that was interrupted and given no folder.
RUNS = Path("runs")


@with_read_options
def train(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model; an existing one gets its next version.")
    ] = None,
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
    run_folder: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=RUN_PANEL,
            help="New folder for recipe, curves and checkpoints; unless given, only an interrupted run has "
            "one, in runs/.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            rich_help_panel=RUN_PANEL,
            help="Go on with the run in this folder, as it was asked for: needs no files and no name.",
        ),
    ] = None,
    publish_interrupted: Annotated[
        bool,
        typer.Option(
            "--publish-interrupted",
            rich_help_panel=RUN_PANEL,
            help="When interrupted, calibrate and publish the best weights so far.",
        ),
    ] = False,
    publish_anyway: Annotated[
        bool,
        typer.Option(
            "--publish-anyway",
            help="Publish even a model that ranks rows no better than plain detectors do; its card says so.",
        ),
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(rich_help_panel=RUN_PANEL, help="Write losses there for TensorBoard.")
    ] = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Train a model on files of normal operation, with fault labels or without any, and publish it.

    Labels are a column (found by its name) or a file of events. Without labels the files should be mostly
    normal operation; faults are then injected. Some recordings are kept apart for calibration and for the
    figures that are reported. Ctrl-C leaves a folder from which the training goes on.

    `offnormal train exports/ --name pump7`
    """
    # What can be wrong with the arguments and the files is said before TensorFlow takes its seconds to load.
    from cli.training_order import Order, absolute, read_order
    from training.publish import check_name
    from training.recipe import read_recipe
    from training.run import RUN_FILE, RunFolder

    if resume is not None:
        if paths or name or recipe or test or run_folder or window or baseline_rows or seed is not None:
            raise typer.BadParameter("takes no files, name or recipe", param_hint="--resume")
        folder = RunFolder.open(resume)
        order, settings = read_order(folder.order, resume / RUN_FILE), folder.recipe
        for library, (began, now) in folder.other_versions.items():
            warn(f"{resume}: began with {library} {began}, this is {now}: the model may come out otherwise")
    else:
        if not paths:
            raise typer.BadParameter("name files or folders to train on", param_hint="PATHS")
        if name is None:
            raise typer.BadParameter("a model needs a name", param_hint="--name")
        check_name(name)
        settings = read_recipe(recipe, window_steps=window, baseline_rows=baseline_rows, seed=seed)
        order = Order(
            paths=absolute(paths),
            name=name,
            models=str(models.resolve()),
            test=absolute(test or []),
            events=str(events.resolve()) if events else None,
            reading=reading,
            units=_units(unit or []),
            description=description,
            licence=licence,
        )
        by_time = RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        folder = RunFolder(run_folder or by_time, order.as_json())
    keep = resume is not None or run_folder is not None
    events = Path(order.events) if order.events else None
    files, set_apart = list(map(Path, order.paths)), list(map(Path, order.test))
    with recordings_to_learn_from(files, set_apart, order.reading, events) as (training, reported):
        trained = _run(
            training,
            reported,
            order,
            settings,
            folder,
            keep,
            publish_interrupted,
            publish_anyway,
            tensorboard,
        )
    manifest = trained.manifest
    if manifest.metrics:
        out.print(figures_table({f"{manifest.name} {trained.folder.name}": manifest.metrics}))
    parts = trained.split
    note(
        f"trained on {len(parts.train)}, calibrated on {len(parts.calibration)}, reported on "
        f"{len(parts.test)} recordings, divided by {parts.by}"
    )
    here = Path.cwd()
    shown = trained.folder.relative_to(here) if trained.folder.is_relative_to(here) else trained.folder
    out.print(f"Published {shown}", style="bold green", soft_wrap=True)


def _run(
    training: Sequence["Recording"],
    reported: Sequence["Recording"],
    order: "Order",
    settings: "Recipe",
    folder: "RunFolder",
    keep: bool,
    publish_interrupted: bool,
    publish_anyway: bool,
    tensorboard: Path | None,
) -> "Trained":
    """Train as ordered. Exits, after saying how to go on, when it is interrupted."""
    from training.errors import Interrupted, NotBetter

    note("Loading TensorFlow ...")
    with native_stderr_hidden():
        from detector import ModelStore
        from training.pipeline import About, Run
        from training.pipeline import train as run
    about = About(order.name, order.description, order.licence, order.units)
    try:
        with Interruption() as interruption, training_progress() as (on_stage, on_step):
            return run(
                training,
                about,
                ModelStore(Path(order.models)),
                settings,
                reported,
                on_stage,
                _recorded(on_step, tensorboard, settings),
                interruption.asked,
                Run(folder, keep, publish_interrupted),
                publish_anyway,
            )
    except NotBetter as worse:
        raise CommandError(
            f"not published: {worse}. To publish it all the same:\n"
            f"  offnormal train --resume {folder.path} --publish-anyway"
        ) from None
    except Interrupted as stopped:
        err.print(
            f"Interrupted after step {stopped.step} of {stopped.steps}. To go on:\n"
            f"  offnormal train --resume {folder.path}",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(interruption.exit_code) from None


def _recorded(on_step: OnStep, tensorboard: Path | None, settings: "Recipe") -> OnStep:
    """`on_step`, and a record for TensorBoard if one is wanted."""
    if tensorboard is None:
        return on_step
    from training.tensorboard import TensorBoard

    board = TensorBoard(tensorboard, settings)

    def both(step: int, steps: int, reconstruction: float, classification: float) -> None:
        board(step, steps, reconstruction, classification)
        on_step(step, steps, reconstruction, classification)

    return both


def _units(pairs: list[str]) -> dict[str, str]:
    units = {}
    for pair in pairs:
        sensor, separator, unit = pair.partition("=")
        if not separator or not sensor or not unit:
            raise typer.BadParameter(f"{pair!r}: expected SENSOR=UNIT", param_hint="--unit")
        units[sensor] = unit
    return units
