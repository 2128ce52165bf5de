"""Tables in Markdown, and numbers as they stand in them."""

import math
from collections.abc import Sequence

DASH = "–"
Values = Sequence[float | None]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column is of words."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread(values: Values, digits: int = 3) -> str:
    """Mean ± standard deviation over seeds; the mean alone of one. Unknown where any is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or len(known) < len(values):
        return DASH
    mean = sum(known) / len(known)
    if len(known) == 1:
        return short(mean, digits)
    sd = math.sqrt(sum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return f"{short(mean, digits)} ± {short(sd, digits)}"


def short(value: float, digits: int = 3) -> str:
    """Without the zero before the point."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def percent(share: float) -> str:
    """With one digit where it is needed."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")
