"""An evaluation's figures as tables of a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.page import DASH, Cell, Row, number, percent, table
from evaluation.rivals import ALWAYS_ON, MODEL, NAMES, PCA, Z2

Summary = Mapping[str, Any]


def found(summary: Summary) -> str:
    return f"{summary['events_found']} of {summary['events']}" if summary.get("events") else DASH


def delay(summary: Summary) -> str:
    """Median, in seconds where time is known."""
    if summary.get("median_delay_s") is not None:
        return f"{summary['median_delay_s']:.0f} s"
    rows = summary.get("median_delay_rows")
    return DASH if rows is None else f"{rows:.0f} rows"


def calls(summary: Summary) -> str:
    if summary.get("false_alarms_per_hour") is not None:
        return f"{summary['false_alarms_per_hour']:.1f} /h"
    rows = summary.get("false_alarms_per_1000_rows")
    return DASH if rows is None else f"{rows:.1f} /1,000 rows"


@dataclass(frozen=True, slots=True)
class Figure:
    """A column. whole: whether it weighs misses against false alarms, so that one detector can be called
    better than another by it alone; larger is then better."""

    head: str
    show: Callable[[Summary], str]
    key: str
    whole: bool = False


def _plain(head: str, key: str, whole: bool = False) -> Figure:
    return Figure(head, lambda summary: number(summary.get(key)), key, whole)


F1 = _plain("F1", "f1", whole=True)
AUC = _plain("ROC AUC", "auc", whole=True)
FALSE = Figure("false alarms", lambda s: percent(s.get("false_alarm_rate")), "false_alarm_rate")
MISSED = Figure("missed", lambda s: percent(s.get("missed_alarm_rate")), "missed_alarm_rate")
RANKS = (_plain("PR AUC", "pr_auc", True), _plain("VUS-PR", "vus_pr", True))
RANGES = _plain("range F1", "range_f1", whole=True)
FOUND = Figure("faults found", found, "events_found")
DELAY = Figure("delay", delay, "median_delay_s")
CALLS = Figure("false alarms raised", calls, "false_alarms_per_hour")
FIGURES = (
    F1,
    _plain("precision", "precision"),
    _plain("recall", "recall"),
    FALSE,
    MISSED,
    AUC,
    *RANKS,
    RANGES,
    FOUND,
    DELAY,
    CALLS,
)


def detectors_table(summaries: Mapping[str, Summary], skip: Sequence[str] = ()) -> str:
    """One row a detector, the model first. A figure in which another is at least as good is shaded."""
    figures = [figure for figure in FIGURES if figure.key not in skip]
    own = summaries[MODEL]
    rows = [
        Row(
            [NAMES[name], *(_against(figure, summary, own, name) for figure in figures)],
            "strong" if name == MODEL else "",
        )
        for name, summary in summaries.items()
    ]
    return table(["detector:", *(figure.head for figure in figures)], rows)


def files_table(files: Mapping[str, Summary], references: Mapping[str, Any], total: Summary) -> str:
    """One row a file and one for all: the model's figures, F1 and AUC of the others beside them.

    references: as in the record.
    """
    rivals = {name: item for name, item in references.items() if name in (ALWAYS_ON, PCA, Z2)}
    ranked = [name for name in rivals if name != ALWAYS_ON]
    rest = (FALSE, MISSED, *RANKS, RANGES, FOUND, DELAY, CALLS)

    def row(label: str, own: Summary, others: Mapping[str, Summary], style: str = "") -> Row:
        cells: list[Cell | str] = [label, F1.show(own)]
        cells += [_against(F1, others[name], own, name) for name in rivals]
        cells += [AUC.show(own)]
        cells += [_against(AUC, others[name], own, name) for name in ranked]
        return Row([*cells, *(figure.show(own) for figure in rest)], style)

    rows = [
        row(file, own, {name: item["files"][file] for name, item in rivals.items()})
        for file, own in files.items()
    ]
    rows.append(row("all", total, {name: item["all"] for name, item in rivals.items()}, "strong rule"))
    heads = ["file:", "model", *(NAMES[name] for name in rivals), "model", *(NAMES[name] for name in ranked)]
    groups = [("", 1), ("F1", 1 + len(rivals)), ("ROC AUC", 1 + len(ranked)), ("model", len(rest))]
    return table([*heads, *(figure.head for figure in rest)], rows, groups)


def faults_table(faults: Sequence[Mapping[str, Any]]) -> str:
    """One row a kind of fault, as in the record."""
    names = [name for name in faults[0]["references"] if name != ALWAYS_ON]
    rows = [
        Row(
            [
                fault["klass"],
                str(fault["files"]),
                f"{fault['found']} of {fault['events']}",
                *(f"{fault['references'][name]['found']} of {fault['events']}" for name in names),
                percent(fault["recall"]),
                *(percent(fault["references"][name]["recall"]) for name in names),
                delay(fault),
                ", ".join(f"{sensor} {share:.0%}" for sensor, share in fault["top_sensors"][:3]) or DASH,
            ]
        )
        for fault in faults
    ]
    own = ["model", *(NAMES[name] for name in names)]
    groups = [("", 2), ("events found", len(own)), ("share of rows found", len(own)), ("model", 2)]
    return table(["fault:", "files", *own, *own, "delay", "blamed during alarms:"], rows, groups)


def confusion_table(confusion: Mapping[str, Any]) -> str:
    """Rows are what was, columns what it was called, with each row's shares."""
    called = confusion["called"]
    rows = []
    for label, counts in zip(confusion["truth"], confusion["counts"], strict=True):
        total = max(sum(counts), 1)
        cells: list[Cell | str] = [label]
        for name, count in zip(called, counts, strict=True):
            # A fault that the model does not know by name is called rightly when it is called a fault at all.
            known = label in called
            right = name == label if known else name not in ("normal", "cannot_judge")
            style = "right" if right else "wrong" if count else ""
            cells.append(Cell(f"{count:,}  ({count / total:.1%})", style))
        rows.append(Row([*cells, f"{sum(counts):,}"]))
    heads = ["labelled:", *(name.replace("_", " ") for name in called), "rows"]
    return table(heads, rows, [("", 1), ("called", len(called)), ("", 1)])


def classes_table(classes: Sequence[Mapping[str, Any]]) -> str:
    """Precision, recall and F1 of each class against all others."""
    rows = [
        Row(
            [
                item["klass"],
                f"{item['rows']:,}",
                *(number(item[key]) for key in ("precision", "recall", "f1")),
            ]
        )
        for item in classes
    ]
    return table(["class:", "rows", "precision", "recall", "F1"], rows)


def _against(figure: Figure, summary: Summary, own: Summary, name: str) -> Cell:
    value, model = summary.get(figure.key), own.get(figure.key)
    behind = name != MODEL and figure.whole and value is not None and model is not None and value >= model
    return Cell(figure.show(summary), "behind" if behind else "")
