"""Detection figures as tables for the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from cli.console import out

if TYPE_CHECKING:
    from evaluation.compare import Difference
    from evaluation.contest import Contest
    from evaluation.evaluate import Evaluation

Summary = Mapping[str, Any]
_COLUMNS = {
    "f1": "F1",
    "always_on_f1": "always-on F1",
    "false_alarm_rate": "false alarms",
    "missed_alarm_rate": "missed",
    "auc": "AUC",
    "events_found": "events",
    "median_delay_s": "delay, s",
    "alarm_share": "alarms",
    "judged_rows": "rows",
}
# Beside other detectors, always-on among them.
_BESIDE = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "false_alarm_rate": "false-alarm rate",
    "missed_alarm_rate": "missed-alarm rate",
    "auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "vus_pr": "VUS-PR",
    "range_f1": "range F1",
    "events_found": "faults found",
    "median_delay_s": "median delay, s",
    "false_alarms_per_hour": "false alarms / h",
    "false_alarms_per_1000_rows": "false alarms / 1,000 rows",
}


def figures_table(summaries: Mapping[str, Summary]) -> Table:
    """One row a summary (see evaluation.Evaluation.summary); only columns that any of them has."""
    columns = _known(_COLUMNS, summaries)
    if "f1" in columns:
        # Says little beside the rates, and a terminal is narrow.
        columns.remove("alarm_share")
    table = empty_table("Detection")
    table.add_column("", no_wrap=True)
    for key in columns:
        table.add_column(_COLUMNS[key], justify="right")
    for name, summary in summaries.items():
        table.add_row(name, *(cell(key, summary) for key in columns))
    return table


def detectors_table(summaries: Mapping[str, Summary], title: str) -> Table:
    """One column a detector, by its name in the library; one row a figure."""
    from evaluation.rivals import NAMES

    figures = _known(_BESIDE, summaries)
    if "false_alarms_per_hour" in figures:
        figures.remove("false_alarms_per_1000_rows")
    table = empty_table(title)
    table.add_column("", no_wrap=True)
    for name in summaries:
        table.add_column(NAMES.get(name, name), justify="right", overflow="fold", min_width=8)
    for key in figures:
        table.add_row(_BESIDE[key], *(cell(key, summary) for summary in summaries.values()))
    return table


def files_table(evaluation: "Evaluation") -> Table:
    """One row a file: the model's figures, with F1 and AUC of the plain detectors beside them."""
    from evaluation.judged import summarise
    from evaluation.rivals import ALWAYS_ON, MODEL, PCA, Z2

    short = {MODEL: "", ALWAYS_ON: "\non", PCA: "\nPCA", Z2: "\nz²"}
    names = list(evaluation.summaries())
    figures = [(f"F1{short[name]}", name, "f1") for name in names]
    figures += [(f"AUC{short[name]}", name, "auc") for name in names if name != ALWAYS_ON]
    figures += [
        ("false", MODEL, "false_alarm_rate"),
        ("missed", MODEL, "missed_alarm_rate"),
        ("delay\ns", MODEL, "median_delay_s"),
    ]
    table = empty_table("Files")
    # Eleven columns should fit a narrow terminal.
    table.padding = 0
    table.add_column("", overflow="fold")
    for head, *_ in figures:
        table.add_column(head, justify="right", no_wrap=True)
    for result in evaluation.files:
        summaries = {name: summarise([judged]) for name, judged in result.judged.items()}
        table.add_row(result.recording.name, *(cell(key, summaries[name]) for _, name, key in figures))
    return table


def print_contest(contest: "Contest") -> None:
    """The plain answer: does the model beat the plain detectors."""
    for match in (*contest.matches, *contest.behind_in):
        style = {True: "green", False: "bold red", None: "dim"}[match.beats]
        out.print(Text(str(match), style))


def differences_table(differences: "Sequence[Difference]") -> Table:
    """One row a figure of a model, as it differs from the first model, over files."""
    from evaluation.rivals import NAMES

    against = differences[0].against
    table = empty_table(f"Compared with {against}, file by file")
    table.padding = 0
    table.add_column("", overflow="fold")
    table.add_column("figure", overflow="fold")
    for head in ("mean", "95 % interval", "better", "worse", "equal"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    for item in differences:
        measured = item.paired
        interval = "–" if measured.low is None else f"{measured.low:+.3f} {measured.high:+.3f}"
        style = {"better": "green", "worse": "bold red"}.get(item.answer, "dim")
        table.add_row(
            NAMES.get(item.model, item.model),
            item.figure.name,
            "–" if measured.mean is None else f"{measured.mean:+.3f}",
            interval,
            str(item.better),
            str(item.worse),
            str(measured.equal),
            Text(item.answer, style),
        )
    return table


def empty_table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))


def cell(key: str, summary: Summary) -> str:
    """A figure of a summary, as the terminal shows it."""
    value = summary.get(key)
    if value is None:
        return "–"
    if key in _FORMATS:
        return _FORMATS[key](summary)
    return f"{value:.3f}"


_FORMATS: Mapping[str, Callable[[Summary], str]] = {
    "events_found": lambda summary: f"{summary['events_found']} of {summary['events']}",
    "judged_rows": lambda summary: f"{summary['judged_rows']:,}",
    "median_delay_s": lambda summary: f"{summary['median_delay_s']:.0f}",
    "false_alarms_per_hour": lambda summary: f"{summary['false_alarms_per_hour']:.1f}",
    "false_alarms_per_1000_rows": lambda summary: f"{summary['false_alarms_per_1000_rows']:.1f}",
}


def _known(keys: Iterable[str], summaries: Mapping[str, Summary]) -> list[str]:
    return [key for key in keys if any(summary.get(key) is not None for summary in summaries.values())]
