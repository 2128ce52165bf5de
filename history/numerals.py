"""Cells of text as numbers, without guessing: what is not a number for sure is counted, not bent into one."""

import re
from collections.abc import Sequence
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.spool import Growing

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
_THOUSANDS_POINT = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_THOUSANDS_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+", re.ASCII)
_NUMBER = re.compile(
    "|".join(f"(?:{form.pattern})" for form in (_POINT, _COMMA, _THOUSANDS_POINT, _THOUSANDS_COMMA))
    + "|(?i:true|false)",
    re.ASCII,
)
_LOGICAL = {"true": 1.0, "false": 0.0}


# Different words of a column that are remembered.
MOST_WORDS = 1000


class _Word(NamedTuple):
    """What a cell is that is no number: missing or else invalid, and whether somebody wrote a remark."""

    invalid: bool
    remark: bool


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


def is_ambiguous(cells: Sequence[str]) -> bool:
    """Whether all cells with a comma could have it for a decimal mark or for thousands, like `1,234`."""
    marked = [text for cell in cells if "," in (text := cell.strip()) and is_number(text)]
    return bool(marked) and all(
        _THOUSANDS_POINT.fullmatch(t) and not t.lstrip("+-").startswith("0") for t in marked
    )


def to_number(cell: str, decimal: str) -> float | None:
    """The number in a cell; NaN when it is missing; None when it is invalid (text, an error, an infinity).

    Points separate thousands only beside a decimal comma: a lone `1.234` could be either. True and false are
    1 and 0.
    """
    text = cell.strip()
    word = text.lower()
    if word in MISSING:
        return nan
    if word in _LOGICAL:
        return _LOGICAL[word]
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


class NumberColumn:
    """Collects the cells of one column, chunk by chunk.

    numbers: cells that were numbers. remarks: cells with text that no historian writes for a bad reading.
    """

    def __init__(self, decimal: str | None) -> None:
        self._decimal = decimal
        self._values, self._invalid = Growing(), Growing()
        # Cells of this column that are no numbers, as found so far: plants repeat the same few words.
        self._words: dict[str, _Word] = {}
        self.numbers = 0
        self.remarks = 0

    def add(self, cells: Sequence[str]) -> None:
        """Append cells. Plain numbers and known words are converted at once, anything else one by one."""
        values = self._plain(cells)
        if values is None:
            values, invalid = self._with_words(cells)
        else:
            invalid = np.isinf(values)
            values[invalid] = nan
        self.numbers += int(np.isfinite(values).sum())
        self._values.append(values)
        self._invalid.append(invalid)

    @property
    def words(self) -> int:
        """Different cells that were no numbers, up to MOST_WORDS."""
        return len(self._words)

    def finish(self) -> tuple[Floats, Bools]:
        """All readings so far, NaN where there is none, and which of those were invalid: two (rows,)."""
        if not len(self._values):
            return np.empty(0), np.empty(0, np.bool_)
        return self._values.finish(), self._invalid.finish()

    def _plain(self, cells: Sequence[str]) -> Floats | None:
        text = "\n".join(cells)
        # Python reads 1_000 as a number, and digits of any script; a plant's export does not mean one by it.
        if "_" in text or not text.isascii():
            return None
        if self._decimal == ",":
            if "." in text:
                return None
            cells = text.replace(",", ".").split("\n")
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            return None

    def _with_words(self, cells: Sequence[str]) -> tuple[Floats, Bools]:
        found = [(index, self._words[cell]) for index, cell in enumerate(cells) if cell in self._words]
        rest = list(cells)
        for index, _ in found:
            rest[index] = "nan"
        values = self._plain(rest)
        if values is None:
            return self._one_by_one(cells)
        invalid = np.isinf(values)
        values[invalid] = nan
        invalid[[index for index, word in found if word.invalid]] = True
        self.remarks += sum(word.remark for _, word in found)
        return values, invalid

    def _one_by_one(self, cells: Sequence[str]) -> tuple[Floats, Bools]:
        if self._decimal is None:
            # Whole numbers only until here, which read the same either way.
            self._decimal = find_decimal(cells)
        values = np.full(len(cells), nan)
        invalid = np.zeros(len(cells), np.bool_)
        for index, cell in enumerate(cells):
            number = to_number(cell, self._decimal or ".")
            if number is not None and isfinite(number):
                values[index] = number
                continue
            word = _Word(number is None, number is None and not is_empty(cell) and not is_number(cell))
            if len(self._words) < MOST_WORDS:
                self._words[cell] = word
            invalid[index] = word.invalid
            self.remarks += word.remark
        return values, invalid
