"""The retired API's `dataSource`: here a file or a folder below one root, never anything else.

Clients name blobs, `https://account.blob.core.windows.net/container/folder/file.csv?signature`. What stands
after the host is taken for a path below the root, so that a copy of the container serves them unchanged.
"""

import csv
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np

from service.errors import WrongContent
from service.http import locate
from service.http.azure.refusals import Refusal
from service.http.azure.states import iso

if TYPE_CHECKING:
    from history.joining import How
    from history.recording import Recording

ROOT_VARIABLE = "OFFNORMAL_DATA_ROOT"
# Of a file that a table of its own holds, as the API has it.
_VALUE = "value"


class NoSource(Refusal):
    """A source that cannot be used."""


def find_source(root: Path | None, given: str) -> Path:
    """The file or folder that a request names. Raises NoSource, saying nothing of what lies elsewhere."""
    if root is None:
        raise NoSource(
            "StorageReadError",
            f"this service reads no files for requests: {ROOT_VARIABLE} is not set",
            status=403,
            place="dataSource",
        )
    relative = _relative(given)
    try:
        inside = root.resolve()
        path = (inside / relative).resolve()
        there = path.exists()
    except (OSError, ValueError, RuntimeError):
        raise _outside(given) from None
    if not path.is_relative_to(inside):
        raise _outside(given)
    if not there:
        raise NoSource(
            "FileNotExist",
            f"there is no {locate.shown(relative)!r} below the folder of {ROOT_VARIABLE}",
            place="dataSource",
            expected="a file or a folder that is there",
        )
    return path


def read_time(given: str, name: str) -> float:
    """Seconds since the epoch; without a zone it is UTC. Raises Refusal."""
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refusal(
            "InvalidTimestampFormat",
            f"{name} is {locate.shown(given)!r}",
            place=name,
            expected="ISO 8601, e.g. 2026-01-31T12:00:00Z",
        ) from None


def read_span(start: str, end: str) -> tuple[float, float]:
    """Both ends, included, seconds since the epoch. Raises Refusal."""
    first, last = read_time(start, "startTime"), read_time(end, "endTime")
    if last < first:
        raise Refusal(
            "BadArgument", "endTime is before startTime", place="endTime", expected="startTime or later"
        )
    return first, last


def read_source(path: Path, span: tuple[float, float], how: "How" = "outer") -> "Recording":
    """Rows between two times. A file is a table of all variables, a folder has a file for each.

    Raises HistoryError, Refusal.
    """
    from history.files import find_files
    from history.joining import join, renamed
    from history.read import read_file

    if path.is_dir():
        parts = []
        for file in find_files([path]):
            part = read_file(file.path, name=file.name)
            if len(part.sensors) != 1:
                raise Refusal(
                    "FileColumnsNotExist",
                    f"{file.name} has the columns {', '.join(part.sensors)}",
                    expected=f"timestamp and {_VALUE}; a table of all variables is named as a file",
                )
            parts.append(renamed(part, [file.path.stem]))
        recording = join(parts, path.name, how)
    else:
        recording = read_file(path)
    return _between(recording, span)


def write_training_file(recording: "Recording", folder: Path) -> None:
    """As `offnormal train` reads it; labels, if there are any, go with it."""
    times = recording.timestamps
    assert times is not None  # held by _between
    with (folder / "readings.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        labels = recording.labels
        table.writerow(["timestamp", *recording.sensors, *(["label"] if labels is not None else [])])
        for row in range(len(recording)):
            cells = ["" if math.isnan(value) else repr(value) for value in recording.values[row].tolist()]
            label = [] if labels is None else [str(labels[row])]
            table.writerow([iso(float(times[row])), *cells, *label])


def _relative(given: str) -> str:
    if "://" not in given:
        return given
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.path.strip("/"):
        raise _outside(given)
    return unquote(parts.path).strip("/")


def _outside(given: str) -> NoSource:
    return NoSource(
        "InvalidBlobURL",
        f"{locate.shown(given.partition('?')[0])!r} is no path below the folder of {ROOT_VARIABLE}",
        place="dataSource",
        expected="a path like container/folder/file.csv, or the URL of a blob",
    )


def _between(recording: "Recording", span: tuple[float, float]) -> "Recording":
    from dataclasses import replace

    times = recording.timestamps
    if times is None:
        raise Refusal("FileColumnsNotExist", f"{recording.name} has no column of time stamps")
    rows = np.flatnonzero((times >= span[0]) & (times <= span[1]))
    if len(rows) == 0:
        raise WrongContent(
            f"{recording.name} has no row between startTime and endTime; it goes from "
            f"{iso(float(np.nanmin(times)))} to {iso(float(np.nanmax(times)))}"
        )
    return replace(
        recording,
        values=recording.values[rows],
        timestamps=times[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        row_numbers=recording.row_numbers[rows],
    )
