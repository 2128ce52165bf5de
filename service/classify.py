"""`POST /classify`: windows in, verdicts out."""

import time
from dataclasses import dataclass, replace
from functools import partial

import msgspec
from fastapi import APIRouter, Request, Response

from detector import Options, Window
from detector.errors import DetectorError
from service import answers, locate, wire
from service.body import JSON, media_type, read_body
from service.errors import ServiceError, TooManyWindows, WrongContent
from service.models import LoadedModel, Models
from service.problems import problem_of
from service.request_log import facts_of
from service.resources import ForClassifying, Resources, deadline_of
from service.window_reader import ReadWindow, WindowReader

router = APIRouter()
_decoder = msgspec.json.Decoder(wire.ClassifyRequest)


class _Identity(msgspec.Struct):
    id: wire.WindowId | None = None


_identity = msgspec.json.Decoder(_Identity)


@dataclass(frozen=True, slots=True)
class Task:
    """A request that was understood. entries: in its order, a window or what is wrong with it."""

    model: LoadedModel
    options: Options
    entries: list[ReadWindow | wire.FailedResult]

    @property
    def windows(self) -> list[ReadWindow]:
        return [entry for entry in self.entries if isinstance(entry, ReadWindow)]


@router.post("/classify", summary="Judge windows of readings")
async def classify(request: Request, resources: ForClassifying) -> Response:
    """Each window is answered with a verdict, the numbers behind it, and the quality of its readings."""
    facts = facts_of(request)
    deadline = deadline_of(request, resources.settings.request_timeout_s)
    stage_seconds = resources.metrics.stage_seconds
    media_type(request, (JSON,))
    with resources.bodies.hold() as hold:
        body = await read_body(request, resources.settings.max_body_bytes, deadline, hold)
        started = time.perf_counter()
        task = await resources.work(
            len(body), partial(read_task, body, resources.models, resources.settings.max_windows)
        )
        facts.fields |= {
            "model": task.model.ref.name,
            "version": task.model.ref.version,
            "windows": len(task.entries),
        }
        windows = await _with_baselines(task, resources)
        stage_seconds("parse").observe(time.perf_counter() - started)
        if windows:
            judged = await task.model.batcher.judge(windows, task.options, deadline)
            stage_seconds("queue").observe(judged.queue_s)
            stage_seconds("infer").observe(judged.infer_s)
            stage_seconds("verdict").observe(judged.verdict_s)
            verdicts = judged.verdicts
            assets = [window.asset for window in task.windows]
            facts.fields["verdicts"] = task.model.metrics.judged(
                windows, assets, verdicts, judged.sensor_errors
            )
        else:
            verdicts = []
            facts.fields["verdicts"] = {}
        for entry in task.entries:
            if isinstance(entry, wire.FailedResult):
                resources.metrics.rejected_windows(entry.error.code)[0] += 1

        def encode() -> bytes:
            given = iter(verdicts)
            results = [
                entry
                if isinstance(entry, wire.FailedResult)
                else answers.result(task.model, entry, next(given), task.options)
                for entry in task.entries
            ]
            return msgspec.json.encode(wire.ClassifyResponse(task.model.ref, results))

        started = time.perf_counter()
        content = await resources.work(len(body), encode)
        stage_seconds("encode").observe(time.perf_counter() - started)
    return Response(content, media_type=JSON)


def read_task(body: bytes, models: Models, max_windows: int) -> Task:
    """Understand a body. Raises ServiceError, DetectorError, each with its place."""
    request = locate.decoded(_decoder, body)
    model = models.find(request.model, request.version)
    options = Options(request.explain, request.reconstruct, request.false_alarm_rate)
    shorthand = bytes(request.window)
    windows = request.windows
    if (windows is msgspec.UNSET) != bool(shorthand):
        given = "both `windows` and `window` are" if shorthand else "neither `windows` nor `window` is"
        raise WrongContent(f"{given} given", place="windows", expected="one of `windows` and `window`")
    if windows is msgspec.UNSET:
        return Task(model, options, [model.reader.read_rows(request.window, "window")])
    if not 1 <= len(windows) <= max_windows:
        if not windows:
            raise WrongContent("there are no windows", place="windows", expected="at least one window")
        raise TooManyWindows(f"{len(windows)} windows", place="windows", expected=f"at most {max_windows}")
    if request.on_error == "fail":
        return Task(
            model, options, [model.reader.read(raw, f"windows[{i}]") for i, raw in enumerate(windows)]
        )
    return Task(
        model, options, [_read_or_skip(model.reader, raw, f"windows[{i}]") for i, raw in enumerate(windows)]
    )


def _read_or_skip(reader: WindowReader, raw: msgspec.Raw, at: str) -> ReadWindow | wire.FailedResult:
    try:
        return reader.read(raw, at)
    except (ServiceError, DetectorError) as error:
        return wire.FailedResult(_id_of(raw), problem_of(error))


def _id_of(raw: msgspec.Raw) -> str | int | None:
    """The id of a window that is otherwise unreadable, if at least that can be read."""
    try:
        return _identity.decode(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def _with_baselines(task: Task, resources: Resources) -> list[Window]:
    """The windows as the detector takes them, each with its asset's baseline if there is one.

    Raises UnsupportedBudget, StateUnavailable.
    """
    windows = [Window(window.values, notes=window.notes) for window in task.windows]
    if any(window.asset for window in task.windows):
        known = await resources.assets.baselines(task.model)
        windows = [
            replace(window, baseline=stored.baseline) if (stored := known.get(read.asset or "")) else window
            for window, read in zip(windows, task.windows, strict=True)
        ]
    # An alarm budget may be within what one calibration promises and beyond what the other does.
    for by_asset in {window.baseline is not None for window in windows}:
        task.model.detector.score_limit(task.options.false_alarm_rate, by_asset=by_asset)
    return windows
