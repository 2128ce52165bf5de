"""A recording posted to a running service, row by row, as the plant would have done it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cli.errors import CommandError
from cli.service_client import RequestRefused, ServedModel, ServiceClient
from detector.windows import Floats, segments, window_ends, windows_ending_at
from evaluation.scoring import describe, fit_to_model, warn_if_faulty
from evaluation.verdict_row import BASELINE, CANNOT_JUDGE, TOO_SHORT, VerdictRow
from history.recording import Recording


@dataclass(frozen=True, slots=True)
class Manner:
    """How a file is played.

    asset: name of the machine; by the file's name where None. baseline_rows: sent first as its baseline.
    batch: most windows in a request. speed: multiple of real time, None for as fast as the service answers.
    """

    asset: str | None = None
    baseline_rows: int = 0
    batch: int = 64
    speed: float | None = None


def asset_name(file: str) -> str:
    """A name for the machine that a file is about: `valve2/0.csv` -> `valve2-0`."""
    stem = re.sub(r"\.(csv|parquet|pq|txt)$", "", file, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "asset"


class Pace:
    """Says how many rows are due. Sleeps until at least one is.

    times: seconds, of the rows to come, the first of which is due at once.
    """

    def __init__(
        self,
        times: Floats,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._times, self._speed, self._clock, self._sleep = times, speed, clock, sleep
        self._start = clock()

    def due(self, first: int, most: int) -> int:
        """Rows from `first` on that are due, 1..most."""
        rest = min(most, len(self._times) - first)
        if self._speed is None:
            return rest
        late_s = self._clock() - self._due_at(first)
        if late_s < 0:
            self._sleep(-late_s)
        count = 1
        while count < rest and self._due_at(first + count) <= self._clock():
            count += 1
        return count

    def _due_at(self, row: int) -> float:
        assert self._speed is not None
        return self._start + float(self._times[row] - self._times[0]) / self._speed


def play(
    recording: Recording, client: ServiceClient, model: ServedModel, manner: Manner
) -> Iterator[list[VerdictRow]]:
    """Verdicts of the service on a recording, a request at a time.

    The baseline is put first, then a window is posted for each later row, with its time stamps. Rows with
    too little before them are not posted: they are `cannot_judge`.
    Raises WrongSamplingPeriod, ServiceUnreachable, CommandError naming file and row.
    """
    aligned = fit_to_model(recording, model.sensors, model.period_s)
    asset = manner.asset or asset_name(recording.name)
    if manner.baseline_rows:
        commission(aligned, client, model, asset, manner.baseline_rows)
        yield [describe(aligned, row, BASELINE) for row in range(manner.baseline_rows)]

    runs = segments(aligned.timestamps, len(aligned.values), model.period_s, model.max_gap_periods)
    ends = window_ends(runs, 1)
    ends = ends[ends >= manner.baseline_rows]
    times = ends * (model.period_s or 0.0) if aligned.timestamps is None else aligned.timestamps[ends]
    pace = Pace(np.asarray(times, np.float64), manner.speed)
    first = 0
    while first < len(ends):
        part = ends[first : first + pace.due(first, manner.batch)]
        first += len(part)
        cut = windows_ending_at(aligned.values, runs, part, model.steps)
        rows = [describe(aligned, row, CANNOT_JUDGE, TOO_SHORT) for row in part.tolist()]
        sent = [i for i, window in enumerate(cut) if len(window) >= model.minimum_steps]
        bodies = [window_body(aligned, int(part[i]), cut[i], asset) for i in sent]
        if bodies:
            try:
                results = client.classify(model, bodies)
            except RequestRefused as error:
                raise CommandError(
                    f"{recording.name}{_row_of(error, [rows[i] for i in sent])}: {error}"
                ) from None
            for i, result in zip(sent, results, strict=True):
                rows[i] = answered(rows[i], result, model)
        yield rows


def commission(
    recording: Recording, client: ServiceClient, model: ServedModel, asset: str, rows: int
) -> None:
    """Give the service the asset's baseline from the first rows. Raises CommandError, naming the file."""
    if rows >= len(recording.values):
        raise CommandError(
            f"{recording.name}: {len(recording.values)} rows, so a baseline of {rows} leaves none"
        )
    warn_if_faulty(recording, rows)
    values = recording.values[:rows]
    readings = dict(zip(recording.sensors, values.T.tolist(), strict=True))
    try:
        client.put_baseline(asset, model, readings, iso_times(recording, 0, rows))
    except RequestRefused as error:
        raise CommandError(f"{recording.name}: baseline of asset {asset}: {error}") from None


def window_body(recording: Recording, end: int, values: Floats, asset: str) -> dict[str, Any]:
    """One window of the request.

    end: 0-based row of its newest step. values: float64 (steps, sensors), NaN missing.
    """
    body: dict[str, Any] = {
        "id": str(recording.row_numbers[end]),
        "asset": asset,
        "readings": dict(zip(recording.sensors, values.T.tolist(), strict=True)),
    }
    times = iso_times(recording, end + 1 - len(values), end + 1)
    return body if times is None else body | {"timestamps": times}


def iso_times(recording: Recording, start: int, stop: int) -> list[str] | None:
    """ISO 8601, UTC, milliseconds; None for a recording without time."""
    if recording.timestamps is None:
        return None
    moments = np.round(recording.timestamps[start:stop] * 1000).astype("datetime64[ms]")
    return [f"{moment}Z" for moment in np.datetime_as_string(moments).tolist()]


def answered(row: VerdictRow, result: Mapping[str, Any], model: ServedModel) -> VerdictRow:
    """The row with the service's answer on its window."""
    quality = result.get("quality") or {}
    probabilities = result.get("probabilities")
    issues = quality.get("issues") or ()
    return replace(
        row,
        verdict=result["verdict"],
        decided_by=result.get("decided_by"),
        probabilities=tuple(probabilities[name] for name in model.classes) if probabilities else None,
        reconstruction_error=result.get("reconstruction_error"),
        p_value=result.get("p_value"),
        contributions=tuple((item["sensor"], item["share"]) for item in result.get("contributions") or ()),
        observed=quality.get("observed"),
        issues=tuple(f"{i['sensor']}:{i['issue']}" if i.get("sensor") else i["issue"] for i in issues),
    )


def _row_of(error: RequestRefused, rows: list[VerdictRow]) -> str:
    found = re.match(r"windows\[(\d+)\]", error.place)
    return f" row {rows[int(found[1])].row}" if found and int(found[1]) < len(rows) else ""
