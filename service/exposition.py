"""Prometheus' text format for metrics with very many series, written by numpy instead of line by line.

A store of fifty models with three hundred sensors each has some ninety thousand series. One object and one
call to format a number for each of them takes half a second (benchmarks/scrape.py); here the values of one
metric are one array, and its lines a table of bytes of one width, in which only the digits change from scrape
to scrape. Blanks between the labels and the value are allowed by the format.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detector.windows import Floats

Kind = Literal["counter", "gauge"]
Labels = Mapping[str, str]
_DIGITS = 15
_LARGEST = 10**_DIGITS - 1
_ZERO, _BLANK, _MINUS, _POINT = b"0 -."


class Family:
    """One counter or gauge with all its series. Each array has one writer; rendering reads only.

    decimals: that are written; a value is exact to half of the last one, and below 10**(15 - decimals).
    A label whose value is empty is left out, which to Prometheus is the same.
    """

    def __init__(self, name: str, kind: Kind, text: str, decimals: int = 0) -> None:
        suffix = "_total" if kind == "counter" else ""
        self.name, self.kind, self.text = name + suffix, kind, text
        self._rows = Rows(decimals)
        self._blocks: list[Floats] = []
        self._lock = threading.Lock()

    def add(self, labels: Sequence[Labels], start: float = 0.0) -> Floats:
        """One series for each set of labels. Returns their values (series,), for the caller to change."""
        values = np.full(len(labels), start, np.float64)
        with self._lock:
            self._rows.add([series(self.name, each) for each in labels])
            self._blocks.append(values)
        return values

    def render(self) -> bytes:
        """Header and lines. For one thread at a time."""
        blocks = self._blocks[:]
        lines = self._rows.write(np.concatenate(blocks)) if blocks else b""
        return header(self.name, self.kind, self.text) + lines


class Rows:
    """Lines of one metric whose values share a number of decimals."""

    def __init__(self, decimals: int) -> None:
        self._decimals = decimals
        self._names: list[bytes] = []
        self._table = np.empty((0, 0), np.uint8)
        self._written: NDArray[np.floating] = np.empty(0)
        self._text = b""

    def add(self, names: Sequence[bytes]) -> None:
        self._names += names

    def write(self, values: NDArray[np.floating]) -> bytes:
        """The lines of the first names, with these values. For one thread at a time."""
        if np.array_equal(values, self._written):
            return self._text
        count = len(values)
        if len(self._table) < count:
            self._table = _table(self._names[:])
        table = self._table[:count]
        table[:, -_DIGITS - 3 : -1] = numbers(values, self._decimals).T
        self._text, self._written = table.tobytes(), values
        return self._text


class Buckets:
    """What one histogram has counted: one writer."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = np.zeros(len(bounds) + 1)
        self.total = np.zeros(1)

    def observe(self, value: float) -> None:
        if not math.isnan(value):
            self.counts[bisect_left(self._bounds, value)] += 1
            self.total[0] += value


class HistogramFamily:
    """One histogram with all its series."""

    kind = "histogram"

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self.name, self.text = name, text
        self._bounds = tuple(bounds)
        self._les = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._buckets, self._sums, self._counts = Rows(0), Rows(6), Rows(0)
        self._all: list[Buckets] = []
        self._lock = threading.Lock()

    def add(self, labels: Labels) -> Buckets:
        buckets = Buckets(self._bounds)
        with self._lock:
            self._buckets.add([series(f"{self.name}_bucket", {**labels, "le": le}) for le in self._les])
            self._sums.add([series(f"{self.name}_sum", labels)])
            self._counts.add([series(f"{self.name}_count", labels)])
            self._all.append(buckets)
        return buckets

    def render(self) -> bytes:
        lines = header(self.name, "histogram", self.text)
        if not self._all:
            return lines
        known = self._all[:]
        # Sums are read first: a window that is counted meanwhile is missing in a sum, never the other way.
        sums = np.concatenate([each.total for each in known])
        counts = np.stack([each.counts for each in known]).cumsum(axis=1)
        return (
            lines
            + self._buckets.write(counts.ravel())
            + self._sums.write(sums)
            + self._counts.write(counts[:, -1])
        )


def header(name: str, kind: str, text: str) -> bytes:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n".encode()


def series(name: str, labels: Labels) -> bytes:
    """Name and labels of one series, as the format wants them."""
    inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items() if value)
    return (f"{name}{{{inside}}}" if inside else name).encode()


def numbers(values: NDArray[np.floating], decimals: int) -> NDArray[np.uint8]:
    """Each value as a decimal number, right-aligned after blanks.

    Returns characters (17, values): sign, fifteen digits and a point, which is left out where there are no
    decimals. Values beyond the digits are cut to the largest; NaN is written as it is.
    """
    lost = np.isnan(values)
    scaled = np.rint(np.where(lost, 0.0, values) * 10.0**decimals).clip(-_LARGEST, _LARGEST)
    negative = np.flatnonzero(scaled < 0)
    rest = np.abs(scaled)
    # Narrow integers divide several times as fast.
    rest = rest.astype(np.uint32 if rest.max(initial=0) < 2**32 else np.uint64)
    written = np.full((_DIGITS + 2, len(values)), _BLANK, np.uint8)
    row = len(written) - 1
    ten = rest.dtype.type(10)
    for place in range(_DIGITS):
        if place == decimals > 0:
            written[row] = _POINT
            row -= 1
        # Most counts are small; after their few digits there is nothing left to write.
        if place > decimals and not rest.any():
            break
        quotient = rest // ten
        digit = (rest - ten * quotient).astype(np.uint8) + np.uint8(_ZERO)
        if place > decimals:
            digit[rest == 0] = _BLANK
        written[row] = digit
        rest = quotient
        row -= 1
    if len(negative):
        first = (written[:, negative] != _BLANK).argmax(axis=0)
        written[first - 1, negative] = _MINUS
    if lost.any():
        written[:, lost] = np.frombuffer(b"NaN".rjust(len(written)), np.uint8)[:, None]
    return written


def _table(names: Sequence[bytes]) -> NDArray[np.uint8]:
    width = max(map(len, names))
    field = b" " * (_DIGITS + 3) + b"\n"
    joined = bytearray(b"".join(name.ljust(width) + field for name in names))
    return np.frombuffer(joined, np.uint8).reshape(len(names), width + len(field))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
