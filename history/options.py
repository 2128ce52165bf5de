"""How a plant file is to be read, where it is not to be found out from the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is to be read; None means: find out.

    delimiter: one character. decimal: `.` or `,`. header: whether there is one. time_column, label_column:
    by name; an empty name means: none. label_columns: one column of 0 and 1 for each class, in place of
    label_column. label_names: names of classes by what stands in the label column. time_format: of
    stamps.NAMED_FORMATS, or a strptime pattern. sensors: the columns to keep, in this order. ignore: columns
    to skip. encoding: a Python codec. layout: `files`, each a recording, or `lookout`: the files of a folder
    are of one machine (history/lookout.py).
    """

    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    time_column: str | None = None
    time_format: str | None = None
    label_column: str | None = None
    label_columns: tuple[str, ...] = ()
    label_names: Mapping[str, str] = field(default_factory=dict)
    sensors: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    encoding: str | None = None
    layout: str = "files"
