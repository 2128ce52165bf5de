"""How recordings are judged: options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import warn

if TYPE_CHECKING:
    from detector.manifest import Manifest
    from evaluation.persistence import AlarmAfter

BaselineRowsOption = Annotated[
    int, typer.Option(min=0, help="Known-normal rows at the beginning of each file: its own baseline.")
]
FalseAlarmRateOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Alarm budget; the model's default if not given.")
]
StrideOption = Annotated[int, typer.Option(min=1, help="Judge every n-th row.")]
AlarmAfterOption = Annotated[
    str | None,
    typer.Option(
        "--alarm-after",
        metavar="K/N",
        help="Also count alarms that need K of the last N windows to be anomalous, e.g. 3/5.",
    ),
]


def advise_baseline(manifest: "Manifest", baseline_rows: int) -> None:
    """Say so where files are judged without baselines by a model that knows machines by their own."""
    if baseline_rows == 0 and manifest.recipe.get("baseline") == "asset":
        rows = manifest.recipe.get("baseline_rows")
        warn(
            f"{manifest.name} {manifest.version} was trained on machines that differ, each standardised by "
            f"its own first rows; without --baseline-rows ({rows} in training) these files are held against "
            "the mean of all of them"
        )


def alarm_after_of(text: str | None) -> "AlarmAfter | None":
    """The rule that `--alarm-after` names. Raises a usage error that says what was expected."""
    from evaluation.errors import EvaluationError
    from evaluation.persistence import parse_alarm_after

    try:
        return None if text is None else parse_alarm_after(text)
    except EvaluationError as error:
        raise typer.BadParameter(str(error), param_hint="--alarm-after") from None
