"""Cells of text as numbers, without guessing: what is not a number for sure is counted, not bent into one."""

import re
from collections.abc import Sequence
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# What exports write where there is no reading. Compared in lower case.
MISSING = frozenset(
    {"", "-", "--", "---", ".", "?", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "-nan", "nat", "nil", "none",
     "null", "missing", "no data", "nodata", "no value"}
)  # fmt: skip
# What historians and spreadsheets write where there was a reading that cannot be used. Any other text is
# invalid too; these tell a dead sensor from a column of remarks.
STATUS = frozenset(
    {"#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!", "#error", "bad", "bad input", "bad value",
     "bad data", "bad_quality", "i/o timeout", "io timeout", "timeout", "error", "err", "fail", "failed",
     "fault", "calc failed", "comm fail", "comm error", "configure", "device error", "disconnected",
     "intf shut", "invalid", "not connect", "not connected", "no sample", "offline", "out of serv",
     "over range", "overrange", "pt created", "scan off", "scan timeout", "shutdown", "stale", "uncertain",
     "under range", "underrange", "unknown", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity",
     "1.#inf", "1.#qnan"}
)  # fmt: skip

_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS_POINT = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+", re.ASCII)
_THOUSANDS_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+", re.ASCII)
_NUMBER = re.compile(
    "|".join(f"(?:{form.pattern})" for form in (_POINT, _COMMA, _THOUSANDS_POINT, _THOUSANDS_COMMA)), re.ASCII
)


def is_empty(cell: str) -> bool:
    """Whether a cell says that there is no usable reading, in words known for it."""
    word = cell.strip().lower()
    return word in MISSING or word in STATUS


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal point or a decimal comma."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def find_decimal(cells: Sequence[str]) -> str | None:
    """`.` or `,`, whichever more cells use as their decimal mark; None when neither is used."""
    points = commas = 0
    for cell in cells:
        text = cell.strip()
        points += "." in text and bool(_POINT.fullmatch(text) or _THOUSANDS_POINT.fullmatch(text))
        commas += "," in text and bool(_COMMA.fullmatch(text) or _THOUSANDS_COMMA.fullmatch(text))
    if points == commas == 0:
        return None
    return "," if commas > points else "."


def to_number(cell: str, decimal: str) -> float | None:
    """The number in a cell; NaN when it is missing; None when it is invalid (text, an error, an infinity).

    Thousands are separated only beside a decimal mark: `1.234` under a decimal comma could be either.
    """
    text = cell.strip()
    if text.lower() in MISSING:
        return nan
    if decimal == ",":
        if "." in text:
            if not _THOUSANDS_COMMA.fullmatch(text):
                return None
            text = text.replace(".", "")
        text = text.replace(",", ".", 1)
    elif _THOUSANDS_POINT.fullmatch(text):
        text = text.replace(",", "")
    if not _POINT.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None


def _quickly(cell: str, decimal: str) -> float | None:
    """The number of a plain cell, five times as fast as `to_number`; None when in any doubt."""
    if "_" in cell:
        return None
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if isfinite(number) else None


class NumberColumn:
    """Collects the cells of one column, chunk by chunk.

    numbers: cells that were numbers. remarks: cells with text that no historian writes for a bad reading.
    """

    def __init__(self, decimal: str | None) -> None:
        self._decimal = decimal
        self._values: list[Floats] = []
        self._invalid: list[Bools] = []
        self.numbers = 0
        self.remarks = 0

    def add(self, cells: Sequence[str]) -> None:
        """Append cells. A chunk of plain numbers is converted at once, any other cell by cell."""
        values = self._plain(cells)
        if values is None:
            values, invalid = self._messy(cells)
        else:
            invalid = np.isinf(values)
            values[invalid] = nan
        self.numbers += int(np.isfinite(values).sum())
        self._values.append(values)
        self._invalid.append(invalid)

    def finish(self) -> tuple[Floats, Bools]:
        """All readings so far, NaN where there is none, and which of those were invalid: two (rows,)."""
        if not self._values:
            return np.empty(0), np.empty(0, np.bool_)
        return np.concatenate(self._values), np.concatenate(self._invalid)

    def _plain(self, cells: Sequence[str]) -> Floats | None:
        text = "\n".join(cells)
        # Python reads 1_000 as a number; a plant's export does not mean one by it.
        if "_" in text:
            return None
        if self._decimal == ",":
            if "." in text:
                return None
            cells = text.replace(",", ".").split("\n")
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            return None

    def _messy(self, cells: Sequence[str]) -> tuple[Floats, Bools]:
        if self._decimal is None:
            # Whole numbers only until here, which read the same either way.
            self._decimal = find_decimal(cells)
        decimal = self._decimal or "."
        values = np.full(len(cells), nan)
        invalid = np.zeros(len(cells), np.bool_)
        for index, cell in enumerate(cells):
            number = _quickly(cell, decimal)
            if number is None:
                number = to_number(cell, decimal)
            if number is None:
                invalid[index] = True
                self.remarks += not is_empty(cell) and not is_number(cell)
            else:
                values[index] = number
        return values, invalid
