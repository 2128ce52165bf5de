"""`offnormal check`: how good the data of a file is, before anybody trains on it."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import fail, note, out
from cli.reading import EventsOption, with_read_options

if TYPE_CHECKING:
    from rich.table import Table

    from history.options import ReadOptions
    from history.quality import RecordingQuality
    from history.recording import Recording

_GRADE_STYLES = {"high": "green", "medium": "yellow", "low": "bold red"}


@with_read_options
def check(
    paths: Annotated[
        list[Path], typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True)
    ],
    events: EventsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
    *,
    reading: "ReadOptions",
) -> None:
    """Report on the data quality of files, sensor by sensor.

    Grades: high, use it; medium, look at the remark first; low, little can be learnt from it.
    Exit code 1 when a file cannot be used: it cannot be read, or none of its sensors ever changes.

    `offnormal check pump7/ --delimiter semicolon`
    """
    from history.errors import HistoryError
    from history.files import find_files
    from history.labels import EventLabels, read_events
    from history.read import read_file

    files = find_files(paths, reading.layout)
    labelling = None if events is None else EventLabels(read_events(events))
    documents: list[dict[str, Any]] = []
    for file in files:
        try:
            recording = read_file(file.path, reading, file.name)
            if labelling is not None:
                recording = labelling.label(recording)
        except HistoryError as error:
            documents.append(
                {"file": file.name, "usable": False, "error": error.message, "place": error.place}
            )
            if not as_json:
                fail(str(error))
            continue
        documents.append(as_document(recording))
        if not as_json:
            print_report(recording)
    if labelling is not None:
        labelling.refuse_unused()
    unusable = sum(not document["usable"] for document in documents)
    if as_json:
        typer.echo(json.dumps({"files": documents}, indent=2, ensure_ascii=False))
    elif len(files) > 1:
        note(f"{len(files)} files, {unusable} of them cannot be used")
    if unusable:
        raise typer.Exit(1)


def as_document(recording: "Recording") -> dict[str, Any]:
    """The report of one file, for machines."""
    start, end = _span(recording)
    return {
        "file": recording.name,
        "usable": recording.quality.usable,
        "start": start,
        "end": end,
        "labels": _label_counts(recording),
        **asdict(recording.quality),
    }


def print_report(recording: "Recording") -> None:
    """Write the report of one file to standard output, as wide as the terminal."""
    from rich.markup import escape
    from rich.padding import Padding

    quality = recording.quality
    out.print(f"[bold]{escape(recording.name)}[/bold]  {_headline(recording)}", soft_wrap=True)
    for line in (*_time_remarks(quality), *_label_remarks(recording), *quality.notes):
        out.print(f"  [dim]{escape(line)}[/dim]", soft_wrap=True)
    if not quality.usable:
        out.print("  [bold red]cannot be used: no sensor ever changes[/bold red]")
    out.print(Padding(sensor_table(quality), (0, 0, 0, 2)))
    for sensor in quality.sensors:
        if sensor.reason:
            style = _GRADE_STYLES[sensor.grade]
            out.print(f"  [{style}]{escape(sensor.sensor)}[/{style}]: {sensor.reason}", soft_wrap=True)
    out.print()


def sensor_table(quality: "RecordingQuality") -> "Table":
    """One row a sensor, in the file's order; flat is the longest run of equal readings, rows."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("sensor", overflow="fold")
    table.add_column("grade", no_wrap=True)
    for column in ("missing", "invalid", "minimum", "mean", "maximum", "flat"):
        table.add_column(column, justify="right", no_wrap=True)
    for sensor in quality.sensors:
        style = _GRADE_STYLES[sensor.grade]
        figures = (sensor.minimum, sensor.mean, sensor.maximum)
        table.add_row(
            escape(sensor.sensor),
            f"[{style}]{sensor.grade}[/{style}]",
            f"{sensor.missing:,}",
            f"{sensor.invalid:,}",
            *("-" if figure is None else f"{figure:.4g}" for figure in figures),
            f"{sensor.longest_flat:,}",
        )
    return table


def _headline(recording: "Recording") -> str:
    quality = recording.quality
    period = "" if quality.period_s is None else f", one every {quality.period_s:g} s"
    start, end = _span(recording)
    span = "" if start is None else f", {start} to {end}"
    return f"{quality.rows:,} rows{period}{span}"


def _time_remarks(quality: "RecordingQuality") -> list[str]:
    remarks = []
    if quality.gaps:
        longest = f"{quality.longest_gap_s:g} s"
        remarks.append(
            f"1 gap in time, of {longest}"
            if quality.gaps == 1
            else f"{quality.gaps:,} gaps in time, the longest {longest}"
        )
    if quality.duplicates:
        rows = "row" if quality.duplicates == 1 else "rows"
        remarks.append(f"{quality.duplicates:,} {rows} dropped: the next row has the same stamp")
    if quality.backward:
        steps = "step" if quality.backward == 1 else "steps"
        remarks.append(f"{quality.backward:,} {steps} back in time; no window spans one")
    return remarks


def _span(recording: "Recording") -> tuple[str, str] | tuple[None, None]:
    """First and last stamp, ISO 8601."""
    from datetime import UTC, datetime, timedelta

    stamps = recording.timestamps
    if stamps is None:
        return None, None
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first, last = (
        (epoch + timedelta(seconds=float(edge))).isoformat(timespec="seconds").replace("+00:00", "Z")
        for edge in (stamps.min(), stamps.max())
    )
    return first, last


def _label_remarks(recording: "Recording") -> list[str]:
    counts = _label_counts(recording)
    if counts is None:
        return ["has no labels"]
    shares = ", ".join(f"{rows:,} {label}" for label, rows in counts.items())
    return [f"labels: {shares}"]


def _label_counts(recording: "Recording") -> dict[str, int] | None:
    """Rows per label; None without labels."""
    if recording.labels is None:
        return None
    return dict(Counter(label or "unlabelled" for label in recording.labels.tolist()))
