"""What `offnormal train` was asked to do, as the folder of its run keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cli.errors import CommandError
from history.options import ReadOptions


@dataclass(frozen=True, slots=True)
class Order:
    """paths: to train on; test: to report on; events: file of labelled intervals. All absolute."""

    paths: list[str]
    name: str
    models: str
    test: list[str] = field(default_factory=list)
    events: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    units: dict[str, str] = field(default_factory=dict)
    description: str = ""
    licence: str = ""

    def as_json(self) -> dict[str, Any]:
        return dict(msgspec.to_builtins(self))


def read_order(content: Mapping[str, Any], place: Path) -> Order:
    """Raises CommandError, naming the file."""
    try:
        return msgspec.convert(content, Order)
    except msgspec.ValidationError as error:
        raise CommandError(f"{place}: does not say what was to be trained: {error}") from None


def absolute(paths: list[Path]) -> list[str]:
    return [str(path.resolve()) for path in paths]
