"""A model's figures on recordings that it was not trained on, beside those of plain detectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detector import Detector, Options
from detector.manifest import Manifest
from evaluation.contest import Contest, contest
from evaluation.detection import EventFigures, RowFigures
from evaluation.judged import Judged, Measure, count, rank, summarise, without_threshold
from evaluation.persistence import AlarmAfter
from evaluation.rivals import MODEL, Rivals
from evaluation.scoring import Cut, Passage, faulty_rows, prepare, score_passage
from evaluation.verdict_row import VerdictRow
from history.recording import Recording


@dataclass(frozen=True, slots=True)
class FileResult:
    """One recording, its rows judged.

    passage: the recording as the model met it. judged: by detector, the model's first, an alarm for each
    anomalous window. persisted: the same under the rule of persistence, empty unless one was given.
    """

    recording: Recording
    passage: Passage
    judged: Mapping[str, Judged]
    persisted: Mapping[str, Judged]

    @property
    def rows(self) -> list[VerdictRow]:
        """The model's."""
        return self.judged[MODEL].rows

    @property
    def figures(self) -> RowFigures | None:
        return self.judged[MODEL].figures

    @property
    def events(self) -> list[EventFigures]:
        return self.judged[MODEL].events

    @property
    def auc(self) -> float | None:
        return self.judged[MODEL].ranks.auc

    @property
    def summary(self) -> dict[str, Any]:
        """The model's figures on this recording alone, as in `Evaluation.summary`."""
        return summarise([self.judged[MODEL]])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All recordings, judged by one model at one alarm budget.

    references_from: where the plain detectors and their thresholds come from, in words. notes: what a reader
    must know of the figures beside that.
    """

    manifest: Manifest
    files: list[FileResult]
    false_alarm_rate_asked: float
    baseline_rows: int
    stride: int
    alarm_after: AlarmAfter | None
    references_from: str
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """The model's figures, flat, for a manifest or a JSON file; None where the labels do not allow one.

        Rows are pooled; the AUC is the mean over files, as their levels are not comparable.
        """
        return {
            "files": len(self.files),
            "baseline_rows": self.baseline_rows,
            "false_alarm_rate_asked": self.false_alarm_rate_asked,
            **self.summaries()[MODEL],
        }

    def summaries(self, persisted: bool = False) -> dict[str, dict[str, Any]]:
        """Figures by detector, see `judged.summarise`. persisted: under the rule of persistence."""
        files = [result.persisted if persisted else result.judged for result in self.files]
        names = files[0] if files else ()
        return {name: summarise([judged[name] for judged in files]) for name in names}

    def contest(self) -> Contest:
        """Whether the model beats the plain detectors in mean AUC."""
        by_file = [
            {name: summarise([judged]) for name, judged in result.judged.items()} for result in self.files
        ]
        return contest(self.summaries(), by_file)


def evaluate(
    detector: Detector,
    recordings: Sequence[Recording],
    baseline_rows: int = 0,
    false_alarm_rate: float | None = None,
    stride: int = 1,
    alarm_after: AlarmAfter | None = None,
    on_file: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Judge every row of every recording by the window that ends at it: no look-ahead, no point adjustment.

    baseline_rows: each recording is an asset commissioned from its first rows, which are then not judged;
    0 judges by the model's own baseline. Raises what `prepare` raises, UnsupportedBudget, and EvaluationError
    for references that cannot be read.
    """
    detector.score_limit(false_alarm_rate, by_asset=baseline_rows > 0)
    rate = _budget(detector, false_alarm_rate, baseline_rows > 0)
    rivals = Rivals.of(detector, rate)
    results = []
    for recording in recordings:
        passage = prepare(recording, detector, Cut(baseline_rows, stride))
        results.append(_file(recording, passage, detector, rivals, false_alarm_rate, stride, alarm_after))
        on_file(recording.name)
    return Evaluation(
        detector.manifest,
        results,
        rate,
        baseline_rows,
        stride,
        alarm_after,
        rivals.origin(baseline_rows),
        _notes(results, detector.manifest, stride),
    )


def _file(
    recording: Recording,
    passage: Passage,
    detector: Detector,
    rivals: Rivals,
    false_alarm_rate: float | None,
    stride: int,
    alarm_after: AlarmAfter | None,
) -> FileResult:
    options = Options(explain=True, false_alarm_rate=false_alarm_rate)
    rows = [row for part in score_passage(passage, detector, options) for row in part]
    shape = detector.manifest.window
    period = recording.period_s or shape.period_s
    measure = Measure(None if period is None else period * stride, max(shape.steps // stride, 1))
    judged = {MODEL: count(recording.name, rows, rank(rows, measure), measure)}
    for name, rival in rivals.judge(passage, detector, rows).items():
        ranks = rank(rival.rows, measure)
        judged[name] = (
            without_threshold(rival.rows, ranks)
            if rival.limit is None
            else count(recording.name, rival.rows, ranks, measure)
        )
    persisted = {}
    if alarm_after is not None:
        persisted = {
            name: item
            if item.figures is None
            else count(recording.name, item.rows, item.ranks, measure, alarm_after)
            for name, item in judged.items()
        }
    return FileResult(recording, passage, judged, persisted)


def _budget(detector: Detector, asked: float | None, by_asset: bool) -> float:
    if asked is not None:
        return asked
    smallest = detector.manifest.calibration.normal_operation(by_asset).smallest_false_alarm_rate
    return max(detector.manifest.default_false_alarm_rate, smallest)


def _notes(results: Sequence[FileResult], manifest: Manifest, stride: int) -> tuple[str, ...]:
    notes = []
    for result in results:
        rows = result.passage.baseline_rows
        faulty = faulty_rows(result.recording, rows)
        if faulty:
            notes.append(
                f"{result.recording.name}: {faulty} of the {rows} rows of its baseline are labelled as"
                " faulty, and were taken for normal."
            )
    without = [result.recording.name for result in results if result.recording.period_s is None]
    period = manifest.window.period_s
    if without:
        names = ", ".join(without[:3]) + (" and more" if len(without) > 3 else "")
        notes.append(
            f"No time stamps in {names}: false alarms are counted per 1,000 rows, not per hour."
            if period is None
            else f"No time stamps in {names}: time follows from the model's sampling period, {period:g} s."
        )
    if stride > 1:
        notes.append(f"Only every {stride}. row is judged: events, delays and alarms are those of such rows.")
    return tuple(notes)
