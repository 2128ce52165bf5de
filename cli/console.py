"""The terminal: results go to standard output, everything else to standard error."""

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

VERDICT_STYLES = {"normal": "green", "anomalous": "bold red", "cannot_judge": "yellow", "baseline": "cyan"}


def note(message: str) -> None:
    """Say something that is not part of the result."""
    err.print(message, style="dim", markup=False, soft_wrap=True)


def warn(message: str) -> None:
    err.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)


def fail(message: str) -> None:
    err.print(f"error: {message}", style="bold red", markup=False, soft_wrap=True)
