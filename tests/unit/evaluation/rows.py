"""Rows of verdicts, written as one letter each."""

from evaluation.verdict_row import TOO_SHORT, VerdictRow

# `|` is the first row after a gap, which has too short a window.
LETTERS = {"n": "normal", "A": "anomalous", "?": "cannot_judge", "b": "baseline", "|": "cannot_judge"}
LABELS = {".": "normal", "f": "leak", "g": "wear", " ": ""}


def rows_of(
    verdicts: str,
    labels: str,
    scores: list[float | None] | None = None,
    probabilities: list[tuple[float, ...]] | None = None,
    p_values: list[float | None] | None = None,
    first_time: float | None = 100.0,
) -> list[VerdictRow]:
    """One row a letter, two seconds apart."""
    return [
        VerdictRow(
            "run.csv",
            index + 1,
            None if first_time is None else first_time + 2.0 * index,
            LETTERS[verdict],
            probabilities=probabilities[index] if probabilities else None,
            score=scores[index] if scores else None,
            p_value=p_values[index] if p_values else None,
            issues=(TOO_SHORT,) if verdict == "|" else (),
            label=LABELS[label],
        )
        for index, (verdict, label) in enumerate(zip(verdicts, labels, strict=True))
    ]
