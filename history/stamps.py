"""Time stamps: from the many ways in which plants write them to seconds since the epoch, UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan

import numpy as np
from numpy.typing import NDArray

from history.errors import BadTimestamps
from history.numerals import MISSING, is_number, to_number
from history.spool import Growing

Floats = NDArray[np.float64]

# What `time_format` may be beside a strptime pattern.
NAMED_FORMATS = (
    "iso", "day-first", "month-first", "seconds", "minutes", "hours", "epoch-s", "epoch-ms", "epoch-us",
    "epoch-ns",
)  # fmt: skip
ASK = "name it, e.g. --time-format day-first, month-first or '%d/%m/%Y %H:%M'"
# More unreadable stamps than this share of the rows, and the column is not what it was taken for.
MOST_UNREADABLE = 0.1

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {
    "seconds": 1.0, "minutes": 60.0, "hours": 3600.0,
    "epoch-s": 1.0, "epoch-ms": 1e-3, "epoch-us": 1e-6, "epoch-ns": 1e-9,
}  # fmt: skip
_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})", re.ASCII)
# As PI and other historians write them: 05-Mar-24.
_NAMED = re.compile(r"(\d{1,2})-([a-z]{3})-(\d{4}|\d{2})", re.ASCII | re.I)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*(am|pm|a\.m\.|p\.m\.)?", re.ASCII | re.I)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}.*)?|\d{8}T\d{4}.*", re.ASCII)

# Dates start like this, and numbers do not.
_BEGINNING = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d|\d{8}T|\d{1,2}-[A-Za-z]{3}-\d", re.ASCII)
# Lines of stamps that numpy reads as it should.
_ALIKE = re.compile(r"(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\n|$))*", re.ASCII)


def looks_like_stamp(cell: str) -> bool:
    """Whether a cell is a date, or a date with a time of day; never true for a plain number."""
    text = cell.strip()
    if not _BEGINNING.match(text):
        return False
    if _ISO.fullmatch(text):
        return _iso(text) is not None
    date, _, clock = text.replace("T", " ", 1).partition(" ")
    return _date_parts(date.rstrip(",")) is not None and _clock_seconds(clock.strip()) is not None


def looks_like_date(cell: str) -> bool:
    """Whether a cell is a date without a time of day."""
    return ":" not in cell and looks_like_stamp(cell)


def looks_like_clock(cell: str) -> bool:
    """Whether a cell is a time of day without a date."""
    return bool(_CLOCK.fullmatch(cell.strip()))


class StampColumn:
    """Collects the stamps of one column, chunk by chunk.

    The first readable cell decides how the column is written, unless `time_format` does: a name of
    NAMED_FORMATS or a strptime pattern. place: of the column, for errors.
    """

    def __init__(self, place: str, time_format: str | None = None, decimal: str | None = None) -> None:
        if time_format is not None and time_format not in NAMED_FORMATS and "%" not in time_format:
            raise BadTimestamps(
                f"no time format '{time_format}': expected {', '.join(NAMED_FORMATS)} or a pattern like "
                "'%d.%m.%Y %H:%M:%S'",
                place=place,
            )
        self._place = place
        self._format = time_format
        self._decimal = decimal or "."
        self._style: str | None = None
        self._chunks = Growing()
        self._dates: dict[str, tuple[int, int, int] | None] = {}
        self._example: tuple[int, str] | None = None
        self._rows = 0

    def add(self, cells: Sequence[str]) -> None:
        """Append cells."""
        if self._style is None:
            self._style = self._choose(cells)
        if self._style == "date":
            chunk = self._add_dates(cells)
        elif self._style == "number":
            chunk = np.array([self._number(cell) for cell in cells], np.float64)
        elif self._style == "pattern":
            chunk = np.array([self._pattern(cell) for cell in cells], np.float64)
        else:
            chunk = _plain_iso(cells)
        unread = np.flatnonzero(np.isnan(chunk if chunk.ndim == 1 else chunk[:, 0]))
        if self._example is None and len(unread):
            self._example = (self._rows + int(unread[0]) + 1, cells[unread[0]])
        self._chunks.append(chunk)
        self._rows += len(cells)

    def finish(self, *, strict: bool = True) -> tuple[Floats, list[str]]:
        """Seconds since the epoch, (rows,), NaN where no stamp can be read; and notes on how they were read.

        Raises BadTimestamps when day and month cannot be told apart, or, if `strict`, when too many stamps
        cannot be read.
        """
        if not self._rows:
            return np.empty(0), []
        stamps: Floats = self._chunks.finish()
        notes: list[str] = []
        if self._style == "date":
            stamps = self._resolve(stamps)
        elif self._style == "number":
            stamps, notes = self._scaled(stamps)
        unread = int(np.isnan(stamps).sum())
        if unread:
            row, cell = self._example or (int(np.argmax(np.isnan(stamps))) + 1, "a date that does not exist")
            example = f"e.g. {cell[:40]!r} in data row {row}"
            if strict and unread > MOST_UNREADABLE * self._rows:
                raise BadTimestamps(
                    f"{unread} of {self._rows} time stamps cannot be read, {example}; {ASK}",
                    place=self._place,
                )
            notes.append(f"left out {_rows(unread)} without a readable time stamp, {example}")
        return stamps, notes

    def _choose(self, cells: Sequence[str]) -> str:
        if self._format is not None:
            if "%" in self._format:
                return "pattern"
            if self._format == "iso":
                return "iso"
            return "date" if self._format in ("day-first", "month-first") else "number"
        for cell in cells:
            text = cell.strip()
            if text.lower() in MISSING:
                continue
            if is_number(text):
                return "number"
            if _iso(text) is not None:
                return "iso"
            if looks_like_stamp(text):
                return "date"
        return "iso"

    def _number(self, cell: str) -> float:
        number = to_number(cell, self._decimal)
        return nan if number is None else number

    def _scaled(self, numbers: Floats) -> tuple[Floats, list[str]]:
        if self._format is not None:
            return numbers * _UNITS[self._format], []
        seen = numbers[np.isfinite(numbers)]
        typical = float(np.median(np.abs(seen))) if len(seen) else 0.0
        if 1.9e7 <= typical < 2.1e7 or 1.9e13 <= typical < 2.1e13:
            return _digits(numbers), ["time stamps are numbers, read as digits of date and time"]
        for unit, least in (("epoch-ns", 1e17), ("epoch-us", 1e14), ("epoch-ms", 1e11), ("epoch-s", 1e8)):
            if typical >= least:
                return numbers * _UNITS[unit], [f"time stamps are numbers, read as {unit}"]
        return numbers, [
            "time stamps are small numbers, read as seconds; --time-format minutes or hours says otherwise"
        ]

    def _pattern(self, cell: str) -> float:
        try:
            return _seconds(datetime.strptime(cell.strip(), self._format or ""))
        except ValueError:
            return nan

    def _add_dates(self, cells: Sequence[str]) -> Floats:
        """Numeric dates: three numbers as written, and seconds of the day; (rows, 4)."""
        chunk = np.full((len(cells), 4), nan)
        clocks: dict[str, float | None] = {"": 0.0}
        for index, cell in enumerate(cells):
            date, _, clock = cell.strip().replace("T", " ", 1).partition(" ")
            if date not in self._dates:
                self._dates[date] = _date_parts(date.rstrip(","))
            if clock not in clocks:
                clocks[clock] = _clock_seconds(clock.strip())
            parts, seconds = self._dates[date], clocks[clock]
            if parts is not None and seconds is not None:
                chunk[index] = (*parts, seconds)
        return chunk

    def _resolve(self, parts: Floats) -> Floats:
        """Which of three numbers is the day, from the whole column."""
        known = np.isfinite(parts[:, 0])
        first, second, third = (parts[:, k] for k in range(3))
        if (first[known] > 31).any():
            return _epoch_seconds(first, second, third, parts[:, 3])
        if self._format is not None:
            day_first = self._format == "day-first"
        elif any("." in date or _NAMED.fullmatch(date) for date in self._dates):
            day_first = True
        else:
            above, below = bool((first[known] > 12).any()), bool((second[known] > 12).any())
            if above == below:
                reason = (
                    "are neither day first nor month first throughout"
                    if above
                    else "may be day first or month first"
                )
                example = next((d for d, parsed in self._dates.items() if parsed), "")
                raise BadTimestamps(f"dates like {example!r} {reason}; {ASK}", place=self._place)
            day_first = above
        day, month = (first, second) if day_first else (second, first)
        return _epoch_seconds(np.where(third < 100, third + 2000, third), month, day, parts[:, 3])


def parse_stamp(text: str) -> float | None:
    """One stamp on its own, as in a list of events; None when it cannot be read, or in more than one way."""
    column = StampColumn("")
    try:
        column.add([text])
        stamp = float(column.finish()[0][0])
    except BadTimestamps:
        return None
    return None if np.isnan(stamp) else stamp


def _iso(text: str) -> float | None:
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        pass
    # Forms that are common in exports and not quite ISO: `… UTC`, `… +00:00`.
    squeezed = re.sub(r"\s*(UTC|GMT)$", "+00:00", text)
    squeezed = re.sub(r"\s+([+-]\d{2}:?\d{2})$", r"\1", squeezed)
    if squeezed == text:
        return None
    try:
        return _seconds(datetime.fromisoformat(squeezed))
    except ValueError:
        return None


def _plain_iso(cells: Sequence[str]) -> Floats:
    """ISO stamps of one chunk: (rows,), NaN where unreadable. At once if all are alike, without zones."""
    cells = [cell.strip() for cell in cells]
    if _ALIKE.fullmatch("\n".join(cells)):
        try:
            return np.array(cells, "datetime64[us]").astype(np.int64) / 1e6
        except ValueError:
            pass  # a day that does not exist: one by one, then
    return np.array([_iso_or_nan(cell) for cell in cells], np.float64)


def _iso_or_nan(cell: str) -> float:
    seconds = _iso(cell)
    return nan if seconds is None else seconds


def _seconds(moment: datetime) -> float:
    if moment.tzinfo is None:
        return (moment - _EPOCH).total_seconds()
    return (moment - _EPOCH_UTC).total_seconds()


def _date_parts(date: str) -> tuple[int, int, int] | None:
    if found := _DATE.fullmatch(date):
        return int(found[1]), int(found[3]), int(found[4])
    if (found := _NAMED.fullmatch(date)) and found[2].lower() in _MONTHS:
        return int(found[1]), _MONTHS.index(found[2].lower()) + 1, int(found[3])
    return None


def _clock_seconds(clock: str) -> float | None:
    if not clock:
        return 0.0
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if found[5].lower().startswith("p") else 0)
    if hours > 24 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600.0 + minutes * 60 + seconds + (float(f"0.{found[4]}") if found[4] else 0.0)


def _epoch_seconds(year: Floats, month: Floats, day: Floats, of_day: Floats) -> Floats:
    """Seconds since the epoch; NaN where the date does not exist. All (rows,)."""
    good = np.isfinite(year) & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype(np.int64).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    good &= np.where(good, day, 0) <= length
    return np.where(good, (first + np.where(good, day, 1) - 1) * 86400.0 + of_day, nan)


def _digits(numbers: Floats) -> Floats:
    """Seconds since the epoch of numbers like 20240501 or 20240501235959; NaN where there is no such date."""
    day, clock = (numbers, np.zeros(len(numbers))) if np.nanmedian(numbers) < 1e9 else np.divmod(numbers, 1e6)
    of_day = clock // 1e4 * 3600 + clock // 100 % 100 * 60 + clock % 100
    return _epoch_seconds(day // 1e4, day // 100 % 100, day % 100, of_day)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
