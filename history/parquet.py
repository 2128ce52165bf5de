"""Reading Parquet, a column at a time. Polars is needed for it, and imported only here."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from history import spool
from history.errors import DuplicateColumns, MissingLibrary, NoNumbers, TooFewRows, UnreadableFile
from history.numerals import NumberColumn
from history.options import ReadOptions
from history.recording import Recording, Texts
from history.roles import Roles, find_roles
from history.stamps import StampColumn
from history.table import Column, Table, recording_from_table

if TYPE_CHECKING:
    import polars

# Rows from which the roles of the columns are found.
SAMPLE_ROWS = 400
# Cells that are text at a time.
CHUNK_ROWS = 1 << 16


def read_parquet(path: Path, options: ReadOptions, name: str) -> Recording:
    """Read one Parquet file; of the options, those on columns and time apply.

    Columns of numbers and booleans are taken as they are, date-times as UTC, and text cell by cell as in CSV.
    Raises MissingLibrary without polars; else as for CSV.
    """
    try:
        import polars  # noqa: F401
    except ImportError:
        raise MissingLibrary(
            "Parquet needs the library polars: install offnormal[parquet], or export the file as CSV",
            place=name,
        ) from None
    return recording_from_table(_table(_File(path, name), options, name), options, name)


class _File:
    """A Parquet file, of which only what is asked for is in memory. head: its first rows."""

    def __init__(self, path: Path, name: str) -> None:
        """Raises UnreadableFile, DuplicateColumns, NoNumbers, TooFewRows."""
        self._path, self._name = path, name
        self.head = self._read(n_rows=SAMPLE_ROWS)
        if self.head.width == 0:
            raise NoNumbers("has no columns", place=name)
        if self.head.height == 0:
            raise TooFewRows("has no data rows", place=name)

    @property
    def rows(self) -> int:
        import polars

        return int(polars.scan_parquet(self._path, glob=False).select(polars.len()).collect().item())

    def column(self, index: int) -> "polars.Series":
        """All rows of one column. Raises UnreadableFile."""
        return self._read(columns=[self.head.columns[index]]).to_series()

    def _read(self, **what: Any) -> "polars.DataFrame":
        import polars

        try:
            return polars.read_parquet(self._path, glob=False, **what)
        except polars.exceptions.DuplicateError as error:
            raise DuplicateColumns(f"two columns share a name: {error}", place=self._name) from None
        except (polars.exceptions.PolarsError, OSError) as error:
            reason = str(error).strip().splitlines() or ["no reason given"]
            raise UnreadableFile(
                f"is no Parquet file that can be read: {reason[0]}", place=self._name
            ) from None


def _table(file: _File, options: ReadOptions, name: str) -> Table:
    names = tuple(file.head.columns)
    roles = find_roles(
        names,
        [[_text(cell) for cell in row] for row in file.head.rows()],
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
        kind = file.head.dtypes[index]
        if kind.is_nested() or kind.is_temporal():
            left_out[names[index]] = f"holds {str(kind).lower()}, not numbers"
        else:
            columns.append(_column(file.column(index)))
    timestamps, notes = _timestamps(file, roles, options, name)
    return Table(
        rows=file.rows,
        columns=tuple(columns),
        timestamps=timestamps,
        time_name=" and ".join(repr(names[index]) for index in roles.time),
        label_cells={names[index]: _texts(file.column(index)) for index in roles.labels},
        left_out=left_out,
        notes=tuple(notes),
    )


def _column(series: "polars.Series") -> Column:
    import polars

    if series.dtype.is_numeric() or series.dtype == polars.Boolean:
        # A copy, because polars' own memory is read-only.
        values = spool.empty(len(series))
        values[:] = series.cast(polars.Float64).to_numpy()
        invalid = spool.keep(np.isinf(values))
        values[invalid] = np.nan
        return Column(series.name, values, invalid, int(np.isfinite(values).sum()), 0)
    column = NumberColumn(None)
    for cells in _cells(series):
        column.add(cells)
    return Column(series.name, *column.finish(), column.numbers, column.remarks, column.words)


def _timestamps(file: _File, roles: Roles, options: ReadOptions, name: str) -> tuple[Any, list[str]]:
    """Seconds since the epoch, or None; and notes."""
    import polars

    if not roles.time:
        return None, []
    parts = [file.column(index) for index in roles.time]
    if len(parts) == 1 and parts[0].dtype.base_type() is polars.Datetime:
        # In the file's own whole units, so that nothing is rounded before the division. Zoned ones hold UTC.
        unit = {"ms": 1e3, "us": 1e6, "ns": 1e9}[getattr(parts[0].dtype, "time_unit", None) or "us"]
        stamps = parts[0].to_physical().cast(polars.Float64).to_numpy() / unit
        lost = int(np.isnan(stamps).sum())
        return stamps, [f"left out {lost} row{'s' * (lost != 1)} without a time stamp"] if lost else []
    column = StampColumn(f"{name}, column {parts[0].name!r}", options.time_format)
    for cells in zip(*map(_cells, parts), strict=True):
        column.add([" ".join(row) for row in zip(*cells, strict=True)])
    return column.finish()


def _texts(series: "polars.Series") -> Texts:
    texts = spool.Growing()
    for cells in _cells(series):
        texts.append(np.array(cells, np.str_))
    return texts.finish()


def _cells(series: "polars.Series") -> Iterator[list[str]]:
    """A column as text, in chunks."""
    for first in range(0, len(series), CHUNK_ROWS):
        yield [_text(cell) for cell in series.slice(first, CHUNK_ROWS).to_list()]


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
