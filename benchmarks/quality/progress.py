"""The benchmark under way, as the terminal shows it: one line a running task, one for all of them."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class TerminalProgress:
    """A `pool.Watch`. Shown while it is entered."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[stage]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
        )
        self._all = self._progress.add_task("Measurements", total=total, completed=done, stage="")
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> "TerminalProgress":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for row in self._rows.values():
            self._progress.remove_task(row)
        self._progress.stop()

    def started(self, name: str) -> None:
        self._rows[name] = self._progress.add_task(f"  {name}", total=None, stage="Starting")

    def heard(self, name: str, message: tuple[Any, ...]) -> None:
        row = self._rows[name]
        if message[0] == "stage":
            self._progress.update(row, stage=message[1], completed=0, total=None)
        elif message[0] == "step":
            self._progress.update(row, completed=message[1], total=message[2])

    def ended(self, name: str, error: str | None) -> None:
        row = self._rows.pop(name)
        elapsed = next(task.elapsed for task in self._progress.tasks if task.id == row) or 0.0
        self._progress.remove_task(row)
        self._progress.advance(self._all)
        if error is None:
            self._console.print(f"{name}: {elapsed:.0f} s", style="dim", markup=False)
        else:
            self._console.print(
                f"error: {name}: {error.strip().splitlines()[-1]}",
                style="bold red",
                markup=False,
                soft_wrap=True,
            )
