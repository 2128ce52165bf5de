"""The terminal: results go to standard output, everything else to standard error."""

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    out: Console
    err: Console

VERDICT_STYLES = {"normal": "green", "anomalous": "bold red", "cannot_judge": "yellow", "baseline": "cyan"}


def __getattr__(name: str) -> "Console":
    """`out` and `err` are made when they are first asked for: rich takes a while to import."""
    if name not in ("out", "err"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    console = globals()[name] = Console(stderr=name == "err", highlight=False)
    return console


def say(message: str, style: str | None = None) -> None:
    """A message as it is, on standard error; only a terminal shows a style."""
    if sys.stderr.isatty():
        __getattr__("err").print(message, style=style, markup=False, soft_wrap=True)
    else:
        typer.echo(message, err=True)


def note(message: str) -> None:
    """Say something that is not part of the result."""
    say(message, "dim")


def warn(message: str) -> None:
    say(f"warning: {message}", "yellow")


def fail(message: str) -> None:
    say(f"error: {message}", "bold red")
