"""Labels: from a column of the file, or from a file of events beside it."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from history import spool
from history.dialect import find_encoding
from history.errors import BadLabels, NoSuchFile
from history.numerals import MISSING
from history.recording import ANOMALOUS, NORMAL, UNLABELLED, Recording
from history.roles import is_class_column, plain
from history.stamps import StampColumn, looks_like_stamp

Texts = NDArray[np.str_]

# Words for normal operation and for anything else, in lower case.
NORMAL_WORDS = frozenset(
    {"normal", "no", "n", "false", "f", "ok", "healthy", "none", "good", "no fault", "no_fault"}
)
ANOMALOUS_WORDS = frozenset(
    {"anomalous", "anomaly", "abnormal", "yes", "y", "true", "t", "attack", "anormal"}
)
# A column with more different labels than this holds readings.
MOST_CLASSES = 200
_EMPTY = -1

_START = ("start", "begin", "from", "start_time", "started", "start_timestamp", "onset")
_END = ("end", "stop", "to", "end_time", "ended", "end_timestamp", "until")
_CLASS = ("class", "label", "fault", "type", "klass", "event", "category", "name")


@dataclass(frozen=True, slots=True)
class Event:
    """An interval with one label.

    start, end: seconds since the epoch, both included. klass: name of the class. place: where it was read.
    """

    start: float
    end: float
    klass: str
    place: str = "event"


def labels_from_column(
    column: str, cells: Sequence[str] | Texts, place: str, names: Mapping[str, str] | None = None
) -> Texts:
    """Labels as they appear in a file: str (rows,).

    0, false, normal and the like become `normal`; 1, true, anomalous and the like `anomalous`; an empty cell
    stays unlabelled; any other word is the name of a class. Other numbers become `<column> <number>`, e.g.
    `fault 7`; so does 1 in a column whose name speaks of classes (`fault`, `class`), where it is the first of
    many. That rule looks at the name alone, so that all files of a folder agree.
    names: of classes, by what stands in the cell; they win, and an empty one leaves its rows unlabelled.
    Raises BadLabels when the column holds too many different values for labels.
    """
    found, inverse = np.unique(np.asarray(cells, np.str_), return_inverse=True)
    if len(found) > MOST_CLASSES:
        raise BadLabels(
            f"column {column!r} holds {len(found)} different values, which are no labels; "
            "name another with --label-column, or 'none'",
            place=place,
        )
    given = {_key(cell): name.strip() for cell, name in (names or {}).items()}
    named = np.array([_named(column, cell, given) for cell in found.tolist()], np.str_)
    return named[inverse]


def labels_from_columns(
    columns: Mapping[str, Sequence[str] | Texts], place: str, names: Mapping[str, str] | None = None
) -> Texts:
    """Labels from one column of 0 and 1 for each class (one-hot): str (rows,).

    A row belongs to the class of the column in which it has a 1, and is normal where it has none. With a
    column for normal operation too, a row without any is unlabelled; so is one with empty cells and no 1.
    names: of classes by column; a column lends its own name otherwise.
    Raises BadLabels for a cell that is neither, and for a row of two classes, naming column and row.
    """
    given = {column: (names or {}).get(column, column).strip() for column in columns}
    classes = [NORMAL if name.lower() in NORMAL_WORDS else name for name in given.values()]
    flags = np.column_stack([_flags(column, cells, place) for column, cells in columns.items()])
    twice = np.flatnonzero((flags == 1).sum(axis=1) > 1)
    if len(twice):
        first, second = (list(columns)[index] for index in np.flatnonzero(flags[twice[0]] == 1)[:2])
        raise BadLabels(
            f"row {twice[0] + 1} belongs to {first!r} and to {second!r}, expected one class a row",
            place=place,
        )
    none = UNLABELLED if NORMAL in classes else NORMAL
    otherwise = np.where((flags == _EMPTY).any(axis=1), UNLABELLED, none)
    return np.where((flags == 1).any(axis=1), np.array(classes, np.str_)[flags.argmax(axis=1)], otherwise)


def _flags(column: str, cells: Sequence[str] | Texts, place: str) -> NDArray[np.int8]:
    """0, 1, or _EMPTY, (rows,)."""
    found, inverse = np.unique(np.asarray(cells, np.str_), return_inverse=True)
    flags = {NORMAL: 0, ANOMALOUS: 1, UNLABELLED: _EMPTY}
    read = [flags.get(_label("", cell)) for cell in found.tolist()]
    if None in read:
        bad = read.index(None)
        row = int(np.argmax(inverse == bad)) + 1
        raise BadLabels(
            f"column {column!r}, row {row}: {str(found[bad])[:40]!r} is neither 0 nor 1; "
            "each of --label-columns says of one class whether a row belongs to it",
            place=place,
        )
    return np.array(read, np.int8)[inverse]


def _key(cell: str) -> str:
    """A cell as it is compared with the names that were given: 1.0 is 1."""
    text = cell.strip()
    try:
        return f"{float(text.replace(',', '.')):g}"
    except ValueError:
        return text.lower()


def _named(column: str, cell: str, names: Mapping[str, str]) -> str:
    name = names.get(_key(cell))
    if name is None:
        return _label(column, cell)
    return NORMAL if name.lower() in NORMAL_WORDS else name


def _label(column: str, cell: str) -> str:
    text = cell.strip()
    word = text.lower()
    if word in NORMAL_WORDS:
        return NORMAL
    if word in MISSING:
        return UNLABELLED
    if word in ANOMALOUS_WORDS:
        return ANOMALOUS
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    if number == 0:
        return NORMAL
    if number == 1 and not is_class_column(column):
        return ANOMALOUS
    return f"{column} {number:g}"


def read_events(path: Path) -> tuple[Event, ...]:
    """Events from CSV with columns start, end and class, or from JSON: a list of such objects or triples.

    CSV whose first line has two time stamps has no header: start and end, as Lookout for Equipment took them,
    and perhaps a class.
    Without a class an event is `anomalous`. Stamps are written as in recordings.
    Raises NoSuchFile, BadLabels (naming the line), UnreadableFile.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoSuchFile(f"cannot be read: {error.strerror}", place=str(path)) from None
    text = content.decode(find_encoding(content, path.name))
    if text.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        return _events_from_json(text, path.name)
    return _events_from_csv(text, path.name)


def label_by_events(recording: Recording, events: Sequence[Event]) -> Recording:
    """The recording with rows inside an event labelled by its class, all others `normal`.

    Raises BadLabels when there is no time, when an event ends before it starts or lies outside the recording,
    or when two events of different classes overlap.
    """
    labelling = EventLabels(events)
    labelled = labelling.label(recording)
    labelling.refuse_unused(f"{recording.name}, {_span(recording)}")
    return labelled


class EventLabels:
    """One list of events for several recordings, each of which holds some of them."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._used = np.zeros(len(events), np.bool_)

    def label(self, recording: Recording) -> Recording:
        """As `label_by_events`, with events outside this recording passed over. Raises BadLabels."""
        labelled, used = _label_rows(recording, self._events)
        self._used |= used
        return labelled

    def refuse_unused(self, where: str = "every recording") -> None:
        """Once all recordings are labelled: raises BadLabels when an event lay outside all of them."""
        if not self._used.all():
            event = self._events[int(np.argmin(self._used))]
            raise BadLabels(f"lies outside the time of {where}", place=event.place)


def _label_rows(recording: Recording, events: Sequence[Event]) -> tuple[Recording, NDArray[np.bool_]]:
    """The labelled recording, and which events lie in it."""
    stamps = recording.timestamps
    if stamps is None:
        raise BadLabels("has no time column, so that events cannot be placed in it", place=recording.name)
    longest = max([len(NORMAL), *(len(event.klass) for event in events)])
    labels = np.full(len(recording), NORMAL, f"<U{longest}")
    owner = np.full(len(recording), -1)
    used = np.zeros(len(events), np.bool_)
    first, last = float(stamps.min()), float(stamps.max())
    for index, event in enumerate(events):
        _check(event)
        used[index] = event.end >= first and event.start <= last
        rows = (stamps >= event.start) & (stamps <= event.end)
        for other in np.unique(owner[rows]).tolist():
            if other >= 0 and events[other].klass != event.klass:
                raise BadLabels(
                    f"overlaps the event at {events[other].place} and is of another class", place=event.place
                )
        owner[rows] = index
        labels[rows] = event.klass
    return replace(recording, labels=spool.keep(labels)), used


def _check(event: Event) -> None:
    if event.end < event.start:
        raise BadLabels("ends before it starts", place=event.place)


def _events_from_csv(text: str, name: str) -> tuple[Event, ...]:
    lines = text.splitlines()
    delimiter = max(";\t,|", key=lambda mark: sum(line.count(mark) for line in lines[:20]))
    reader = csv.reader(
        io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter, skipinitialspace=True
    )
    found: list[tuple[str, str, str, str]] = []
    header: tuple[int, int, int | None] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            place = f"{name}, line {reader.line_num}"
            if header is None and len(row) > 1 and looks_like_stamp(row[0]) and looks_like_stamp(row[1]):
                header = (0, 1, 2 if len(row) > 2 else None)
            if header is None:
                header = _event_header(row, place)
                continue
            start, end, klass = header
            if len(row) <= max(start, end, klass or 0):
                raise BadLabels("has too few cells: expected start, end and class", place=place)
            found.append((row[start], row[end], "" if klass is None else row[klass], place))
    except csv.Error as error:
        raise BadLabels(f"is no table: {error}", place=f"{name}, line {reader.line_num}") from None
    return _events(found, name)


def _event_header(row: Sequence[str], place: str) -> tuple[int, int, int | None]:
    names = [plain(cell) for cell in row]
    start, end, klass = (
        next((names.index(name) for name in known if name in names), None) for known in (_START, _END, _CLASS)
    )
    if start is None or end is None:
        raise BadLabels(
            f"a file of events has the columns start, end and class; found {', '.join(row)}", place=place
        )
    return start, end, klass


def _events_from_json(text: str, name: str) -> tuple[Event, ...]:
    try:
        items: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLabels(f"is not JSON: {error}", place=name) from None
    if not isinstance(items, list):
        raise BadLabels("expected a list of events, each with start, end and class", place=name)
    found: list[tuple[str, str, str, str]] = []
    for index, item in enumerate(items):
        place = f"{name}, [{index}]"
        event = (
            dict(zip(("start", "end", "class"), item, strict=False))
            if isinstance(item, list) and 2 <= len(item) <= 3
            else item
        )
        if not isinstance(event, dict):
            raise BadLabels(
                "expected an object with start, end and class, or a list of the three", place=place
            )
        keys = {plain(str(key)): value for key, value in event.items()}
        start, end, klass = (
            next((keys[key] for key in known if key in keys), None) for known in (_START, _END, _CLASS)
        )
        if start is None or end is None:
            raise BadLabels("has no start or no end", place=place)
        found.append((str(start), str(end), "" if klass is None else str(klass), place))
    return _events(found, name)


def _events(found: Sequence[tuple[str, str, str, str]], name: str) -> tuple[Event, ...]:
    """Read the stamps, all starts and ends together, so that day and month are decided once."""
    if not found:
        raise BadLabels("holds no event", place=name)
    column = StampColumn(name)
    column.add([cell for start, end, _, _ in found for cell in (start, end)])
    stamps = column.finish(strict=False)[0].reshape(-1, 2)
    events = []
    for (start, end, klass, place), (first, last) in zip(found, stamps.tolist(), strict=True):
        for cell, stamp in ((start, first), (end, last)):
            if np.isnan(stamp):
                raise BadLabels(f"{cell[:40]!r} is no time stamp that can be read", place=place)
        event = Event(first, last, _class_name(klass), place)
        _check(event)
        events.append(event)
    return tuple(events)


def _class_name(text: str) -> str:
    label = _label("class", text)
    return ANOMALOUS if label == UNLABELLED or text.strip() in ("1", "1.0") else label


def _span(recording: Recording) -> str:
    stamps = recording.timestamps
    if stamps is None:
        return "which has no time"
    first, last = (np.datetime64(int(t), "s") for t in (stamps.min(), stamps.max()))
    return f"{first} to {last}"
