"""Which class was called which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.verdict_row import ANOMALOUS, BASELINE, CANNOT_JUDGE, NORMAL, VerdictRow


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class of the model against all others. None where there is nothing to count."""

    klass: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Labelled rows by what they are and what they were called.

    truth: labels of the files, `normal` first. called: classes of the model, then `cannot_judge`.
    counts: one row for each of `truth`, one column for each of `called`.
    """

    truth: tuple[str, ...]
    called: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def classes(self) -> tuple[ClassFigures, ...]:
        """Figures of each class that both the files and the model know.

        None for a model of two classes: there the figures of rows say it, and labels that name their fault
        would be held against it.
        """
        if len(self.called) <= len((NORMAL, ANOMALOUS, CANNOT_JUDGE)):
            return ()
        return tuple(self._class(name) for name in self.truth if name in self.called)

    def _class(self, name: str) -> ClassFigures:
        row, column = self.counts[self.truth.index(name)], self.called.index(name)
        hits, rows, called = row[column], sum(row), sum(counts[column] for counts in self.counts)
        return ClassFigures(
            name,
            rows,
            hits / called if called else None,
            hits / rows if rows else None,
            2 * hits / (rows + called) if rows + called else None,
        )


def confusion(rows: Sequence[VerdictRow], classes: Sequence[str]) -> Confusion | None:
    """classes: of the model, `normal` first. None without a labelled row.

    A row is called by the verdict; an anomalous one by its most probable class of fault.
    """
    pairs = Counter(
        (row.label, called_class(row, classes)) for row in rows if row.label and row.verdict != BASELINE
    )
    if not pairs:
        return None
    truth = [NORMAL, *sorted({label for label, _ in pairs} - {NORMAL})]
    called = [*classes, CANNOT_JUDGE]
    counts = tuple(tuple(pairs[label, name] for name in called) for label in truth)
    return Confusion(tuple(truth), tuple(called), counts)


def called_class(row: VerdictRow, classes: Sequence[str]) -> str:
    """The class that a verdict amounts to, or `cannot_judge`."""
    if row.verdict != ANOMALOUS:
        return row.verdict
    faults = (row.probabilities or ())[1:]
    return classes[1 + faults.index(max(faults))] if faults else classes[1]
