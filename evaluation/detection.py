"""How well verdicts agree with a file's labels, row by row and event by event."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evaluation.verdict_row import ANOMALOUS, BASELINE, CANNOT_JUDGE, NORMAL, VerdictRow


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Counts of labelled rows; a row that could not be judged raised no alarm, so in a fault it is a miss.

    A row is called by the window that ends at it: no look-ahead, no point adjustment.
    """

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    quiet: int = 0
    unjudged: int = 0

    def __add__(self, other: "RowFigures") -> "RowFigures":
        return RowFigures(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
            self.quiet + other.quiet,
            self.unjudged + other.unjudged,
        )

    @property
    def rows(self) -> int:
        return self.hits + self.misses + self.false_alarms + self.quiet

    @property
    def false_alarm_rate(self) -> float | None:
        return _ratio(self.false_alarms, self.false_alarms + self.quiet)

    @property
    def missed_alarm_rate(self) -> float | None:
        return _ratio(self.misses, self.hits + self.misses)

    @property
    def precision(self) -> float | None:
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float | None:
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float | None:
        """None without a faulty row: there is nothing to find."""
        if not self.hits + self.misses:
            return None
        return _ratio(2 * self.hits, 2 * self.hits + self.misses + self.false_alarms)

    @property
    def always_on_f1(self) -> float | None:
        """F1 of calling every row anomalous: what F1 must be read against."""
        faulty = self.hits + self.misses
        return _ratio(2 * faulty, self.rows + faulty) if faulty else None


@dataclass(frozen=True, slots=True)
class EventFigures:
    """One labelled fault.

    start: first row of it, 1-based. delay_s: from its first row to its first alarm, None when missed or the
    file has no timestamps; delay_rows: the same in rows. already_on: an alarm stood before it began.
    top_sensors: (sensor, mean share) over its anomalous verdicts, largest first.
    """

    file: str
    klass: str
    start: int
    rows: int
    delay_s: float | None
    delay_rows: int | None
    already_on: bool
    top_sensors: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class _Event:
    klass: str
    first: VerdictRow
    already_on: bool
    rows: int = 0
    alarm: VerdictRow | None = None
    alarm_row: int | None = None
    shares: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    alarms: int = 0


class Tally:
    """Counts the verdicts on one file as they come."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.verdicts: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._events: list[_Event] = []
        self._open = False
        self._alarm = False

    def add(self, rows: Iterable[VerdictRow]) -> None:
        """Rows in the order of the file."""
        for row in rows:
            self.verdicts[row.verdict] += 1
            if row.verdict != BASELINE:
                self._add(row)

    def _add(self, row: VerdictRow) -> None:
        alarm = row.verdict == ANOMALOUS
        faulty = row.label not in ("", NORMAL)
        if row.label:
            if faulty:
                self._counts["hits" if alarm else "misses"] += 1
            else:
                self._counts["false_alarms" if alarm else "quiet"] += 1
            self._counts["unjudged"] += row.verdict == CANNOT_JUDGE
        if faulty:
            if not self._open or self._events[-1].klass != row.label:
                self._events.append(_Event(row.label, row, self._alarm))
            event = self._events[-1]
            if alarm:
                if event.alarm is None:
                    event.alarm, event.alarm_row = row, event.rows
                event.alarms += 1
                for sensor, share in row.contributions:
                    event.shares[sensor] += share
            event.rows += 1
        self._open = faulty
        self._alarm = alarm

    @property
    def figures(self) -> RowFigures | None:
        """None for a file without labels."""
        figures = RowFigures(**self._counts)
        return figures if figures.rows else None

    @property
    def events(self) -> list[EventFigures]:
        return [self._figures(event) for event in self._events]

    def _figures(self, event: _Event) -> EventFigures:
        start, alarm = event.first.timestamp, event.alarm.timestamp if event.alarm else None
        shares = {sensor: share / event.alarms for sensor, share in event.shares.items()}
        return EventFigures(
            file=self.file,
            klass=event.klass,
            start=event.first.row,
            rows=event.rows,
            delay_s=None if start is None or alarm is None else alarm - start,
            delay_rows=event.alarm_row,
            already_on=event.already_on,
            top_sensors=tuple(sorted(shares.items(), key=lambda item: -item[1])),
        )


def pool(figures: Sequence[RowFigures]) -> RowFigures:
    """Counts summed over files, so that long files weigh more."""
    return sum(figures, RowFigures())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
