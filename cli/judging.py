"""How recordings are judged: options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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


def alarm_after_of(text: str | None) -> "AlarmAfter | None":
    """The rule that `--alarm-after` names. Raises a usage error that says what was expected."""
    from evaluation.errors import EvaluationError
    from evaluation.persistence import parse_alarm_after

    try:
        return None if text is None else parse_alarm_after(text)
    except EvaluationError as error:
        raise typer.BadParameter(str(error), param_hint="--alarm-after") from None
