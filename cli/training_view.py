"""A training as the terminal shows it: a line for each stage, a bar with losses, rate and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.console import err

OnStage = Callable[[str], None]
OnStep = Callable[[int, int, float, float], None]


@contextmanager
def training_progress() -> Iterator[tuple[OnStage, OnStep]]:
    """Shown while the block runs; what it gives is to be called as stages begin and steps end."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
    )
    tasks: list[TaskID] = []

    def on_stage(stage: str) -> None:
        if tasks:
            progress.update(tasks[-1], total=1.0, completed=1.0)
        tasks.append(progress.add_task(stage, total=None, losses=""))

    def on_step(step: int, steps: int, reconstruction: float, classification: float) -> None:
        speed = progress.tasks[-1].speed
        rate = f", {speed:.0f} steps/s" if speed else ""
        losses = f"{step}/{steps}, losses {reconstruction:.2f} {classification:.2f}{rate}"
        progress.update(tasks[-1], total=steps, completed=step, losses=losses)

    with progress:
        yield on_stage, on_step
        if tasks:
            progress.update(tasks[-1], total=1.0, completed=1.0)
