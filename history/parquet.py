"""Reading Parquet. Polars is needed for it, and imported only here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from history.errors import DuplicateColumns, MissingLibrary, NoNumbers, TooFewRows, UnreadableFile
from history.numerals import NumberColumn
from history.options import ReadOptions
from history.recording import Recording
from history.roles import Roles, find_roles
from history.stamps import StampColumn
from history.table import Column, Table, recording_from_table

if TYPE_CHECKING:
    import polars

# Rows from which the roles of the columns are found.
SAMPLE_ROWS = 400


def read_parquet(path: Path, options: ReadOptions, name: str) -> Recording:
    """Read one Parquet file; of the options, those on columns and time apply.

    Columns of numbers and booleans are taken as they are, date-times as UTC, and text cell by cell as in CSV.
    Raises MissingLibrary without polars; else as for CSV.
    """
    try:
        import polars
    except ImportError:
        raise MissingLibrary(
            "Parquet needs the library polars: install offnormal[parquet], or export the file as CSV",
            place=name,
        ) from None
    try:
        frame = polars.read_parquet(path, glob=False)
    except polars.exceptions.DuplicateError as error:
        raise DuplicateColumns(f"two columns share a name: {error}", place=name) from None
    except (polars.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise UnreadableFile(f"is no Parquet file that can be read: {reason[0]}", place=name) from None
    if frame.width == 0:
        raise NoNumbers("has no columns", place=name)
    if frame.height == 0:
        raise TooFewRows("has no data rows", place=name)
    return recording_from_table(_table(frame, options, name), options, name)


def _table(frame: "polars.DataFrame", options: ReadOptions, name: str) -> Table:
    names = tuple(frame.columns)
    head = [[_text(cell) for cell in row] for row in frame.head(SAMPLE_ROWS).rows()]
    roles = find_roles(
        names,
        head,
        name,
        time_column=options.time_column,
        label_column=options.label_column,
        label_columns=options.label_columns,
        sensors=options.sensors,
        ignore=options.ignore,
        time_format=options.time_format,
    )
    left_out = {names[index]: reason for index, reason in roles.left_out.items()}
    columns = []
    for index in roles.sensors:
        series = frame[names[index]]
        if series.dtype.is_nested() or series.dtype.is_temporal():
            left_out[names[index]] = f"holds {str(series.dtype).lower()}, not numbers"
        else:
            columns.append(_column(series))
    timestamps, notes = _timestamps(frame, roles, options, name)
    return Table(
        rows=frame.height,
        columns=tuple(columns),
        timestamps=timestamps,
        time_name=" and ".join(repr(names[index]) for index in roles.time),
        label_cells={
            names[index]: np.array([_text(cell) for cell in frame[names[index]].to_list()], np.str_)
            for index in roles.labels
        },
        left_out=left_out,
        notes=tuple(notes),
    )


def _column(series: "polars.Series") -> Column:
    import polars

    if series.dtype.is_numeric() or series.dtype == polars.Boolean:
        # A copy, because polars' own memory is read-only.
        values = np.array(series.cast(polars.Float64).to_numpy(), np.float64)
        invalid = np.isinf(values)
        values[invalid] = np.nan
        return Column(series.name, values, invalid, int(np.isfinite(values).sum()), 0)
    column = NumberColumn(None)
    column.add([_text(cell) for cell in series.to_list()])
    return Column(series.name, *column.finish(), column.numbers, column.remarks, column.words)


def _timestamps(
    frame: "polars.DataFrame", roles: Roles, options: ReadOptions, name: str
) -> tuple[Any, list[str]]:
    """Seconds since the epoch, or None; and notes."""
    import polars

    if not roles.time:
        return None, []
    parts = [frame[frame.columns[index]] for index in roles.time]
    if len(parts) == 1 and parts[0].dtype.base_type() is polars.Datetime:
        # In the file's own whole units, so that nothing is rounded before the division. Zoned ones hold UTC.
        unit = {"ms": 1e3, "us": 1e6, "ns": 1e9}[getattr(parts[0].dtype, "time_unit", None) or "us"]
        stamps = parts[0].to_physical().cast(polars.Float64).to_numpy() / unit
        lost = int(np.isnan(stamps).sum())
        return stamps, [f"left out {lost} row{'s' * (lost != 1)} without a time stamp"] if lost else []
    column = StampColumn(f"{name}, column {parts[0].name!r}", options.time_format)
    column.add(
        [
            " ".join(_text(cell) for cell in row)
            for row in zip(*(part.to_list() for part in parts), strict=True)
        ]
    )
    return column.finish()


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
