"""How well verdicts agree with a file's labels, row by row and event by event."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evaluation.persistence import EACH, AlarmAfter, Persistence, begins_run
from evaluation.verdict_row import BASELINE, CANNOT_JUDGE, NORMAL, VerdictRow


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

    start: first row of it, 1-based. alarm_rows: how many of its rows had an alarm. delay_s: from its first
    row to its first alarm, None when missed, or when neither the file nor the model tells the time;
    delay_rows: the same in rows. already_on: an alarm stood before it began.
    top_sensors: (sensor, mean share) over its rows with an alarm, largest first.
    """

    file: str
    klass: str
    start: int
    rows: int
    alarm_rows: int
    delay_s: float | None
    delay_rows: int | None
    already_on: bool
    top_sensors: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often somebody is called for nothing.

    raised: runs of consecutive alarms that begin on a row labelled normal, gaps ending a run. An alarm that
        outlasts its fault is not raised anew: its rows count in the false-alarm rate alone.
    normal_rows: judged or not, labelled normal. hours: that they last, None without any notion of time.
    """

    raised: int = 0
    normal_rows: int = 0
    hours: float | None = 0.0

    def __add__(self, other: "FalseAlarms") -> "FalseAlarms":
        known = self.hours is not None and other.hours is not None
        return FalseAlarms(
            self.raised + other.raised,
            self.normal_rows + other.normal_rows,
            (self.hours or 0.0) + (other.hours or 0.0) if known else None,
        )

    @property
    def per_hour(self) -> float | None:
        return self.raised / self.hours if self.hours else None

    @property
    def per_1000_rows(self) -> float | None:
        return 1000.0 * self.raised / self.normal_rows if self.normal_rows else None


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
    """Counts the verdicts on one file as they come.

    rule: which anomalous verdicts make an alarm. period_s: from one judged row to the next, where the file
    or the model says so.
    """

    def __init__(self, file: str, rule: AlarmAfter = EACH, period_s: float | None = None) -> None:
        self.file = file
        self.verdicts: Counter[str] = Counter()
        self._period_s = period_s
        self._persistence = Persistence(rule)
        self._counts: Counter[str] = Counter()
        self._raised = 0
        self._events: list[_Event] = []
        self._open = False
        self._alarm = False

    def add(self, rows: Iterable[VerdictRow]) -> None:
        """Rows in the order of the file."""
        for row in rows:
            self.verdicts[row.verdict] += 1
            alarm = self._persistence.add(row)
            if row.verdict != BASELINE:
                self._add(row, alarm)

    def _add(self, row: VerdictRow, alarm: bool) -> None:
        faulty = row.label not in ("", NORMAL)
        if row.label:
            if faulty:
                self._counts["hits" if alarm else "misses"] += 1
            else:
                self._counts["false_alarms" if alarm else "quiet"] += 1
                self._raised += alarm and (begins_run(row) or not self._alarm)
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
    def false_alarms(self) -> FalseAlarms:
        rows = self._counts["false_alarms"] + self._counts["quiet"]
        hours = None if self._period_s is None else rows * self._period_s / 3600.0
        return FalseAlarms(self._raised, rows, hours)

    @property
    def events(self) -> list[EventFigures]:
        return [self._figures(event) for event in self._events]

    def _figures(self, event: _Event) -> EventFigures:
        shares = {sensor: share / event.alarms for sensor, share in event.shares.items()}
        return EventFigures(
            file=self.file,
            klass=event.klass,
            start=event.first.row,
            rows=event.rows,
            alarm_rows=event.alarms,
            delay_s=self._delay_s(event),
            delay_rows=event.alarm_row,
            already_on=event.already_on,
            top_sensors=tuple(sorted(shares.items(), key=lambda item: -item[1])),
        )

    def _delay_s(self, event: _Event) -> float | None:
        if event.alarm is None or event.alarm_row is None:
            return None
        start, alarm = event.first.timestamp, event.alarm.timestamp
        if start is not None and alarm is not None:
            return alarm - start
        return None if self._period_s is None else event.alarm_row * self._period_s


def pool(figures: Sequence[RowFigures]) -> RowFigures:
    """Counts summed over files, so that long files weigh more."""
    return sum(figures, RowFigures())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
