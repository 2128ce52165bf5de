"""detect-batch: a file on the server is judged row by row while its caller comes back for the result."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from detector import Options
from detector.windows import Floats, segments, window_ends, windows_ending_at
from history.errors import HistoryError
from service.errors import QueueFull, ServiceError, TooManySteps
from service.http.azure import sources, states, wire
from service.http.azure.refusals import Nothing, code_of, message_of
from service.http.request_log import Facts
from service.http.timestamps import check_period
from service.http.window_reader import ReadWindow
from service.jobs.records import Records
from service.judging import Task, judge
from service.models import LoadedModel
from service.resources import Resources

# How long a result can be fetched, as documented; and how many detections may wait for one worker.
KEEP_S = 7 * 24 * 3600.0
MOST_WAITING = 32


def results_of(resources: Resources) -> Records[wire.BatchResult]:
    return Records(resources.jobs.folder / "detections", wire.BatchResult)


def begin(model: LoadedModel, request: wire.BatchRequest, resources: Resources) -> wire.BatchResult:
    """Check what can be checked at once, and start. Raises Refusal, QueueFull, StateUnavailable."""
    path = sources.find_source(resources.settings.data_root, request.data_source)
    span = sources.read_span(request.start_time, request.end_time)
    if resources.jobs.waiting >= MOST_WAITING:
        raise QueueFull(f"{MOST_WAITING} detections wait already", retry_after_s=10)
    results = results_of(resources)
    results.forget_older(KEEP_S)
    summary = wire.BatchSummary("CREATED", [], [], request)
    result = wire.BatchResult(str(uuid.uuid4()), summary, [], model.ref)
    running = ExitStack()
    running.enter_context(results.hold(result.result_id))
    results.put(result.result_id, result)
    resources.jobs.start(_run(running, result, model, path, span, resources))
    return result


def fetch(result_id: str, resources: Resources) -> wire.BatchResult:
    """As far as it is. Raises Nothing, StateUnavailable."""
    results = results_of(resources)
    result = results.get(result_id)
    if result is None:
        raise Nothing("ResultNotExist", "there is no such result; results are kept for seven days")
    if result.summary.status in ("CREATED", "RUNNING") and not results.held(result_id):
        # It may have come to its end between the two looks.
        again = results.get(result_id) or result
        if again.summary.status in ("CREATED", "RUNNING"):
            return _failed(again, "UnexpectedError", "the process that detected ended before its time")
        return again
    return result


async def _run(
    running: ExitStack,
    result: wire.BatchResult,
    model: LoadedModel,
    path: Path,
    span: tuple[float, float],
    resources: Resources,
) -> None:
    results = results_of(resources)
    with running:
        try:
            async with resources.jobs.turn:
                begun = replace(result, summary=replace(result.summary, status="RUNNING"))
                await asyncio.to_thread(results.put, result.result_id, begun)
                done = await _detect(begun, model, path, span, resources)
        except asyncio.CancelledError:
            results.put(result.result_id, _failed(result, "UnexpectedError", "the service was stopped"))
            raise
        except HistoryError as error:
            done = _failed(result, "ReadingFileError", str(error))
        except Exception as error:
            done = _failed(result, code_of(error)[0], message_of(error))
            if not isinstance(error, ServiceError):
                await asyncio.to_thread(results.put, result.result_id, done)
                raise
        await asyncio.to_thread(results.put, result.result_id, done)


async def _detect(
    result: wire.BatchResult,
    model: LoadedModel,
    path: Path,
    span: tuple[float, float],
    resources: Resources,
) -> wire.BatchResult:
    times, values = await asyncio.to_thread(_read, path, span, model, resources.settings.max_steps)
    shape = model.detector.manifest.window
    runs = segments(times, len(times), shape.period_s, shape.max_gap_periods)
    ends = window_ends(runs, 1)
    found: list[wire.State] = []
    size = min(resources.settings.batch_windows, resources.settings.max_windows)
    for first in range(0, len(ends), size):
        part = ends[first : first + size]
        found += await _judge(model, times, values, runs, part, result.summary.setup_info, resources)
    summary = replace(
        result.summary,
        status="READY",
        variable_states=states.variable_states(model.detector.sensors, times, values),
    )
    return replace(result, summary=summary, results=found)


def _read(path: Path, span: tuple[float, float], model: LoadedModel, most: int) -> tuple[Floats, Floats]:
    recording = sources.read_source(path, span).select(model.detector.sensors)
    times = recording.timestamps
    assert times is not None  # held by read_source
    if len(times) > most:
        raise TooManySteps(f"{len(times)} rows between startTime and endTime", expected=f"at most {most}")
    check_period(times, model.detector.manifest.window.period_s, path.name)
    return times, recording.values


async def _judge(
    model: LoadedModel,
    times: Floats,
    values: Floats,
    runs: Sequence[slice],
    ends: NDArray[np.intp],
    request: wire.BatchRequest,
    resources: Resources,
) -> list[wire.State]:
    shape = model.detector.manifest.window
    windows = windows_ending_at(values, runs, ends, shape.steps)
    long_enough = [ReadWindow(window) for window in windows if len(window) >= shape.minimum_steps]
    task = Task(model, Options(explain=True), list(long_enough))
    while True:
        try:
            deadline = time.monotonic() + resources.settings.request_timeout_s
            verdicts = iter(await judge(task, resources, deadline, Facts("detect-batch")))
            break
        except QueueFull as error:  # those who ask for one window come first
            await asyncio.sleep(error.retry_after_s)
    count = request.top_contributor_count
    return [
        states.state(model.detector, float(times[end]), window, next(verdicts), count)
        if len(window) >= shape.minimum_steps
        else wire.State(states.iso(float(times[end])), errors=[states.TOO_SHORT])
        for end, window in zip(ends.tolist(), windows, strict=True)
    ]


def _failed(result: wire.BatchResult, code: str, message: str) -> wire.BatchResult:
    return replace(
        result, summary=replace(result.summary, status="FAILED", errors=[wire.Error(code, message)])
    )
