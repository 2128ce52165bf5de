"""Files of verdicts: CSV, JSON lines (this tool's, or Lookout for Equipment's) or Parquet, as they come."""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from evaluation.verdict_row import VerdictRow, column_types

Write = Callable[[Sequence[VerdictRow]], None]
# Parquet cannot be appended to, so parts of this many rows are written first and joined at the end.
PARQUET_PART_ROWS = 50_000


class Format(StrEnum):
    """How verdicts are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    LOOKOUT = "lookout"


_BY_SUFFIX = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", dir_okay=False, help="File for the verdicts: .csv, .jsonl or .parquet."),
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Format of the verdicts, where the file's name does not say it."),
]


def choose_format(path: Path | None, asked: Format | None) -> Format:
    """The format asked for, else by the file's name. Raises typer.BadParameter."""
    chosen = asked or (Format.CSV if path is None else _BY_SUFFIX.get(path.suffix.lower()))
    if chosen is None:
        raise typer.BadParameter(f"{path}: end the name with .csv, .jsonl or .parquet, or give --format")
    if chosen is Format.PARQUET and path is None:
        raise typer.BadParameter("Parquet needs a file: give --out")
    if chosen is Format.PARQUET:
        import polars  # noqa: F401  (told before hours of work, not after)
    return chosen


@contextmanager
def verdict_file(path: Path | None, form: Format, classes: Sequence[str]) -> Iterator[Write]:
    """Opens for writing, gives the function that writes rows, closes. Standard output where path is None.

    What was written is there even if the body of the `with` is left by an error.
    """
    if form is Format.PARQUET:
        assert path is not None  # held by choose_format
        with _parquet(path, classes) as write:
            yield write
    elif path is None:
        yield _lines(sys.stdout, form, classes)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield _lines(file, form, classes)


def _lines(file: TextIO, form: Format, classes: Sequence[str]) -> Write:
    def write_json(rows: Sequence[VerdictRow]) -> None:
        for row in rows:
            file.write(json.dumps(row.record(classes), ensure_ascii=False) + "\n")
        file.flush()

    def write_csv(rows: Sequence[VerdictRow]) -> None:
        table.writerows(row.record(classes).values() for row in rows)
        file.flush()

    def write_lookout(rows: Sequence[VerdictRow]) -> None:
        from cli.lookout import lookout_line

        lines = (lookout_line(row) for row in rows)
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines if line is not None)
        file.flush()

    if form is Format.JSONL:
        return write_json
    if form is Format.LOOKOUT:
        return write_lookout
    table = csv.writer(file, lineterminator="\n")
    table.writerow(column_types(classes))
    return write_csv


@contextmanager
def _parquet(path: Path, classes: Sequence[str]) -> Iterator[Write]:
    import polars

    schema = {
        name: {str: polars.String, int: polars.Int64, float: polars.Float64}[kind]
        for name, kind in column_types(classes).items()
    }
    waiting: list[VerdictRow] = []

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        parts: list[Path] = []

        def flush() -> None:
            part = Path(folder) / f"{len(parts):06}.parquet"
            polars.DataFrame([row.record(classes) for row in waiting], schema=schema).write_parquet(part)
            parts.append(part)
            waiting.clear()

        def write(rows: Sequence[VerdictRow]) -> None:
            waiting.extend(rows)
            if len(waiting) >= PARQUET_PART_ROWS:
                flush()

        try:
            yield write
        finally:
            flush()
            joined = Path(folder) / "joined"
            polars.scan_parquet(parts).sink_parquet(joined)
            joined.replace(path)
