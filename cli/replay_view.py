"""A replay in the terminal: a strip of verdicts per file while it runs, figures at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.console import VERDICT_STYLES, out
from evaluation.detection import FalseAlarms, RowFigures, Tally, pool
from evaluation.persistence import AlarmAfter
from evaluation.verdict_row import ANOMALOUS, BASELINE, CANNOT_JUDGE, NORMAL, VerdictRow

# The strip takes what the name and the counts leave of the terminal's width, but within these bounds.
STRIP_CELLS = (20, 80)
NAME_CELLS, COUNT_CELLS = 20, 40
_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class _Cell:
    judged: int = 0
    alarms: int = 0
    unjudged: int = 0
    baseline: int = 0
    faulty: bool = False


class Strip:
    """A file as a line of cells, each as high as its share of anomalous rows; labelled faults underlined."""

    def __init__(self, rows: int, cells: int) -> None:
        self._rows = max(rows, 1)
        self._done = 0
        self._cells = [_Cell() for _ in range(min(cells, self._rows))]

    def add(self, rows: Sequence[VerdictRow]) -> None:
        for row in rows:
            cell = self._cells[min(self._done * len(self._cells) // self._rows, len(self._cells) - 1)]
            cell.judged += row.verdict in (NORMAL, ANOMALOUS)
            cell.alarms += row.verdict == ANOMALOUS
            cell.unjudged += row.verdict == CANNOT_JUDGE
            cell.baseline += row.verdict == BASELINE
            cell.faulty |= row.label not in ("", NORMAL)
            self._done += 1

    def text(self) -> Text:
        strip = Text()
        for cell in self._cells:
            symbol, style = _symbol(cell)
            strip.append(symbol, style + (" underline" if cell.faulty else ""))
        return strip


def _symbol(cell: _Cell) -> tuple[str, str]:
    if cell.judged:
        share = cell.alarms / cell.judged
        level = _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]
        return level, VERDICT_STYLES[ANOMALOUS if cell.alarms else NORMAL]
    if cell.unjudged:
        return "?", VERDICT_STYLES[CANNOT_JUDGE]
    return ("─", VERDICT_STYLES[BASELINE]) if cell.baseline else ("·", "dim")


class ReplayView:
    """Shows the file that is playing live, and leaves a line for each that has ended."""

    def __init__(self) -> None:
        self._live = Live(console=out, auto_refresh=False, transient=True)
        self._strip = Strip(1, 1)
        self._tally = Tally("")

    def __enter__(self) -> "ReplayView":
        if out.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, tally: Tally, rows: int) -> None:
        """A file of so many rows begins."""
        least, most = STRIP_CELLS
        cells = min(max(out.width - NAME_CELLS - COUNT_CELLS - 2, least), most)
        self._tally, self._strip = tally, Strip(rows, cells)

    def add(self, rows: Sequence[VerdictRow]) -> None:
        self._strip.add(rows)
        if self._live.is_started and rows:
            self._live.update(Group(self._line(), _newest(rows[-1])), refresh=True)

    def end(self) -> None:
        """The file has ended."""
        out.print(self._line())

    def _line(self) -> RenderableType:
        counts = self._tally.verdicts
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_column(width=NAME_CELLS, no_wrap=True, overflow="ellipsis")
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True)
        words = [
            Text(f"{counts[verdict]} {verdict.replace('_', ' ')}", VERDICT_STYLES[verdict])
            for verdict in (NORMAL, ANOMALOUS, CANNOT_JUDGE)
            if counts[verdict]
        ]
        line.add_row(Text(self._tally.file), self._strip.text(), Text(" ").join(words))
        return line


def _newest(row: VerdictRow) -> Text:
    text = Text(f"row {row.row}: ")
    text.append(row.verdict, VERDICT_STYLES[row.verdict])
    if row.p_value is not None:
        text.append(f"  p {row.p_value:.2g}  error {row.reconstruction_error:.2f}")
    if row.verdict == ANOMALOUS and row.contributions:
        sensor, share = row.contributions[0]
        text.append(f"  most by {sensor} ({share:.0%})")
    return text


def print_report(tallies: Sequence[Tally], rule: AlarmAfter | None = None) -> None:
    """Detection figures, where the files have labels. rule: of persistence, that the tallies count by."""
    labelled = [(tally, figures) for tally in tallies if (figures := tally.figures) is not None]
    if not labelled:
        return
    after = "" if rule is None else f", alarms after {rule} windows"
    table = _table(f"Rows, each judged by the window that ends at it{after}")
    table.add_column("file", overflow="fold")
    for name in (
        "rows",
        "faulty",
        "false\nalarms",
        "missed",
        "precision",
        "recall",
        "F1",
        "F1 of\nalways-on",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for tally, figures in labelled:
        table.add_row(Text(tally.file), *_cells(figures))
    pooled = pool([figures for _, figures in labelled])
    if len(labelled) > 1:
        table.add_section()
        table.add_row("all", *_cells(pooled), style="bold")
    out.print()
    out.print(table)
    if pooled.unjudged:
        out.print(
            f"{pooled.unjudged} rows could not be judged; in a fault they count as missed.", style="dim"
        )
    _print_false_alarms(sum((tally.false_alarms for tally, _ in labelled), FalseAlarms()))
    _print_events(tallies, after)


def _print_false_alarms(alarms: FalseAlarms) -> None:
    if alarms.per_hour is not None:
        rate = f"{alarms.per_hour:.1f} an hour of normal operation"
    elif alarms.per_1000_rows is not None:
        rate = f"{alarms.per_1000_rows:.1f} in 1,000 rows of normal operation"
    else:
        return
    out.print(f"{alarms.raised} false alarms raised: {rate}.", style="dim")


def _print_events(tallies: Sequence[Tally], after: str) -> None:
    events = [event for tally in tallies for event in tally.events]
    if not events:
        return
    table = _table(f"Faults{after}")
    table.add_column("file", overflow="fold")
    table.add_column("fault", overflow="fold")
    table.add_column("from\nrow", justify="right", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("first alarm\nafter")
    table.add_column("most contributing sensors", overflow="fold")
    for event in events:
        if event.delay_rows is None:
            delay = Text("missed", "bold red")
        else:
            seconds = f"{event.delay_s:g} s" if event.delay_s is not None else f"{event.delay_rows} rows"
            delay = Text(seconds + (" (alarm already on)" if event.already_on else ""))
        sensors = ", ".join(f"{sensor} {share:.0%}" for sensor, share in event.top_sensors[:3])
        table.add_row(
            Text(event.file), Text(event.klass), str(event.start), str(event.rows), delay, Text(sensors)
        )
    out.print()
    out.print(table)


def _cells(figures: RowFigures) -> list[str]:
    shares = (
        figures.false_alarm_rate,
        figures.missed_alarm_rate,
        figures.precision,
        figures.recall,
        figures.f1,
        figures.always_on_f1,
    )
    return [
        str(figures.rows),
        str(figures.hits + figures.misses),
        *("-" if share is None else f"{share:.3f}" for share in shares),
    ]


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
