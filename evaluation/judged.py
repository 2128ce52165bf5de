"""One detector's verdicts on one recording, counted; and such counts summed up over recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.windows import Bools, Floats
from evaluation.detection import EventFigures, FalseAlarms, RowFigures, Tally, pool
from evaluation.persistence import EACH, AlarmAfter, alarms
from evaluation.ranges import range_f1
from evaluation.ranking import pr_auc, roc_auc, vus_pr
from evaluation.verdict_row import ANOMALOUS, BASELINE, NORMAL, VerdictRow


@dataclass(frozen=True, slots=True)
class Ranks:
    """How scores rank rows, over judged and labelled rows; None without both kinds."""

    auc: float | None = None
    pr_auc: float | None = None
    vus_pr: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One detector on one recording.

    rows: in order, rows of the baseline among them. figures: None without labels, or without a threshold.
    range_f1: of alarms over labelled rows; None without a fault.
    """

    rows: list[VerdictRow]
    ranks: Ranks
    figures: RowFigures | None
    events: list[EventFigures]
    false_alarms: FalseAlarms
    range_f1: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """How to count. period_s: from one judged row to the next, None without any notion of time.
    longest_buffer: see `vus_pr`, judged rows."""

    period_s: float | None
    longest_buffer: int


def rank(rows: Sequence[VerdictRow], measure: Measure) -> Ranks:
    """Ranks of the scores of one recording's rows, in order."""
    used = [row for row in rows if row.label and row.score is not None]
    truth: Bools = np.array([row.label != NORMAL for row in used], np.bool_)
    if truth.all() or not truth.any():
        return Ranks()
    scores: Floats = np.array([row.score for row in used], np.float64)
    return Ranks(roc_auc(truth, scores), pr_auc(truth, scores), vus_pr(truth, scores, measure.longest_buffer))


def count(
    file: str, rows: list[VerdictRow], ranks: Ranks, measure: Measure, rule: AlarmAfter = EACH
) -> Judged:
    """Count one recording's rows, in order, under a rule of persistence."""
    tally = Tally(file, rule, measure.period_s)
    tally.add(rows)
    pairs = [
        (row.label != NORMAL, alarm)
        for row, alarm in zip(rows, alarms(rows, rule), strict=True)
        if row.label and row.verdict != BASELINE
    ]
    truth, raised = np.array(pairs, np.bool_).reshape(-1, 2).T
    return Judged(rows, ranks, tally.figures, tally.events, tally.false_alarms, range_f1(truth, raised))


def without_threshold(rows: list[VerdictRow], ranks: Ranks) -> Judged:
    """A detector that can rank rows, but has no normal operation to set a threshold by."""
    return Judged(rows, ranks, None, [], FalseAlarms(), None)


def summarise(files: Sequence[Judged]) -> dict[str, Any]:
    """Flat figures of one detector over recordings; None where labels or time do not allow a figure.

    Rows and events are pooled. AUC, PR AUC, VUS-PR and range F1 are means over files, whose levels are not
    comparable.
    """
    judged = [row for item in files for row in item.rows if row.score is not None]
    summary: dict[str, Any] = {
        "judged_rows": len(judged),
        "alarm_share": _ratio(sum(row.verdict == ANOMALOUS for row in judged), len(judged)),
    }
    ranks = {
        "auc": _mean([item.ranks.auc for item in files]),
        "pr_auc": _mean([item.ranks.pr_auc for item in files]),
        "vus_pr": _mean([item.ranks.vus_pr for item in files]),
    }
    figures = [item.figures for item in files if item.figures is not None]
    if not figures:
        return summary | {key: value for key, value in ranks.items() if value is not None}
    pooled = pool(figures)
    events = [event for item in files for event in item.events]
    found = [event for event in events if event.delay_rows is not None]
    called = sum((item.false_alarms for item in files if item.figures is not None), FalseAlarms())
    return summary | {
        "f1": pooled.f1,
        "always_on_f1": pooled.always_on_f1,
        "false_alarm_rate": pooled.false_alarm_rate,
        "missed_alarm_rate": pooled.missed_alarm_rate,
        "precision": pooled.precision,
        "recall": pooled.recall,
        **ranks,
        "range_f1": _mean([item.range_f1 for item in files]),
        "events": len(events),
        "events_found": len(found),
        "event_recall": _ratio(len(found), len(events)),
        "median_delay_s": _median([event.delay_s for event in found]),
        "median_delay_rows": _median([event.delay_rows for event in found]),
        "false_alarms_raised": called.raised,
        "normal_hours": called.hours,
        "false_alarms_per_hour": called.per_hour,
        "false_alarms_per_1000_rows": called.per_1000_rows,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
