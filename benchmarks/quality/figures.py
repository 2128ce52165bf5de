"""Recordings judged at several alarm budgets, as figures that can be kept and summed up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector import Detector
from detector.errors import UnsupportedBudget
from evaluation.evaluate import Evaluation, FileResult, evaluate
from evaluation.judged import Judged, Measure, count
from evaluation.p_values import before_first_fault
from evaluation.persistence import AlarmAfter
from evaluation.ranking import roc_auc
from evaluation.rivals import MODEL
from evaluation.verdict_row import ANOMALOUS, NORMAL, VerdictRow
from history.recording import Recording

BUDGETS = (0.01, 0.02, 0.05, 0.06, 0.075, 0.08, 0.10)
RULES = (AlarmAfter(5, 10), AlarmAfter(10, 10))
# Budgets of the first rule beside the default: what persistence saves may be spent on a larger one.
PERSISTENT_BUDGETS = (0.06, 0.075, 0.08, 0.10)
# Names of settings, beside those of budgets and rules.
DEFAULT, PROBABLE = "default", "p >= 0.5"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many rows."""

    alarms: int
    rows: int

    def __add__(self, other: "Share") -> "Share":
        return Share(self.alarms + other.alarms, self.rows + other.rows)


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One recording. judged: by setting, then by detector, without the rows themselves. before_fault: alarms
    on judged rows ahead of the first fault, by budget and detector. probability: of a fault, of each judged
    and labelled row; faulty: what it was."""

    name: str
    judged: dict[str, dict[str, Judged]]
    before_fault: dict[str, dict[str, Share]]
    auc_of_probability: float | None
    probability: list[float]
    faulty: list[bool]


@dataclass(frozen=True, slots=True)
class Figures:
    """default: the model's own alarm budget. refused: the smallest budget that the model supports, by each
    that it refused."""

    default: float
    refused: dict[str, float]
    files: list[FileFigures]


def measure(
    detector: Detector,
    recordings: Sequence[Recording],
    baseline_rows: int,
    report: Callable[[tuple[str, str]], None],
) -> Figures:
    """Judge the recordings at the default budget and at each of BUDGETS. Raises what `evaluate` raises."""
    report(("stage", "Judging at the default budget"))
    first = evaluate(detector, recordings, baseline_rows)
    evaluations, refused = {DEFAULT: first}, {}
    for budget in BUDGETS:
        report(("stage", f"Judging at {100 * budget:g} %"))
        try:
            evaluations[str(budget)] = evaluate(detector, recordings, baseline_rows, budget)
        except UnsupportedBudget:
            by_asset = baseline_rows > 0
            refused[str(budget)] = detector.manifest.calibration.normal_operation(
                by_asset
            ).smallest_false_alarm_rate
    files = [_file(number, evaluations) for number in range(len(recordings))]
    return Figures(first.false_alarm_rate_asked, refused, files)


def _file(number: int, evaluations: dict[str, Evaluation]) -> FileFigures:
    results = {setting: evaluation.files[number] for setting, evaluation in evaluations.items()}
    first = results[DEFAULT]
    judged = {setting: dict(result.judged) for setting, result in results.items()}
    measure = _measure(first, evaluations[DEFAULT])
    for rule in RULES:
        judged[str(rule)] = _persistent(first, rule, measure)
    for budget in PERSISTENT_BUDGETS:
        if str(budget) in results:
            judged[persistent(RULES[0], budget)] = _persistent(results[str(budget)], RULES[0], measure)
    rows = first.judged[MODEL].rows
    probable = [_by_probability(row) for row in rows]
    judged[PROBABLE] = {MODEL: count(first.recording.name, probable, first.judged[MODEL].ranks, measure)}
    used = [row for row in rows if row.label and row.probabilities is not None]
    probability = [1.0 - row.probabilities[0] for row in used if row.probabilities]
    faulty = [row.label != NORMAL for row in used]
    truth = np.array(faulty, np.bool_)
    both = truth.any() and not truth.all()
    return FileFigures(
        name=first.recording.name,
        judged={
            setting: {name: _without_rows(item) for name, item in by_name.items()}
            for setting, by_name in judged.items()
        },
        before_fault={
            setting: {name: _share(item.rows) for name, item in result.judged.items()}
            for setting, result in results.items()
        },
        auc_of_probability=roc_auc(truth, np.array(probability)) if both else None,
        probability=[round(value, 6) for value in probability],
        faulty=faulty,
    )


def persistent(rule: AlarmAfter, budget: float) -> str:
    """Name of the setting of a rule at a budget that is not the default."""
    return f"{rule} at {budget}"


def _persistent(result: FileResult, rule: AlarmAfter, measure: Measure) -> dict[str, Judged]:
    """By detector."""
    return {
        name: count(item.rows[0].file, item.rows, item.ranks, measure, rule)
        for name, item in result.judged.items()
        if item.figures is not None
    }


def _measure(result: FileResult, evaluation: Evaluation) -> Measure:
    shape = evaluation.manifest.window
    return Measure(result.recording.period_s or shape.period_s, shape.steps)


def _by_probability(row: VerdictRow) -> VerdictRow:
    """The row as it would be called by its probability alone."""
    if row.probabilities is None:
        return row
    return replace(row, verdict=NORMAL if row.probabilities[0] > 0.5 else ANOMALOUS)


def _without_rows(item: Judged) -> Judged:
    """Counts alone: the rows are many, and whatever is summed up later needs none of them."""
    return replace(item, rows=[], events=[replace(event, top_sensors=()) for event in item.events])


def _share(rows: Sequence[VerdictRow]) -> Share:
    used = [row for row in before_first_fault(rows) if row.label == NORMAL and row.score is not None]
    return Share(sum(row.verdict == ANOMALOUS for row in used), len(used))
