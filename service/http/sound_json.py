"""A sound JSON body, read in one scan by simdjson, its numbers going straight into arrays.

Nothing here says what is wrong with a body. Whatever is odd raises Odd, and the body is read again by those
who name the place (`window_reader`, `locate`). Why: docs/decisions/0029.
"""

from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import Any

import msgspec
import numpy as np
import simdjson
from msgspec import Raw

from detector.windows import Floats
from service.http import wire

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_APART_BYTES = 1000
_READINGS = {float, int, NoneType}
_FRAME = frozenset(wire.ClassifyRequest.__struct_fields__) - {"windows", "window"}
_NOTHING_MORE = wire.Window()


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
        self._windows, self._rows = frame.pop("windows", None), frame.pop("window", None)
        if (self._windows is None) == (self._rows is None) or not frame.keys() <= _FRAME:
            raise Odd
        try:
            self.choices = msgspec.convert(frame, wire.Choices)
        except msgspec.ValidationError:
            raise Odd from None
        if self._rows is None and not isinstance(self._windows, simdjson.Array):
            raise Odd
        self._body = body

    def __len__(self) -> int:
        return 1 if self._windows is None else len(self._windows)

    def windows(self, sensors: tuple[str, ...]) -> "list[tuple[wire.Window, Floats]]":
        """What is told of each window, its readings left empty; and those, float64 (steps, sensors), NaN
        missing. Raises Odd."""
        if self._windows is None:  # the shorthand: rows, and nothing else about them
            found, lists = [(_NOTHING_MORE, _from_rows(self._rows, len(sensors)))], 1 + len(self._rows)
        else:
            found, lists = self._listed(sensors)
        # Nested lists would be read as if they were not: whether there are more than were counted is seen
        # from the brackets. One inside a text only makes the body odd.
        if _count_lists(self._body, lists) != lists:
            raise Odd
        return found

    def _listed(self, sensors: tuple[str, ...]) -> "tuple[list[tuple[wire.Window, Floats]], int]":
        """The windows, and how many lists they are in."""
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
        return found, lists


def _count_lists(body: bytes, expected: int) -> int:
    """How many begin, as far as that is what was expected."""
    if len(body) < _APART_BYTES * expected:
        return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")))
    # So far apart they are sooner found one after the other.
    count, found = 0, body.find(b"[")
    while found >= 0 and count <= expected:
        count, found = count + 1, body.find(b"[", found + 1)
    return count


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
    if not fields:
        return _NOTHING_MORE
    if "timestamps" in fields:
        if not isinstance(fields["timestamps"], simdjson.Array):
            raise Odd
        fields["timestamps"] = Raw(fields["timestamps"].mini)
    try:
        return msgspec.convert(fields, wire.Window)
    except msgspec.ValidationError:
        raise Odd from None


def _from_columns(columns: dict[str, Any], sensors: tuple[str, ...]) -> Floats:
    given = [index for index, name in enumerate(sensors) if name in columns]
    if not given or len(given) < len(columns):
        raise Odd
    read = _numbers([columns[sensors[index]] for index in given])
    if len(given) == len(sensors):
        return read.T
    values = np.full((read.shape[1], len(sensors)), np.nan)
    values[:, given] = read.T
    return values


def _from_rows(rows: Any, sensors: int) -> Floats:
    if not isinstance(rows, simdjson.Array):
        raise Odd
    try:
        lengths = set(map(len, rows))  # type: ignore[arg-type]
        # All at once: of a row that is no list, or has lists inside, the brackets tell.
        read = np.frombuffer(rows.as_buffer(of_type="d"), np.float64) if lengths == {sensors} else None
    except TypeError:  # something in it is no number
        return _numbers(list(rows))
    if read is None or len(read) != len(rows) * sensors:
        raise Odd
    return read.reshape(-1, sensors)


def _numbers(lists: Sequence[Any]) -> Floats:
    """Equally long lists of numbers and nulls as (lists, length), NaN for null."""
    if set(map(type, lists)) != {simdjson.Array}:
        raise Odd
    lengths = set(map(len, lists))
    if len(lengths) != 1 or lengths == {0}:
        raise Odd
    try:
        packed = b"".join([each.as_buffer(of_type="d") for each in lists])
        return np.frombuffer(packed, np.float64).reshape(len(lists), *lengths)
    except TypeError:  # something in it is no number
        return _with_holes(lists)
    except ValueError:  # they are more than the lists are long: there are lists inside
        raise Odd from None


def _with_holes(lists: Sequence[Any]) -> Floats:
    try:
        read = [each.as_list() for each in lists]
    except RecursionError:
        raise Odd from None
    if not _READINGS.issuperset(map(type, chain.from_iterable(read))):
        raise Odd
    return np.array(read, np.float64)
