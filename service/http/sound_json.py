"""A sound JSON body, read in one scan by simdjson, its numbers going straight into arrays.

Nothing here says what is wrong with a body. Whatever is odd raises Odd, and the body is read again by those
who name the place (`window_reader`, `locate`). Why: docs/decisions/0029.
"""

from collections.abc import Sequence
from types import NoneType
from typing import Any

import msgspec
import numpy as np
import simdjson
from msgspec import Raw

from detector.windows import Floats
from service.http import wire

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_READINGS = {float, int, NoneType}
_FRAME = frozenset(wire.ClassifyRequest.__struct_fields__) - {"windows", "window"}
_IDENTITY = ("id", "asset")


class Odd(Exception):
    """Not as it usually is; maybe wrong, maybe only rare."""


class SoundBody:
    """A `wire.ClassifyRequest`. choices: without the windows. Numbers are read when they are asked for.

    Raises Odd when the frame is not sound.
    """

    def __init__(self, body: bytes) -> None:
        if body.startswith(_BYTE_ORDER_MARK):  # simdjson would pass over it
            raise Odd
        try:
            # A parser of its own: one that is kept keeps memory for the largest body that it has seen.
            frame = _object(simdjson.Parser().parse(body))
        except (ValueError, RuntimeError, MemoryError):  # simdjson's way to say that it is no JSON
            raise Odd from None
        if "windows" not in frame or not frame.keys() <= _FRAME | {"windows"}:
            raise Odd
        windows = frame.pop("windows")
        try:
            self.choices = msgspec.convert(frame, wire.Choices)
        except msgspec.ValidationError:
            raise Odd from None
        if not isinstance(windows, simdjson.Array):
            raise Odd
        self._body = body
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def windows(self, sensors: tuple[str, ...]) -> "list[tuple[wire.Window, Floats]]":
        """What is told of each window, its readings left empty; and those, float64 (steps, sensors), NaN
        missing. Raises Odd."""
        lists = 1
        found = []
        for each in self._windows:
            window = _object(each)
            by_name, by_row = window.pop("readings", None), window.pop("values", None)
            if (by_name is None) == (by_row is None):
                raise Odd
            if by_row is None:
                columns = _object(by_name)
                values, inner = _from_columns(columns, sensors), len(columns)
            else:
                values, inner = _from_rows(by_row, len(sensors)), 1 + len(by_row)
            lists += inner + ("timestamps" in window)
            found.append((_window(window), values))
        # Nested lists would be read as if they were not: whether there are more than were counted is seen
        # from the brackets. One inside a text only makes the body odd.
        if np.count_nonzero(np.frombuffer(self._body, np.uint8) == ord("[")) != lists:
            raise Odd
        return found


def _object(value: Any) -> dict[str, Any]:
    """The fields of an object, none twice; objects and lists inside are not read yet."""
    if not isinstance(value, simdjson.Object):
        raise Odd
    names = list(value.keys())
    fields = {name: value[name] for name in names}
    if len(fields) != len(names):
        raise Odd
    return fields


def _window(fields: dict[str, Any]) -> wire.Window:
    if "timestamps" in fields:
        if not isinstance(fields["timestamps"], simdjson.Array):
            raise Odd
        fields["timestamps"] = Raw(fields["timestamps"].mini)
    try:
        return msgspec.convert(fields, wire.Window)
    except msgspec.ValidationError:
        raise Odd from None


def _from_columns(columns: dict[str, Any], sensors: tuple[str, ...]) -> Floats:
    if columns.keys() == set(sensors):
        return _equally_long([_numbers(columns[name]) for name in sensors]).T
    if not columns or not columns.keys() <= set(sensors):
        raise Odd
    given = [index for index, name in enumerate(sensors) if name in columns]
    read = _equally_long([_numbers(columns[sensors[index]]) for index in given])
    values = np.full((read.shape[1], len(sensors)), np.nan)
    values[:, given] = read.T
    return values


def _from_rows(rows: Any, sensors: int) -> Floats:
    if not isinstance(rows, simdjson.Array):
        raise Odd
    if {len(row) if isinstance(row, simdjson.Array) else -1 for row in rows} != {sensors}:
        raise Odd
    try:
        return np.frombuffer(rows.as_buffer(of_type="d"), np.float64).reshape(-1, sensors)
    except TypeError:  # something in it is no number
        return _equally_long([_numbers(row) for row in rows])


def _numbers(readings: Any) -> Floats:
    """A list of numbers and nulls, NaN for null."""
    if not isinstance(readings, simdjson.Array) or len(readings) == 0:
        raise Odd
    try:
        return np.frombuffer(readings.as_buffer(of_type="d"), np.float64)
    except TypeError:  # something in it is no number
        listed = readings.as_list()
    if not _READINGS.issuperset(map(type, listed)):
        raise Odd
    return np.array(listed, np.float64)


def _equally_long(lists: Sequence[Floats]) -> Floats:
    """(lists, length)."""
    if len(set(map(len, lists))) != 1:
        raise Odd
    return np.concatenate(lists).reshape(len(lists), -1)
