"""How plant files are to be read: options that several commands share."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from history.options import ReadOptions

PANEL = "How files are read (found out from each file if not given)"
# What to write for a column that is not there.
NONE = "none"
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}


class Layout(StrEnum):
    """Which files are one recording: each its own, or those of a folder in Lookout for Equipment's layout."""

    FILES = "files"
    LOOKOUT = "lookout"


class Decimal(StrEnum):
    """How numbers are written: 1.5 or 1,5."""

    POINT = "point"
    COMMA = "comma"


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    mark = _DELIMITERS.get(text, text)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise typer.BadParameter(f"expected one character, or one of {', '.join(_DELIMITERS)}")
    return mark


def _time_format(text: str | None) -> str | None:
    from history.stamps import NAMED_FORMATS

    if text is not None and "%" not in text and text not in NAMED_FORMATS:
        raise typer.BadParameter(
            f"expected {', '.join(NAMED_FORMATS)}, or a pattern like '%d.%m.%Y %H:%M:%S'"
        )
    return text


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text is not None else []


def _pair(part: str) -> tuple[str, str]:
    value, _, name = part.partition("=")
    return value.strip(), name.strip()


def _columns(text: str | None) -> str | None:
    parts = _parts(text)
    if "" in parts or len(set(parts)) < len(parts):
        raise typer.BadParameter(f"{text!r}: expected different columns with commas between them")
    return text


def _names(text: str | None) -> str | None:
    parts = _parts(text)
    if any("=" not in part or part.startswith("=") for part in parts):
        raise typer.BadParameter(f"{text!r}: expected VALUE=CLASS, with commas between several")
    if len({_pair(part)[0] for part in parts}) < len(parts):
        raise typer.BadParameter(f"{text!r}: names one value twice")
    return text


DelimiterOption = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        callback=_delimiter,
        rich_help_panel=PANEL,
        help="Between cells: a character, or comma, semicolon, tab, pipe, space.",
    ),
]
DecimalOption = Annotated[
    Decimal | None, typer.Option("--decimal", rich_help_panel=PANEL, help="Decimal mark of the numbers.")
]
HeaderOption = Annotated[
    bool | None,
    typer.Option("--header/--no-header", rich_help_panel=PANEL, help="Whether a line of names comes first."),
]
TimeColumnOption = Annotated[
    str | None,
    typer.Option("--time-column", rich_help_panel=PANEL, help="Column of time stamps, or 'none'."),
]
TimeFormatOption = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        callback=_time_format,
        rich_help_panel=PANEL,
        help="iso, day-first, month-first, epoch-s, epoch-ms or a pattern like '%d.%m.%Y %H:%M:%S'.",
    ),
]
LabelColumnOption = Annotated[
    str | None,
    typer.Option(
        "--label-column", rich_help_panel=PANEL, help="Column of labels (0/1 or classes), or 'none'."
    ),
]
LabelColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--label-columns",
        callback=_columns,
        rich_help_panel=PANEL,
        help="Columns of 0 and 1, one for each class: 'leak,cavitation'. In place of --label-column.",
    ),
]
LabelNamesOption = Annotated[
    str | None,
    typer.Option(
        "--label-names",
        callback=_names,
        rich_help_panel=PANEL,
        help="Classes by what stands in the label column: '0=normal,1=leak,2='; rows of an empty one are not "
        "used.",
    ),
]
SensorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sensor",
        rich_help_panel=PANEL,
        help="Column to read; repeat for more. Default: all.",
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", rich_help_panel=PANEL, help="Column to leave out; repeat for more."),
]
EncodingOption = Annotated[
    str | None,
    typer.Option("--encoding", rich_help_panel=PANEL, help="Encoding of the text, e.g. utf-8, cp1252."),
]
LayoutOption = Annotated[
    Layout,
    typer.Option(
        "--layout",
        rich_help_panel=PANEL,
        help="files: each is a recording; lookout: a folder is one machine, with a folder for each "
        "component, as Lookout for Equipment took it.",
    ),
]
EventsOption = Annotated[
    Path | None,
    typer.Option(
        "--events",
        exists=True,
        dir_okay=False,
        help="File of labelled intervals in place of a label column: CSV with start, end and class, or two "
        "columns of stamps without a header; or JSON.",
    ),
]


def read_options(
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    time_column: TimeColumnOption = None,
    time_format: TimeFormatOption = None,
    label_column: LabelColumnOption = None,
    label_columns: LabelColumnsOption = None,
    label_names: LabelNamesOption = None,
    sensor: SensorsOption = None,
    ignore: IgnoreOption = None,
    encoding: EncodingOption = None,
    layout: LayoutOption = Layout.FILES,
) -> "ReadOptions":
    """The reading options of the command line as the library takes them."""
    from history.options import ReadOptions

    if label_column is not None and label_columns is not None:
        raise typer.BadParameter("give it or --label-column, not both", param_hint="--label-columns")
    return ReadOptions(
        delimiter=delimiter,
        decimal=None if decimal is None else "." if decimal is Decimal.POINT else ",",
        header=header,
        time_column="" if time_column == NONE else time_column,
        time_format=time_format,
        label_column="" if label_column == NONE else label_column,
        label_columns=tuple(_parts(label_columns)),
        label_names=dict(_pair(part) for part in _parts(label_names)),
        sensors=tuple(sensor) if sensor else None,
        ignore=tuple(ignore or ()),
        encoding=encoding,
        layout=layout.value,
    )


def with_read_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the reading options: its parameter `reading` receives them as ReadOptions."""
    options = inspect.signature(read_options).parameters
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "reading"]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        reading = read_options(**{name: given.pop(name) for name in options})
        command(**given, reading=reading)

    # What typer looks at. `reading` must not be among the annotations: its type is imported late.
    added = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in options.values()]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + added
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped
