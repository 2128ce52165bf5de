"""`POST /classify` with a plant's file: rows are judged as `offnormal score` judges them.

Each row by the window that ends at it, never across a gap; a row with too little before it is
`cannot_judge`, never left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector import Options, Ruling, Verdict
from detector.manifest import WindowShape
from detector.windows import Floats, segments, window_ends, windows_ending_at
from service.errors import TooManyWindows
from service.http import answers, wire
from service.http.csv_body import NAME, read_recording
from service.http.window_reader import ReadWindow
from service.judging import Task
from service.models import Models

if TYPE_CHECKING:
    from history.recording import Recording

TOO_SHORT = "window_too_short"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file that is to be answered. number: 1-based data row of the file.

    timestamp: ISO 8601, UTC, or None. short: the window, where it is too short to be judged.
    """

    number: int
    timestamp: str | None
    short: Floats | None


@dataclass(frozen=True, slots=True)
class TableTask:
    """A file that was understood. task: the windows of those rows that are not short, in their order."""

    task: Task
    rows: list[Row]
    asset: str | None

    def results(self, verdicts: Sequence[Verdict]) -> list[wire.Result]:
        """One for each row. verdicts: of the task's windows."""
        given = iter(zip(self.task.windows, verdicts, strict=True))
        by_asset = any(verdict.by_asset_baseline for verdict in verdicts)
        return [
            self._judged(row, *next(given)) if row.short is None else self._short(row, row.short, by_asset)
            for row in self.rows
        ]

    def _judged(self, row: Row, window: ReadWindow, verdict: Verdict) -> wire.Result:
        result = answers.result(self.task.model, window, verdict, self.task.options)
        return msgspec.structs.replace(result, timestamp=row.timestamp)

    def _short(self, row: Row, window: Floats, by_asset: bool) -> wire.Result:
        options = self.task.options
        return wire.Result(
            id=row.number,
            asset=self.asset,
            verdict=Ruling.CANNOT_JUDGE.value,
            decided_by=None,
            probabilities=None,
            reconstruction_error=None,
            p_value=None,
            baseline="asset" if by_asset else "model",
            quality=wire.Quality(
                float(np.isfinite(window).mean()), len(window), [wire.Issue(None, TOO_SHORT)]
            ),
            contributions=None if options.explain else msgspec.UNSET,
            reconstruction=None if options.reconstruct else msgspec.UNSET,
            timestamp=row.timestamp,
        )


def read_table_task(
    body: bytes, query: wire.TableQuery, models: Models, max_windows: int, max_rows: int
) -> TableTask:
    """Understand a body. Raises ServiceError, DetectorError, each with its place."""
    model = models.find(query.model, query.version)
    manifest = model.detector.manifest
    shape = manifest.window
    recording = read_recording(body, manifest, max_rows, query)
    runs = segments(recording.timestamps, len(recording), shape.period_s, shape.max_gap_periods)
    ends = _ends(runs, query, max_windows)
    rows = []
    windows: list[ReadWindow | wire.FailedResult] = []
    for row, window in _windows(recording, runs, ends, shape):
        rows.append(row)
        if row.short is None:
            windows.append(ReadWindow(window, row.number, query.asset))
    options = Options(query.explain, query.reconstruct, query.false_alarm_rate)
    return TableTask(Task(model, options, windows), rows, query.asset)


def _windows(
    recording: "Recording", runs: Sequence[slice], ends: NDArray[np.intp], shape: WindowShape
) -> list[tuple[Row, Floats]]:
    stamps = _iso(recording.timestamps, ends)
    windows = windows_ending_at(recording.values, runs, ends, shape.steps)
    return [
        (Row(number, stamp, window if len(window) < shape.minimum_steps else None), window)
        for number, stamp, window in zip(recording.row_numbers[ends].tolist(), stamps, windows, strict=True)
    ]


def _iso(times: Floats | None, rows: NDArray[np.intp]) -> Sequence[str | None]:
    """ISO 8601, UTC, to the millisecond; whatever the file's stamps are, also years beyond 9999."""
    if times is None:
        return [None] * len(rows)
    moments = np.round(times[rows] * 1000).astype("datetime64[ms]")
    return [f"{moment}Z" for moment in np.datetime_as_string(moments).tolist()]


def _ends(runs: Sequence[slice], query: wire.TableQuery, most: int) -> NDArray[np.intp]:
    """0-based rows that are judged. Raises TooManyWindows."""
    ends = window_ends(runs, 1)
    if query.rows != "all":
        ends = ends[-1 if query.rows == "last" else -query.rows :]
    # Counted back from the newest row where a number of them is asked for, so that it is always judged.
    if query.stride > 1:
        ends = window_ends(runs, 1, query.stride) if query.rows == "all" else ends[:: -query.stride][::-1]
    if len(ends) > most:
        raise TooManyWindows(
            f"{len(ends)} rows are to be judged, each by a window of its own",
            place=NAME,
            expected=f"at most {most} rows, or fewer by `rows` or `stride`; "
            "`offnormal score` judges files of any length",
        )
    return ends
