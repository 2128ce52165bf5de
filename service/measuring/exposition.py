"""Prometheus' text format for metrics with very many series, written by numpy instead of line by line.

A store of fifty models with three hundred sensors each has some ninety thousand series. One object and one
call to format a number for each of them takes half a second (benchmarks/scrape.py); here the values of one
metric are one array, and its lines a table of bytes of one width, in which only the digits change from scrape
to scrape. Blanks between the labels and the value are allowed by the format.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detector.windows import Floats
from service.measuring.cells import one_by_one
from service.measuring.ledger import Block, Labels, Ledger, Page

Kind = Literal["counter", "gauge"]
Places = NDArray[np.intp]
_DIGITS = 15
_LARGEST = 10**_DIGITS - 1
_ZERO, _BLANK, _MINUS, _POINT = b"0 -."


class Series:
    """The series of one metric: which rows of text they are, and which cells of which pages count them.

    A row's value is the sum over all pages; a gauge stands on the common page alone.
    """

    def __init__(self, name: str, ledger: Ledger | None, width: int, *, common: bool, live: bool) -> None:
        self.name = name
        self._ledger = ledger or Ledger()
        self._page = self._ledger.common if common else self._ledger.own
        self._width, self._live = width, live
        self._rows: dict[bytes, int] = {}
        self._count = 0
        self._shares: dict[Page, _Share] = {}
        self._lock = threading.Lock()
        self._ledger.read_by(name, self._learn)

    def _add(self, labels: Sequence[Labels], start: float = 0.0) -> Floats:
        block = self._page.add(self.name, labels, start, self._width, live=self._live)
        self._learn(self._page, block, labels)
        return self._page.values(block)

    def _name(self, labels: Sequence[Labels]) -> None:
        """Write the part of the rows' text that never changes."""
        raise NotImplementedError

    def _learn(self, page: Page, block: Block, labels: Sequence[Labels] | None = None) -> None:
        with self._lock:
            row = self._rows.get(block.line)
            if row is None:
                row = self._rows[block.line] = self._count
                self._name(labels or block.labels())
                self._count += block.series
            self._shares.setdefault(page, _Share()).add(row, block, page)

    def _values(self) -> Floats:
        """(rows, width). For one thread at a time."""
        with self._lock:
            if len(self._shares) == 1 and self._page in self._shares:
                # One page has its rows in their order: a service of one process adds nothing up.
                return self._shares[self._page].values().reshape(-1, self._width)
            total = np.zeros((self._count, self._width))
            for page, share in self._shares.items():
                if self._ledger.counts(page, live=self._live):
                    total[share.rows()] += share.values().reshape(-1, self._width)
        return total


class _Share:
    """What one page has of one metric."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._blocks: list[Floats] = []
        self._rows: list[Places] = []

    def add(self, row: int, block: Block, page: Page) -> None:
        """row: of the block's first series. A block that is there already is not added again."""
        if self._first.setdefault(block.start, row) == row and len(self._first) > len(self._blocks):
            self._blocks.append(page.values(block))
            self._rows.append(np.arange(row, row + block.series))

    def values(self) -> Floats:
        """Cells of all series, one series after the other."""
        return np.concatenate(self._blocks)

    def rows(self) -> Places:
        """Of each series; none twice."""
        return np.concatenate(self._rows)


class Family(Series):
    """One counter or gauge with all its series. Each array has one writer; rendering reads only.

    decimals: that are written; a value is exact to half of the last one, and below 10**(15 - decimals).
    live: a gauge of what is under way, summed over the workers that run; any other is common to all workers,
        and written to under the ledger's lock where that matters.
    A label whose value is empty is left out, which to Prometheus is the same.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        text: str,
        decimals: int = 0,
        ledger: Ledger | None = None,
        *,
        live: bool = False,
    ) -> None:
        suffix = "_total" if kind == "counter" else ""
        self.kind, self.text = kind, text
        self._lines = Rows(decimals)
        super().__init__(name + suffix, ledger, 1, common=kind == "gauge" and not live, live=live)

    def add(self, labels: Sequence[Labels], start: float = 0.0) -> Floats:
        """One series for each set of labels. Returns their values (series,), for the caller to change.

        start: their value, unless they were there already.
        """
        return self._add(labels, start)

    def render(self) -> bytes:
        """Header and lines. For one thread at a time."""
        return header(self.name, self.kind, self.text) + self._lines.write(self._values()[:, 0])

    def _name(self, labels: Sequence[Labels]) -> None:
        self._lines.add([series(self.name, each) for each in labels])


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
        if len(values) == 0:
            return b""
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
    """What one histogram has counted: one writer. cells: how many in each bucket, and last their sum."""

    def __init__(self, bounds: tuple[float, ...], cells: Floats) -> None:
        self._bounds = bounds
        self._cells = one_by_one(cells)

    def observe(self, value: float) -> None:
        if not math.isnan(value):
            self._cells[bisect_left(self._bounds, value)] += 1
            self._cells[-1] += value


class HistogramFamily(Series):
    """One histogram with all its series."""

    kind = "histogram"

    def __init__(self, name: str, text: str, bounds: Sequence[float], ledger: Ledger | None = None) -> None:
        self.text = text
        self._bounds = tuple(bounds)
        self._les = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._buckets, self._sums, self._counts = Rows(0), Rows(6), Rows(0)
        super().__init__(name, ledger, len(bounds) + 2, common=False, live=False)

    def add(self, labels: Labels) -> Buckets:
        return Buckets(self._bounds, self._add([labels]))

    def render(self) -> bytes:
        values = self._values()
        counts = values[:, :-1].cumsum(axis=1)
        return (
            header(self.name, "histogram", self.text)
            + self._buckets.write(counts.ravel())
            + self._sums.write(values[:, -1])
            + self._counts.write(counts[:, -1])
        )

    def _name(self, labels: Sequence[Labels]) -> None:
        for each in labels:
            self._buckets.add([series(f"{self.name}_bucket", {**each, "le": le}) for le in self._les])
            self._sums.add([series(f"{self.name}_sum", each)])
            self._counts.add([series(f"{self.name}_count", each)])


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
