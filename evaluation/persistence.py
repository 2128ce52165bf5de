"""When repeated anomalous windows become an alarm."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from evaluation.errors import EvaluationError
from evaluation.verdict_row import ANOMALOUS, BASELINE, TOO_SHORT, VerdictRow


@dataclass(frozen=True, slots=True)
class AlarmAfter:
    """An alarm stands while `least` of the last `windows` windows of the same run are anomalous.

    A run ends at a gap in the recording, and with the rows of the baseline. A window that cannot be judged is
    not anomalous. 1 of 1 is an alarm for each anomalous window.
    Raises EvaluationError unless 1 <= least <= windows.
    """

    least: int
    windows: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.windows:
            raise EvaluationError(f"{self}: expected k/n with 1 <= k <= n, as in 3/5")

    def __str__(self) -> str:
        return f"{self.least}/{self.windows}"


EACH = AlarmAfter(1, 1)


def parse_alarm_after(text: str) -> AlarmAfter:
    """`3/5` -> three of the last five. Raises EvaluationError."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if found is None:
        raise EvaluationError(f"{text!r} is not k/n, as in 3/5: three of the last five windows")
    return AlarmAfter(int(found[1]), int(found[2]))


class Persistence:
    """The rule at work on one recording, row by row."""

    def __init__(self, rule: AlarmAfter) -> None:
        self._rule = rule
        self._last: deque[bool] = deque(maxlen=rule.windows)

    def add(self, row: VerdictRow) -> bool:
        """Whether an alarm stands after this row. Rows in the order of the file."""
        if begins_run(row):
            self._last.clear()
        self._last.append(row.verdict == ANOMALOUS)
        return sum(self._last) >= self._rule.least


def alarms(rows: Iterable[VerdictRow], rule: AlarmAfter = EACH) -> list[bool]:
    """Whether an alarm stands after each row of one recording, whose rows come in order."""
    persistence = Persistence(rule)
    return [persistence.add(row) for row in rows]


def begins_run(row: VerdictRow) -> bool:
    """Whether nothing before this row belongs to the same run: no window reaches across a gap, so the first
    rows after one have too short a window."""
    return row.verdict == BASELINE or TOO_SHORT in row.issues
