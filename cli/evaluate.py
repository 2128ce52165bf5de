"""`offnormal evaluate`: a model's figures on labelled recordings, as tables, a report, JSON and pictures."""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, note, out
from cli.figures import detectors_table, files_table, print_contest
from cli.judging import (
    AlarmAfterOption,
    BaselineRowsOption,
    FalseAlarmRateOption,
    StrideOption,
    advise_baseline,
    alarm_after_of,
)
from cli.model_choice import DEFAULT_MODELS, ModelOption, ModelsOption, VersionOption, model_folder
from cli.reading import EventsOption, with_read_options
from cli.recordings import labelled_recordings

if TYPE_CHECKING:
    from detector import Detector
    from evaluation.evaluate import Evaluation
    from history.options import ReadOptions


@with_read_options
def evaluate(
    paths: Annotated[
        list[Path], typer.Argument(help="Labelled files and folders that were not trained on.", exists=True)
    ],
    models: ModelsOption = DEFAULT_MODELS,
    model: ModelOption = None,
    version: VersionOption = None,
    baseline_rows: BaselineRowsOption = 0,
    false_alarm_rate: FalseAlarmRateOption = None,
    alarm_after: AlarmAfterOption = None,
    stride: StrideOption = 1,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write everything to this file as one self-contained HTML page."),
    ] = None,
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
    """Judge labelled files and count, beside plain detectors that a model has to beat.

    Each row is judged by the window that ends at it, without looking ahead and without point adjustment. The
    plain detectors (always on, PCA, mean square) judge the same rows at the same alarm budget.

    `offnormal evaluate tests/ --model pump7 --baseline-rows 400 --report pump7.html`
    """
    rule = alarm_after_of(alarm_after)

    from detector import Detector
    from evaluation.evaluate import evaluate as run

    if report is not None:
        # What drawing needs is missed now, not after minutes of judging.
        importlib.import_module("evaluation.report")
    detector = Detector.load(model_folder(models, model, version))
    advise_baseline(detector.manifest, baseline_rows)
    files = labelled_recordings(paths, reading, events)
    with err.status("Judging") as status:
        evaluation = run(
            detector,
            files,
            baseline_rows,
            false_alarm_rate,
            stride,
            rule,
            on_file=lambda name: status.update(f"Judging: {name} done"),
        )
    _show(evaluation)
    if json_out is not None:
        from evaluation.record import record

        json_out.parent.mkdir(parents=True, exist_ok=True)
        json_out.write_text(json.dumps(record(evaluation), indent=2) + "\n", encoding="utf-8")
        note(f"wrote {json_out}")
    if report is not None:
        _write_report(report, evaluation, detector)
    if plots is not None:
        from evaluation.plots import draw_run

        plots.mkdir(parents=True, exist_ok=True)
        with err.status("Drawing"):
            for result in evaluation.files:
                draw_run(result, plots / (result.recording.name.replace("/", "-") + ".png"))
        note(f"drew {len(evaluation.files)} pictures into {plots}")


def _show(evaluation: "Evaluation") -> None:
    summaries = evaluation.summaries()
    if len(evaluation.files) > 1:
        out.print(files_table(evaluation))
    out.print(detectors_table(summaries, "Detection"))
    if evaluation.alarm_after is not None:
        title = f"Detection with alarms after {evaluation.alarm_after} windows"
        out.print(detectors_table(evaluation.summaries(persisted=True), title))
    print_contest(evaluation.contest())
    for remark in (evaluation.references_from, *evaluation.notes):
        note(remark)


def _write_report(path: Path, evaluation: "Evaluation", detector: "Detector") -> None:
    from evaluation.report import write_report

    path.parent.mkdir(parents=True, exist_ok=True)
    with err.status("Drawing") as status:
        write_report(path, evaluation, detector, lambda name: status.update(f"Drawing: {name}"))
    note(f"wrote {path}")
