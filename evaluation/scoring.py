"""A recording through a model: every row judged by the window that ends at it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector import Baseline, Detector, Options, Verdict, Window
from detector.errors import BaselineRefused, WrongSamplingPeriod
from detector.manifest import WindowShape
from detector.windows import Floats, same_period, segments, window_ends, windows_ending_at
from evaluation.errors import EvaluationError
from evaluation.verdict_row import BASELINE, CANNOT_JUDGE, NORMAL, TOO_SHORT, VerdictRow
from history.recording import Recording

# What is doubtful, but does not stop the work, goes to whoever listens to this logger.
warn = logging.getLogger(__name__).warning

# Windows cut at once: memory is bounded by this, not by the length of the file.
CHUNK_WINDOWS = 1024


@dataclass(frozen=True, slots=True)
class Cut:
    """How a file is cut.

    baseline_rows: of the beginning, known to be normal; 0 judges by the model's own baseline.
    stride: rows from one judged window to the next.
    """

    baseline_rows: int = 0
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Passage:
    """A recording as one model meets it: its sensors in the model's order, its baseline, its windows.

    ends: 0-based rows at which a window ends and that are to be judged, ascending.
    """

    recording: Recording
    baseline: Baseline | None
    baseline_rows: int
    runs: tuple[slice, ...]
    ends: NDArray[np.intp]
    shape: WindowShape

    def windows(self, ends: NDArray[np.intp]) -> list[Floats]:
        """The windows, (steps, sensors) each, that end at these rows."""
        return windows_ending_at(self.recording.values, self.runs, ends, self.shape.steps)

    def chunks(self) -> Iterator[NDArray[np.intp]]:
        """`ends`, as many at a time as memory should hold windows of."""
        for first in range(0, len(self.ends), CHUNK_WINDOWS):
            yield self.ends[first : first + CHUNK_WINDOWS]


def prepare(recording: Recording, detector: Detector, cut: Cut) -> Passage:
    """Raises WrongSamplingPeriod, EvaluationError, HistoryError, each naming the recording."""
    shape = detector.manifest.window
    aligned = fit_to_model(recording, detector.sensors, shape.period_s)
    baseline = commission(aligned, detector, cut.baseline_rows) if cut.baseline_rows else None
    runs = segments(aligned.timestamps, len(aligned.values), shape.period_s, shape.max_gap_periods)
    ends = window_ends(runs, 1, cut.stride)
    return Passage(aligned, baseline, cut.baseline_rows, tuple(runs), ends[ends >= cut.baseline_rows], shape)


def score_recording(
    recording: Recording, detector: Detector, cut: Cut, options: Options
) -> Iterator[list[VerdictRow]]:
    """Verdicts on a recording, in chunks, in the order of its rows. Raises what `prepare` raises."""
    yield from score_passage(prepare(recording, detector, cut), detector, options)


def score_passage(passage: Passage, detector: Detector, options: Options) -> Iterator[list[VerdictRow]]:
    """Verdicts on a recording that is prepared for the detector, in chunks.

    Rows of the baseline come first, as `baseline`. A row with less than the model's minimum of steps
    before it (at the beginning, or after a gap) is `cannot_judge`, never left out.
    """
    recording, least = passage.recording, passage.shape.minimum_steps
    yield [describe(recording, row, BASELINE) for row in range(passage.baseline_rows)]
    for part in passage.chunks():
        windows = passage.windows(part)
        long_enough = [Window(w, passage.baseline) for w in windows if len(w) >= least]
        verdicts = iter(detector.judge(long_enough, options))
        yield [
            judged(recording, row, next(verdicts))
            if len(window) >= least
            else describe(recording, row, CANNOT_JUDGE, TOO_SHORT)
            for row, window in zip(part.tolist(), windows, strict=True)
        ]


def fit_to_model(recording: Recording, sensors: Sequence[str], period_s: float | None) -> Recording:
    """The model's sensors in the model's order; says which are missing. Raises WrongSamplingPeriod."""
    check_period(recording, period_s)
    missing = [name for name in sensors if name not in recording.sensors]
    aligned = recording.select(sensors)
    if missing:
        warn(f"{recording.name}: judged without {', '.join(missing)}, which it does not have")
    return aligned


def commission(recording: Recording, detector: Detector, rows: int) -> Baseline:
    """The asset's baseline from the first rows. Raises EvaluationError, naming the file."""
    if rows >= len(recording.values):
        raise EvaluationError(
            f"{recording.name}: {len(recording.values)} rows, so a baseline of {rows} leaves none"
        )
    warn_if_faulty(recording, rows)
    times = recording.timestamps
    try:
        return detector.commission(recording.values[:rows], None if times is None else times[:rows])
    except BaselineRefused as error:
        raise EvaluationError(f"{recording.name}: no baseline from its first {rows} rows: {error}") from None


def warn_if_faulty(recording: Recording, rows: int) -> None:
    """A fault among the rows of a baseline would be learnt as normal, which must not happen silently."""
    faulty = faulty_rows(recording, rows)
    if faulty:
        warn(f"{recording.name}: {faulty} of the {rows} rows of its baseline are labelled as faulty")


def faulty_rows(recording: Recording, rows: int) -> int:
    """How many of the first rows are labelled as a fault."""
    if recording.labels is None:
        return 0
    return sum(label not in ("", NORMAL) for label in recording.labels[:rows].tolist())


def check_period(recording: Recording, expected: float | None) -> None:
    """Raises WrongSamplingPeriod, naming the file."""
    given = recording.period_s
    if given is None or expected is None or same_period(given, expected):
        return
    raise WrongSamplingPeriod(
        f"{recording.name}: one reading every {given:g} s, the model expects one every {expected:g} s",
        place=recording.name,
        expected=f"a sampling period of {expected:g} s",
    )


def describe(recording: Recording, row: int, verdict: str, *issues: str) -> VerdictRow:
    """A row without the numbers of a judged one. row: 0-based."""
    times, labels = recording.timestamps, recording.labels
    return VerdictRow(
        file=recording.name,
        row=int(recording.row_numbers[row]),
        timestamp=None if times is None else float(times[row]),
        verdict=verdict,
        issues=issues,
        label="" if labels is None else str(labels[row]),
    )


def judged(recording: Recording, row: int, verdict: Verdict) -> VerdictRow:
    """The detector's verdict on the window that ends at a row (0-based)."""
    issues = (f"{item.sensor}:{item.issue}" if item.sensor else item.issue for item in verdict.quality.issues)
    return replace(
        describe(recording, row, verdict.ruling.value, *issues),
        decided_by=verdict.decided_by and verdict.decided_by.value,
        probabilities=verdict.probabilities,
        reconstruction_error=verdict.reconstruction_error,
        score=verdict.score,
        p_value=verdict.p_value,
        contributions=tuple((item.sensor, item.share) for item in verdict.contributions or ()),
        observed=verdict.quality.observed,
    )
