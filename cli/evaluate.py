"""`offnormal evaluate`: a model's figures on labelled recordings, as a table, JSON and pictures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, note, out
from cli.errors import CommandError
from cli.figures import figures_table
from cli.model_choice import DEFAULT_MODELS, ModelOption, ModelsOption, VersionOption, model_folder
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings

if TYPE_CHECKING:
    from history.options import ReadOptions


@with_read_options
def evaluate(
    paths: Annotated[
        list[Path], typer.Argument(help="Labelled files and folders that were not trained on.", exists=True)
    ],
    models: ModelsOption = DEFAULT_MODELS,
    model: ModelOption = None,
    version: VersionOption = None,
    baseline_rows: Annotated[
        int, typer.Option(min=0, help="Known-normal rows at the beginning of each file: its own baseline.")
    ] = 0,
    false_alarm_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Alarm budget; the model's default if not given.")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Judge every n-th row.")] = 1,
    json_out: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write all figures to this file.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Draw each file with truth and verdict into this folder."),
    ] = None,
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Judge labelled files and count: F1, false and missed alarms beside an always-on detector, delays.

    Each row is judged by the window that ends at it, without looking ahead and without point adjustment.

    `offnormal evaluate tests/ --model pump7 --baseline-rows 400 --plots pictures/`
    """
    from detector import Detector
    from evaluation.evaluate import evaluate as run

    detector = Detector.load(model_folder(models, model, version))
    files = list(recordings(paths, reading, events))
    if all(recording.labels is None for recording in files):
        raise CommandError("no file has labels: name their column with --label-column, or give --events")
    with err.status("Judging") as status:
        evaluation = run(
            detector,
            files,
            baseline_rows,
            false_alarm_rate,
            stride,
            on_file=lambda name: status.update(f"Judging: {name} done"),
        )
    summaries = {result.recording.name: result.summary for result in evaluation.files}
    out.print(figures_table({**summaries, "all": evaluation.summary()}))
    if json_out is not None:
        content = {"model": detector.manifest.name, "version": detector.manifest.version}
        content |= {"all": evaluation.summary(), "files": summaries}
        json_out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        note(f"wrote {json_out}")
    if plots is not None:
        from evaluation.plots import draw_run

        plots.mkdir(parents=True, exist_ok=True)
        with err.status("Drawing"):
            for result in evaluation.files:
                draw_run(result, plots / (result.recording.name.replace("/", "-") + ".png"))
        note(f"drew {len(evaluation.files)} pictures into {plots}")
