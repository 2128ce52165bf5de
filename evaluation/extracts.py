"""Stretches worth looking at: what was missed most, and what alarmed most for nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import Detector, Options, Window
from detector.windows import Bools, Floats
from evaluation.evaluate import Evaluation, FileResult
from evaluation.persistence import EACH, alarms
from evaluation.ranges import ranges
from evaluation.scoring import Passage
from evaluation.verdict_row import BASELINE, NORMAL, VerdictRow

MOST = 3
# What is drawn around a stretch, windows, and of a long one.
WINDOWS_AROUND, MOST_WINDOWS = 2, 14


@dataclass(frozen=True, slots=True)
class Extract:
    """A stretch of one recording.

    label: its fault, or `normal`. first, last: places in the file's `rows`, inclusive. rows: how many of them
    were missed, or were in false alarm. sensors: the most blamed there, at most three.
    """

    result: FileResult
    label: str
    first: int
    last: int
    rows: int
    sensors: tuple[str, ...]

    @property
    def first_row(self) -> int:
        """1-based data row of the file."""
        return self.result.rows[self.first].row

    @property
    def last_row(self) -> int:
        return self.result.rows[self.last].row


def worst_misses(evaluation: Evaluation, most: int = MOST) -> list[Extract]:
    """Faults with the most rows without an alarm, those never found first; one a file."""
    return _worst(evaluation, True, most)


def worst_false_alarms(evaluation: Evaluation, most: int = MOST) -> list[Extract]:
    """The longest alarms on rows labelled normal, one a file."""
    return _worst(evaluation, False, most)


def _worst(evaluation: Evaluation, faulty: bool, most: int) -> list[Extract]:
    rule = evaluation.alarm_after or EACH
    found: list[tuple[bool, int, Extract]] = []
    for result in evaluation.files:
        alarmed = np.array(alarms(result.rows, rule), np.bool_)
        own = [
            (faulty and bool(alarmed[extract.first : extract.last + 1].any()), -extract.rows, extract)
            for extract in _stretches(result, alarmed, faulty)
        ]
        found += sorted(own, key=lambda item: item[:2])[:1]
    return [extract for *_, extract in sorted(found, key=lambda item: item[:2])[:most]]


def _stretches(result: FileResult, alarmed: Bools, faulty: bool) -> list[Extract]:
    counted = np.array([bool(row.label) and row.verdict != BASELINE for row in result.rows], np.bool_)
    bad = np.array([row.label not in ("", NORMAL) for row in result.rows], np.bool_) & counted
    marked = bad if faulty else ~bad & counted & alarmed
    out = []
    for first, stop in ranges(marked):
        rows = int((~alarmed[first:stop]).sum()) if faulty else stop - first
        if rows:
            part = result.rows[first:stop]
            out.append(Extract(result, part[0].label, first, stop - 1, rows, most_blamed(part)))
    return out


def most_blamed(rows: Sequence[VerdictRow], most: int = 3) -> tuple[str, ...]:
    """Sensors by their total share over judged rows, alarms or not."""
    blame: dict[str, float] = defaultdict(float)
    for row in rows:
        for sensor, share in row.contributions:
            blame[sensor] += share
    return tuple(sorted(blame, key=lambda name: -blame[name])[:most])


def span(extract: Extract) -> slice:
    """Rows of the recording (0-based) to draw: the stretch and what is around it, cut where it is long."""
    passage = extract.result.passage
    around = WINDOWS_AROUND * passage.shape.steps
    place = places(passage)
    first, last = int(place[extract.first]), int(place[extract.last])
    start = max(first - around, 0)
    stop = min(last + around + 1, start + MOST_WINDOWS * passage.shape.steps, len(passage.recording.values))
    return slice(start, stop)


def expected_course(passage: Passage, detector: Detector, rows: slice) -> Floats:
    """What the model expected of these rows, (rows, sensors), engineering units.

    Windows side by side, each reconstructed on its own. NaN where there is no window to reconstruct, or
    a sensor is left out.
    """
    expected = np.full((rows.stop - rows.start, len(passage.recording.sensors)), np.nan)
    steps, least = passage.shape.steps, passage.shape.minimum_steps
    windows, places = [], []
    for run in passage.runs:
        start, stop = max(run.start, rows.start), min(run.stop, rows.stop)
        for first in range(start, stop, steps):
            until = min(first + steps, stop)
            # The last window of a run is drawn out to its full length backwards.
            begin = max(until - steps, run.start)
            if until - begin >= least:
                windows.append(Window(passage.recording.values[begin:until], passage.baseline))
                places.append((first, until))
    verdicts = detector.judge(windows, Options(reconstruct=True))
    for (first, until), verdict in zip(places, verdicts, strict=True):
        if verdict.expected is not None:
            expected[first - rows.start : until - rows.start] = verdict.expected[first - until :]
    return expected


def places(passage: Passage) -> NDArray[np.intp]:
    """Row of the recording (0-based) of each of a file's `rows`."""
    return np.concatenate([np.arange(passage.baseline_rows), passage.ends])
