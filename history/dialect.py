"""How a text table is written: encoding, delimiter, header, decimal mark. Found from the head of the file."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from history.errors import DuplicateColumns, NoNumbers, RaggedRows, TooFewRows, UnreadableFile
from history.numerals import find_decimal, is_ambiguous, is_empty, is_number
from history.stamps import looks_like_clock, looks_like_stamp

HEAD_BYTES = 256 * 1024
SAMPLE_ROWS = 200
DELIMITERS = (";", "\t", ",", "|")
# Stands for "no delimiter": the unit separator, which no text file holds.
NO_DELIMITER = "\x1f"
# A column counts as numbers, or times, if this share of its filled cells is.
LEAST_SHARE = 0.3

_MAGIC = (
    (b"PAR1", "is Parquet, not text: name it *.parquet"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook: export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook: export it as CSV"),
    (b"\x1f\x8b", "is compressed: unpack it first"),
)
# Cells of a line of units under the header.
_UNITS = frozenset(
    {"", "%", "-", "--", "1/min", "a", "bar", "barg", "c", "cm", "deg", "deg c", "deg f", "degc", "degf", "f",
     "g", "h", "hz", "j", "k", "kg", "kg/h", "kg/s", "khz", "kj", "kpa", "kv", "kw", "kwh", "l", "l/h",
     "l/min", "m", "m/s", "m/s2", "m/s²", "m3", "m3/h", "m³", "m³/h", "ma", "mbar", "min", "mm", "mm/s",
     "mol%", "mpa", "ms", "mv", "mw", "nm", "nm3/h", "pa", "ph", "ppm", "psi", "psig", "rpm", "s", "t",
     "t/h", "um", "utc", "v", "w", "°c", "°f", "µm", "µs/cm"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """names: one per column, `column 1`, … where the file has none. skip: rows, as the csv module counts
    them, before the first data row. decimal: None while only whole numbers were seen.
    sample: rows of the head, for deciding on the columns' roles. notes: what was skipped or assumed.
    """

    encoding: str
    delimiter: str
    decimal: str | None
    names: tuple[str, ...]
    skip: int
    sample: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def find_encoding(head: bytes, place: str) -> str:
    """Encoding of the first bytes of a file. Raises UnreadableFile when they are no text."""
    for magic, reason in _MAGIC:
        if head.startswith(magic):
            raise UnreadableFile(reason, place=place)
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in head:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > 0.4 * len(head) / 2 and even == 0:
            return "utf-16-le"
        if even > 0.4 * len(head) / 2 and odd == 0:
            return "utf-16-be"
        raise UnreadableFile("is not text", place=place)
    if sum(head.count(code) for code in (*range(1, 9), *range(14, 32))) > 0.01 * len(head):
        raise UnreadableFile("is not text", place=place)
    try:
        # The head may end inside a character.
        io.TextIOWrapper(io.BytesIO(head[:-4] if len(head) == HEAD_BYTES else head), "utf-8").read()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def find_dialect(
    text: str,
    place: str,
    *,
    encoding: str,
    complete: bool,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Look at the head of a file. complete: whether `text` is all of it. The options win over what is seen.

    Raises TooFewRows, NoNumbers, RaggedRows, DuplicateColumns, UnreadableFile.
    """
    if not text.strip("\ufeff \t\r\n;,"):
        raise TooFewRows("is empty", place=place)
    lines = text.splitlines(keepends=True)
    if not complete and len(lines) > 1:
        lines.pop()
    if delimiter is None:
        delimiter = _find_delimiter(lines, place)
    rows = _parse(lines, delimiter, place, limit=None if len(lines) < 4000 else 4000)
    notes: list[str] = []
    width = _usual_width(rows)
    kinds = _column_kinds(rows, width)
    start = _first_data_row(rows, width, kinds, header)
    names, skipped = _names(rows, start, width, header, place, notes)
    if skipped:
        notes.append(f"skipped {skipped} {'line' if skipped == 1 else 'lines'} before the header")
    sample = [tuple(row[:width]) for row in rows[start:] if len(row) >= width][:SAMPLE_ROWS]
    if not sample:
        raise TooFewRows("has no data rows", place=place)
    if not any(is_number(cell) for row in sample for cell in row) and complete:
        raise NoNumbers("has no column of numbers", place=place)
    if decimal is None:
        cells = [cell for row in sample for cell in row]
        decimal = find_decimal(cells)
        if decimal == "," and delimiter == "," and is_ambiguous(cells):
            raise UnreadableFile(
                "the commas in numbers may be decimal or separate thousands: say --decimal comma or point",
                place=place,
            )
        if decimal == ",":
            notes.append("numbers have a decimal comma")
    return Dialect(encoding, delimiter, decimal, tuple(names), start, tuple(sample), tuple(notes))


def _parse(lines: Sequence[str], delimiter: str, place: str, limit: int | None = None) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if limit is not None and len(rows) >= limit:
                break
    except csv.Error as error:
        raise UnreadableFile(f"is no table: {error}", place=f"{place}, line {reader.line_num}") from None
    return rows


def _find_delimiter(lines: Sequence[str], place: str) -> str:
    """The delimiter that gives most rows of one width whose cells are numbers, times or empty."""
    lines = [line for line in lines[: SAMPLE_ROWS * 2] if line.strip()][:SAMPLE_ROWS]
    body = [line.strip() for line in lines[1:]] or [line.strip() for line in lines]
    # One column of numbers with a decimal comma looks like two columns of whole numbers; its header tells.
    words = [line.strip('"') for line in body]
    if all(is_number(word) or is_empty(word) for word in words) and not any(
        mark in lines[0] for mark in DELIMITERS
    ):
        return NO_DELIMITER
    best, best_score = NO_DELIMITER, 0.0
    for delimiter in DELIMITERS:
        if not any(delimiter in line for line in lines):
            continue
        rows = _parse(lines, delimiter, place)
        width = _usual_width(rows)
        if width < 2:
            continue
        fitting = [row for row in rows if len(row) == width]
        cells = [cell for row in fitting for cell in row]
        sensible = sum(
            is_number(c) or is_empty(c) or looks_like_stamp(c) or looks_like_clock(c) for c in cells
        )
        score = len(fitting) / len(rows) * (0.02 + sensible / len(cells))
        if score > best_score:
            best, best_score = delimiter, score
    if best == NO_DELIMITER and all(" " in line and all(map(is_number, line.split())) for line in body):
        return " "
    return best


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Cells of most rows, empty lines apart; a preamble is shorter than what follows it."""
    widths = [len(row) for row in rows if row]
    return Counter(widths[len(widths) // 4 :]).most_common(1)[0][0] if widths else 1


def _kind(cell: str) -> str:
    if is_empty(cell):
        return "empty"
    if is_number(cell):
        return "number"
    return "time" if looks_like_stamp(cell) or looks_like_clock(cell) else "text"


def _column_kinds(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """What each column mostly holds: `number`, `time` or `text`."""
    fitting = [row for row in rows if len(row) == width][:SAMPLE_ROWS]
    kinds = []
    for index in range(width):
        seen = Counter(_kind(row[index]) for row in fitting)
        filled = sum(seen.values()) - seen["empty"]
        kind = "time" if seen["time"] > seen["number"] else "number"
        kinds.append(kind if filled and seen[kind] >= LEAST_SHARE * filled else "text")
    return kinds


def _is_header(row: Sequence[str], kinds: Sequence[str], *, first: bool) -> bool:
    """Whether a row has words where the column has numbers or times.

    In the first row one word above a column of times will do: the sensors may be named by numbers.
    """
    found = [_kind(cell) for cell in row]
    pairs = list(zip(kinds, found, strict=True))
    words = sum(kind != "text" and cell == "text" for kind, cell in pairs)
    matches = sum(kind != "text" and cell == kind for kind, cell in pairs)
    return words > matches or (first and any(pair == ("time", "text") for pair in pairs))


def _first_data_row(
    rows: Sequence[Sequence[str]], width: int, kinds: Sequence[str], header: bool | None
) -> int:
    """Index of the first row that is no header; the number of rows when there is none."""
    fitting = [index for index, row in enumerate(rows) if len(row) == width]
    if not fitting or header is False:
        return fitting[0] if fitting else len(rows)
    # Names that are numbers, or a table of words: the first row is taken for the header.
    forced = header is True or all(kind == "text" for kind in kinds)
    for count, index in enumerate(fitting):
        if not _is_header(rows[index], kinds, first=count == 0) and not (forced and count == 0):
            return index
    return len(rows)


def _names(
    rows: Sequence[Sequence[str]],
    start: int,
    width: int,
    header: bool | None,
    place: str,
    notes: list[str],
) -> tuple[list[str], int]:
    """Names of the columns, and how many lines stood before the header."""
    above = [index for index in range(start) if any(cell.strip() for cell in rows[index])]
    if not above or header is False:
        notes.append("has no header: columns are numbered")
        return [f"column {index + 1}" for index in range(width)], len(above)
    at = above[-1]
    if len(above) > 1 and len(rows[above[-2]]) == width == len(rows[at]) and _is_units(rows[at]):
        at = above[-2]
        notes.append("left out the line of units under the header")
    before = sum(index < at for index in above)
    names = [name.strip() for name in rows[at]]
    if len(names) != width:
        fitted = _fit(names, rows, start, width)
        if fitted is None and (len(names) == 1 or names[0].startswith("#")) and header is not True:
            notes.append("has no header: columns are numbered")
            return [f"column {index + 1}" for index in range(width)], len(above)
        if fitted is None:
            raise RaggedRows(
                f"the header has {len(names)} names, the rows have {width} cells",
                place=f"{place}, row {at + 1}",
            )
        names = fitted
    names[0] = names[0].lstrip("\ufeff# ") or names[0]
    named = [name or f"column {index + 1}" for index, name in enumerate(names)]
    first: dict[str, int] = {}
    for index, name in enumerate(named):
        if name in first:
            raise DuplicateColumns(
                f"columns {first[name] + 1} and {index + 1} are both named {name!r}", place=f"{place}, header"
            )
        first[name] = index
    return named, before


def _fit(names: list[str], rows: Sequence[Sequence[str]], start: int, width: int) -> list[str] | None:
    """A header one short or long for a known reason: a delimiter at the line's end, an unnamed index."""
    if len(names) > width and not any(names[width:]):
        return names[:width]
    if len(names) != width - 1:
        return None
    body = [row for row in rows[start:] if len(row) == width]
    if all(not row[-1].strip() for row in body):
        return [*names, ""]
    index = [row[0].strip() for row in body]
    counts = all(cell.isdecimal() for cell in index) and all(int(b) == int(a) + 1 for a, b in pairwise(index))
    return ["", *names] if counts or not any(is_number(cell) for cell in index) else None


def _is_units(row: Sequence[str]) -> bool:
    cells = [cell.strip().strip("[]()").lower() for cell in row if cell.strip()]
    return bool(cells) and sum(cell in _UNITS for cell in cells) >= 0.5 * len(cells)
