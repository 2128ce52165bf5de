"""From the columns of a file to a recording: what is a sensor, in which order, how good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from history import spool
from history.errors import LongFormat, NoNumbers, NoSuchSensors, TooFewRows
from history.labels import labels_from_column, labels_from_columns
from history.options import ReadOptions
from history.quality import measure_sensor, report
from history.recording import Recording
from history.roles import COUNTER_NAMES, LEAST_COUNTED, TAG_NAMES, plain

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Where more rows than this share have the stamp of the next, the stamps are coarser than the readings.
COARSE_STAMPS = 0.5
# Where so many rows share their stamp and a column of words is in every row, the words name the sensors.
LONG_DUPLICATES = 0.3


@dataclass(frozen=True, slots=True)
class Column:
    """values: float64 (rows,), NaN where missing or invalid. invalid: bool (rows,). numbers: cells that were
    numbers; remarks: cells with text that no historian writes for a bad reading; words: different cells that
    were no numbers, as far as they are counted."""

    name: str
    values: Floats
    invalid: Bools
    numbers: int
    remarks: int
    words: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """What a file held, before anything is decided on it.

    timestamps: (rows,), NaN where unreadable, or None. label_cells: by column, str (rows,) as written.
    left_out: columns that are no sensors, with the reason.
    """

    rows: int
    columns: tuple[Column, ...]
    timestamps: Floats | None
    time_name: str
    label_cells: Mapping[str, NDArray[np.str_]]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def recording_from_table(table: Table, options: ReadOptions, name: str) -> Recording:
    """options: of these, the ones on sensors and labels apply here.

    Raises TooFewRows, NoNumbers, NoSuchSensors, BadLabels, LongFormat.
    """
    if table.rows < 2:
        raise TooFewRows(
            f"has {table.rows} data row{'s' * (table.rows != 1)}, expected at least 2", place=name
        )
    notes = list(table.notes)
    if table.timestamps is None:
        notes.append("has no time column: rows count as evenly spaced")
    else:
        notes.append(f"time is taken from {table.time_name}")
    labels = None
    if table.label_cells:
        if options.label_columns:
            labels = labels_from_columns(table.label_cells, name, options.label_names)
        else:
            labels = labels_from_column(*next(iter(table.label_cells.items())), name, options.label_names)
        notes.append(f"labels are taken from {', '.join(map(repr, table.label_cells))}")
    notes += [f"left out {column!r}: {reason}" for column, reason in table.left_out.items()]
    kept = _sensors(table, options.sensors, name, notes)
    order, duplicates = _order(table.timestamps, table.rows, notes)
    _refuse_long_format(table, duplicates, name)
    if len(order) < 2:
        raise TooFewRows(f"has {len(order)} row with a time of its own, expected at least 2", place=name)
    # Most files are in order already: no second copy of a large one.
    rows = slice(None) if np.array_equal(order, np.arange(table.rows)) else order
    timestamps = None if table.timestamps is None else spool.keep(table.timestamps[rows])
    measured = [measure_sensor(column.name, column.values[rows], column.invalid[rows]) for column in kept]
    return Recording(
        name=name,
        sensors=tuple(column.name for column in kept),
        values=spool.column_stack([column.values for column in kept], rows),
        timestamps=timestamps,
        labels=None if labels is None else spool.keep(labels[rows]),
        row_numbers=spool.keep((order + 1).astype(np.int64)),
        quality=report(measured, len(order), timestamps, duplicates, notes),
    )


def _sensors(table: Table, wanted: Sequence[str] | None, name: str, notes: list[str]) -> list[Column]:
    """The columns that become sensors; what is left out is noted."""
    by_name = {column.name: column for column in table.columns}
    if wanted is not None:
        present = [by_name[sensor] for sensor in wanted if sensor in by_name]
        if not present:
            raise NoSuchSensors(
                f"has none of the sensors {', '.join(wanted)}; it has {', '.join(by_name) or 'none'}",
                place=name,
            )
        nothing = np.full(table.rows, np.nan)
        absent = [sensor for sensor in wanted if sensor not in by_name]
        notes += [f"has no sensor {sensor!r}" for sensor in absent]
        kept = [
            by_name.get(sensor) or Column(sensor, nothing, np.zeros(table.rows, np.bool_), 0, 0)
            for sensor in wanted
        ]
    else:
        kept = []
        for column in table.columns:
            reason = _no_sensor(column)
            if reason is None:
                kept.append(column)
            else:
                notes.append(f"left out {column.name!r}: {reason}")
    if not any(column.numbers for column in kept):
        raise NoNumbers(
            "has no column of numbers" + ("" if not notes else f" ({'; '.join(notes)})"), place=name
        )
    return kept


def _no_sensor(column: Column) -> str | None:
    """Why a column is not taken for a sensor, or None."""
    if column.remarks > column.numbers:
        return "holds text"
    if column.name.startswith("column ") and not column.numbers and not column.invalid.any():
        return "has no name and no content"
    steps = np.diff(column.values)
    least = 2 if plain(column.name) in COUNTER_NAMES or column.name.startswith("column ") else LEAST_COUNTED
    if len(column.values) >= least and bool((steps == 1).all()) and float(column.values[0]).is_integer():
        return "counts the rows"
    return None


def _refuse_long_format(table: Table, duplicates: int, name: str) -> None:
    """Different sensors below each other would be read as one sensor that jumps."""
    for column in table.columns:
        wordy = column.remarks == table.rows and column.words > 1
        if wordy and (plain(column.name) in TAG_NAMES or duplicates >= LONG_DUPLICATES * table.rows):
            raise LongFormat(
                f"has one reading a row, of the sensor that column {column.name!r} names: "
                "export it with one column for each sensor",
                place=name,
            )


def _order(timestamps: Floats | None, rows: int, notes: list[str]) -> tuple[NDArray[np.intp], int]:
    """Rows to keep, oldest first, and how many were dropped as duplicates.

    A file that runs backwards is turned round; single backward steps stay, for windows to end there.
    """
    order = np.arange(rows)
    if timestamps is None:
        return order, 0
    order = order[np.isfinite(timestamps)]
    steps = np.diff(timestamps[order])
    if (steps < 0).sum() > 10 * (steps > 0).sum():
        order = order[::-1]
        notes.append("newest rows come first: turned round")
    same = np.diff(timestamps[order]) == 0
    duplicates = int(same.sum())
    if duplicates > COARSE_STAMPS * rows:
        notes.append(
            f"{duplicates} of {rows} rows have the stamp of the next row: the stamps are coarser than the "
            "readings, and only the last row of each stamp is kept"
        )
    return order[np.append(~same, True)] if len(order) else order, duplicates
