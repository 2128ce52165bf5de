"""Reading plant files: CSV in any of the usual dialects, and Parquet."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from history.dialect import HEAD_BYTES, NO_DELIMITER, Dialect, find_dialect, find_encoding
from history.errors import NoSuchFile, RaggedRows, UnreadableFile
from history.files import PARQUET_SUFFIXES, find_files
from history.lookout import read_dataset
from history.numerals import NumberColumn
from history.options import ReadOptions
from history.recording import Recording
from history.roles import find_roles
from history.spool import Growing
from history.stamps import StampColumn
from history.table import Column, Table, recording_from_table

# Rows that are held as text at a time: few enough for the processor's cache, which doubles the speed.
CHUNK_ROWS = 1024


def read_paths(paths: Sequence[Path], options: ReadOptions = ReadOptions()) -> Iterator[Recording]:
    """Read files and folders, one recording a file. Raises HistoryError at the first that cannot be used."""
    for file in find_files(paths, options.layout):
        yield read_file(file.path, options, file.name)


def read_file(path: Path, options: ReadOptions = ReadOptions(), name: str | None = None) -> Recording:
    """Read one CSV or Parquet file. Raises HistoryError, saying where and what."""
    name = path.name if name is None else name
    if options.layout == "lookout":
        return read_dataset(path, options, name, read_file)
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if path.suffix.lower() in PARQUET_SUFFIXES or head == b"PAR1":
            from history.parquet import read_parquet

            return read_parquet(path, options, name)
        return _read_csv(lambda: path.open("rb"), options, name)
    except OSError as error:
        kind = NoSuchFile if isinstance(error, FileNotFoundError) else UnreadableFile
        raise kind(f"cannot be read: {error.strerror or error}", place=name) from None


def read_bytes(content: bytes, options: ReadOptions = ReadOptions(), name: str = "body") -> Recording:
    """Read the bytes of one CSV file. Raises HistoryError, saying where and what."""
    return _read_csv(lambda: io.BytesIO(content), options, name)


def _read_csv(open_bytes: Callable[[], BinaryIO], options: ReadOptions, name: str) -> Recording:
    with open_bytes() as file:
        head = file.read(HEAD_BYTES)
    encoding = options.encoding or find_encoding(head, name)
    try:
        return _read_encoded(open_bytes, head, encoding, options, name)
    except UnicodeError as error:
        if options.encoding is not None or encoding != "utf-8":
            raise UnreadableFile(f"is not {encoding}: {error}", place=name) from None
        # The first letter outside ASCII came after the head.
        return _read_encoded(open_bytes, head, "latin-1", options, name)
    except LookupError:
        raise UnreadableFile(f"no encoding is named {encoding!r}", place=name) from None


def _read_encoded(
    open_bytes: Callable[[], BinaryIO], head: bytes, encoding: str, options: ReadOptions, name: str
) -> Recording:
    complete = len(head) < HEAD_BYTES
    dialect = find_dialect(
        head.decode(encoding, errors="strict" if complete else "replace"),
        name,
        encoding=encoding,
        complete=complete,
        delimiter=options.delimiter,
        decimal=options.decimal,
        header=options.header,
    )
    with open_bytes() as file:
        return recording_from_table(_read_table(file, dialect, options, name), options, name)


def _read_table(file: BinaryIO, dialect: Dialect, options: ReadOptions, name: str) -> Table:
    """All rows, chunk by chunk, each column in its own way."""
    roles = find_roles(
        dialect.names,
        dialect.sample,
        name,
        time_column=options.time_column,
        label_column=options.label_column,
        label_columns=options.label_columns,
        sensors=options.sensors,
        ignore=options.ignore,
        time_format=options.time_format,
    )
    time_name = " and ".join(repr(dialect.names[index]) for index in roles.time)
    stamps = (
        StampColumn(f"{name}, column {time_name}", options.time_format, dialect.decimal)
        if roles.time
        else None
    )
    numbers = {index: NumberColumn(dialect.decimal) for index in roles.sensors}
    labels = {index: Growing() for index in roles.labels}
    notes = list(dialect.notes)
    rows = 0
    for chunk in _chunks(file, dialect, name, notes):
        columns = list(zip(*chunk, strict=True))
        rows += len(chunk)
        for index, column in numbers.items():
            column.add(columns[index])
        if stamps is not None and len(roles.time) == 1:
            stamps.add(columns[roles.time[0]])
        elif stamps is not None:
            date, clock = (columns[index] for index in roles.time)
            stamps.add([f"{day.strip()} {of_day.strip()}" for day, of_day in zip(date, clock, strict=True)])
        for index, cells in labels.items():
            cells.append(np.array(columns[index], np.str_))
    if stamps is None:
        timestamps = None
    else:
        timestamps, more = stamps.finish()
        notes += more
    return Table(
        rows=rows,
        columns=tuple(
            Column(dialect.names[index], *column.finish(), column.numbers, column.remarks, column.words)
            for index, column in numbers.items()
        ),
        timestamps=timestamps,
        time_name=time_name,
        label_cells={dialect.names[index]: cells.finish() for index, cells in labels.items() if len(cells)},
        left_out={dialect.names[index]: reason for index, reason in roles.left_out.items()},
        notes=tuple(notes),
    )


def _chunks(file: BinaryIO, dialect: Dialect, name: str, notes: list[str]) -> Iterator[list[list[str]]]:
    """Data rows of the right width, CHUNK_ROWS at a time. Raises RaggedRows, UnreadableFile."""
    text = io.TextIOWrapper(file, encoding=dialect.encoding, newline="")
    reader = csv.reader(text, delimiter=dialect.delimiter, skipinitialspace=dialect.delimiter != NO_DELIMITER)
    width = len(dialect.names)
    try:
        for _ in islice(reader, dialect.skip):
            pass
        while True:
            before = reader.line_num
            chunk = list(islice(reader, CHUNK_ROWS))
            if not chunk:
                return
            if set(map(len, chunk)) != {width}:
                chunk = _fit_rows(chunk, width, before, name, notes, last=len(chunk) < CHUNK_ROWS)
            if chunk:
                yield chunk
    except csv.Error as error:
        raise UnreadableFile(f"is no table: {error}", place=f"{name}, line {reader.line_num}") from None


def _fit_rows(
    chunk: list[list[str]], width: int, lines_before: int, name: str, notes: list[str], *, last: bool
) -> list[list[str]]:
    """Leave out empty lines, empty cells behind the last column, and a last line that was cut off."""
    fitted: list[list[str]] = []
    line = lines_before + 1
    for index, row in enumerate(chunk):
        within = sum(cell.count("\n") for cell in row)
        if len(row) == width:
            fitted.append(row)
        elif len(row) > width and not any(cell.strip() for cell in row[width:]):
            fitted.append(row[:width])
        elif last and index == len(chunk) - 1 and within:
            raise RaggedRows("begins a quoted cell that never ends", place=f"{name}, line {line}")
        elif last and index == len(chunk) - 1 and any(row):
            if len(row) > width:
                raise _ragged(row, width, f"{name}, line {line}")
            notes.append(f"left out the last line, which was cut off after {len(row)} of {width} cells")
        elif any(cell.strip() for cell in row):
            raise _ragged(row, width, f"{name}, line {line}")
        line += 1 + within
    return fitted


def _ragged(row: list[str], width: int, place: str) -> RaggedRows:
    return RaggedRows(f"has {len(row)} {'cell' if len(row) == 1 else 'cells'}, expected {width}", place=place)
