"""Detection figures as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

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


def figures_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a summary (see evaluation.Evaluation.summary); only columns that any of them has."""
    columns = [key for key in _COLUMNS if any(summary.get(key) is not None for summary in summaries.values())]
    if "f1" in columns:
        # Says little beside the rates, and a terminal is narrow.
        columns.remove("alarm_share")
    table = Table(box=box.SIMPLE_HEAD, title="Detection", title_justify="left", pad_edge=False)
    table.add_column("", no_wrap=True)
    for key in columns:
        table.add_column(_COLUMNS[key], justify="right")
    for name, summary in summaries.items():
        table.add_row(name, *(_cell(key, summary) for key in columns))
    return table


def _cell(key: str, summary: Mapping[str, Any]) -> str:
    value = summary.get(key)
    if value is None:
        return "–"
    if key == "events_found":
        return f"{value} of {summary['events']}"
    if key == "judged_rows":
        return f"{value:,}"
    return f"{value:.0f}" if key == "median_delay_s" else f"{value:.3f}"
