"""A model's figures on recordings that it was not trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector import Detector, Options
from detector.windows import Floats
from evaluation.detection import EventFigures, RowFigures, Tally, pool
from evaluation.scoring import Cut, score_recording
from evaluation.verdict_row import ANOMALOUS, NORMAL, VerdictRow
from history.recording import Recording


@dataclass(frozen=True, slots=True)
class FileResult:
    """One recording, its rows judged.

    auc: of the score over judged, labelled rows; None without both kinds.
    """

    recording: Recording
    rows: list[VerdictRow]
    figures: RowFigures | None
    events: list[EventFigures]
    auc: float | None

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of this recording alone, as in `Evaluation.summary`."""
        return _summary([self])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All recordings, judged by one model at one alarm budget."""

    files: list[FileResult]
    false_alarm_rate_asked: float
    baseline_rows: int

    def summary(self) -> dict[str, Any]:
        """Flat figures for a manifest or a JSON file; None where the labels do not allow a figure.

        Rows are pooled; the AUC is the mean over files, as their levels are not comparable.
        """
        return {
            "files": len(self.files),
            "baseline_rows": self.baseline_rows,
            "false_alarm_rate_asked": self.false_alarm_rate_asked,
            **_summary(self.files),
        }


def _summary(files: Sequence[FileResult]) -> dict[str, Any]:
    judged = [row for result in files for row in result.rows if row.score is not None]
    summary: dict[str, Any] = {
        "judged_rows": len(judged),
        "alarm_share": _ratio(sum(row.verdict == ANOMALOUS for row in judged), len(judged)),
    }
    figures = [result.figures for result in files if result.figures is not None]
    if not figures:
        return summary
    pooled = pool(figures)
    events = [event for result in files for event in result.events]
    found = [event for event in events if event.delay_rows is not None]
    delays = [event.delay_s for event in found if event.delay_s is not None]
    aucs = [result.auc for result in files if result.auc is not None]
    return summary | {
        "f1": pooled.f1,
        "always_on_f1": pooled.always_on_f1,
        "false_alarm_rate": pooled.false_alarm_rate,
        "missed_alarm_rate": pooled.missed_alarm_rate,
        "precision": pooled.precision,
        "recall": pooled.recall,
        "auc": float(np.mean(aucs)) if aucs else None,
        "events": len(events),
        "events_found": len(found),
        "median_delay_s": float(np.median(delays)) if delays else None,
    }


def evaluate(
    detector: Detector,
    recordings: Sequence[Recording],
    baseline_rows: int = 0,
    false_alarm_rate: float | None = None,
    stride: int = 1,
    on_file: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Judge every row of every recording by the window that ends at it: no look-ahead, no point adjustment.

    baseline_rows: each recording is an asset commissioned from its first rows, which are then not judged;
    0 judges by the model's own baseline. Raises what `score_recording` raises.
    """
    options = Options(explain=True, false_alarm_rate=false_alarm_rate)
    results = []
    for recording in recordings:
        tally = Tally(recording.name)
        rows: list[VerdictRow] = []
        for part in score_recording(recording, detector, Cut(baseline_rows, stride), options):
            tally.add(part)
            rows += part
        results.append(
            FileResult(
                recording=recording,
                rows=rows,
                figures=tally.figures,
                events=tally.events,
                auc=_auc([row for row in rows if row.score is not None]),
            )
        )
        on_file(recording.name)
    rate = detector.manifest.default_false_alarm_rate if false_alarm_rate is None else false_alarm_rate
    return Evaluation(results, rate, baseline_rows)


def _auc(rows: Sequence[VerdictRow]) -> float | None:
    labelled = [row for row in rows if row.label]
    truth = np.array([row.label != NORMAL for row in labelled], np.bool_)
    if truth.all() or not truth.any():
        return None
    return roc_auc(truth, np.array([row.score for row in labelled], np.float64))


def roc_auc(truth: "np.ndarray[Any, np.dtype[np.bool_]]", scores: Floats) -> float:
    """Probability that a faulty row scores above a normal one, ties counting half (Mann and Whitney 1947)."""
    ordered = np.sort(scores[~truth])
    below = np.searchsorted(ordered, scores[truth], side="left")
    upto = np.searchsorted(ordered, scores[truth], side="right")
    return float((below + upto).mean() / (2 * len(ordered)))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
