"""`POST /classify`: windows in, verdicts out."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from detector import Options, Verdict
from detector.errors import DetectorError
from detector.windows import Floats
from service.errors import ServiceError, TooManyWindows, WrongContent
from service.http import answers, locate, wire
from service.http.body import CSV, JSON, NPY, media_type, read_body
from service.http.csv_answer import check_reconstruct, wants_csv
from service.http.csv_answer import encode as encode_csv
from service.http.csv_rows import TableTask, read_table_task
from service.http.npy import read_windows
from service.http.problems import problem_of
from service.http.request_log import facts_of
from service.http.sound_json import Odd, SoundBody
from service.http.window_reader import ReadWindow, check_asset
from service.judging import Task, judge
from service.models import Models
from service.resources import QUICK_BODY_BYTES, SMALL_BODY_BYTES, ForClassifying, deadline_of
from service.settings import Settings

T = TypeVar("T")
router = APIRouter()
_decoder = msgspec.json.Decoder(wire.ClassifyRequest)
# The choices that go with a body that is not JSON, by its type.
QUERIES: Mapping[str, type[wire.ArrayQuery] | type[wire.TableQuery]] = {
    NPY: wire.ArrayQuery,
    CSV: wire.TableQuery,
}
_CHOICES = frozenset(name for query in QUERIES.values() for name in query.__struct_fields__)


class _Identity(msgspec.Struct):
    id: wire.WindowId | None = None


_identity = msgspec.json.Decoder(_Identity)


@router.post("/classify", summary="Judge windows of readings")
async def classify(request: Request, resources: ForClassifying) -> Response:
    """Each window is answered with a verdict, the numbers behind it, and the quality of its readings."""
    facts = facts_of(request)
    deadline = deadline_of(request, resources.settings.request_timeout_s)
    kind = media_type(request, (JSON, NPY, CSV))
    as_csv = wants_csv(request)
    query = check_query(request, kind)
    with resources.bodies.hold() as hold:
        body = await read_body(request, resources.settings.max_body_bytes, deadline, hold)
        started = time.perf_counter()
        read = partial(_read, body, query, resources.models, resources.settings)
        understood = await resources.work(
            len(body), read, SMALL_BODY_BYTES if kind == CSV else QUICK_BODY_BYTES
        )
        task = understood.task if isinstance(understood, TableTask) else understood
        if as_csv:
            check_reconstruct(
                task.options.reconstruct, "reconstruct" if query is None else "query.reconstruct"
            )
        resources.took(facts, "parse", time.perf_counter() - started)
        verdicts = await judge(task, resources, deadline, facts)

        def encode() -> bytes:
            results = (
                understood.results(verdicts)
                if isinstance(understood, TableTask)
                else _results(understood, verdicts)
            )
            if as_csv:
                return encode_csv(task.model, results)
            return msgspec.json.encode(wire.ClassifyResponse(task.model.ref, results))

        started = time.perf_counter()
        numbers_only = not (as_csv or task.options.reconstruct or kind == CSV)
        content = await resources.work(
            len(body), encode, QUICK_BODY_BYTES if numbers_only else SMALL_BODY_BYTES
        )
        resources.took(facts, "encode", time.perf_counter() - started)
    return Response(content, media_type=CSV) if as_csv else answers.EncodedJson(content)


def _read(
    body: bytes, query: wire.ArrayQuery | wire.TableQuery | None, models: Models, settings: Settings
) -> Task | TableTask:
    if query is None:
        return read_task(body, models, settings.max_windows)
    if isinstance(query, wire.TableQuery):
        return read_table_task(body, query, models, settings.max_windows, settings.max_steps)
    return read_array_task(body, query, models, settings.max_windows)


def _results(task: Task, verdicts: Sequence[Verdict]) -> list[wire.Result | wire.FailedResult]:
    given = iter(verdicts)
    return [
        entry
        if isinstance(entry, wire.FailedResult)
        else answers.result(task.model, entry, next(given), task.options)
        for entry in task.entries
    ]


def read_task(body: bytes, models: Models, max_windows: int) -> Task:
    """Understand a body. Raises ServiceError, DetectorError, each with its place."""
    try:
        sound = SoundBody(body)
        model, options = models.find(sound.choices.model, sound.choices.version), _options(sound.choices)
        _check_count(len(sound), max_windows)
        return Task(model, options, [*model.reader.read_sound(sound)])
    except (Odd, ServiceError, DetectorError):
        return _read_in_parts(body, models, max_windows)


def _read_in_parts(body: bytes, models: Models, max_windows: int) -> Task:
    """The shorthand, and what has something wrong in it: window by window, so that each names itself."""
    request = locate.decoded(_decoder, body)
    model = models.find(request.model, request.version)
    options = _options(request)
    shorthand = bytes(request.window)
    windows = request.windows
    if (windows is msgspec.UNSET) != bool(shorthand):
        given = "both `windows` and `window` are" if shorthand else "neither `windows` nor `window` is"
        raise WrongContent(f"{given} given", place="windows", expected="one of `windows` and `window`")
    if windows is msgspec.UNSET:
        return Task(model, options, [model.reader.read_rows(request.window, "window")])
    _check_count(len(windows), max_windows)
    return Task(model, options, _entries(windows, request.on_error, model.reader.read, _id_of))


def check_query(request: Request, kind: str) -> wire.ArrayQuery | wire.TableQuery | None:
    """The choices that go with a body that is an array or a file; those of a JSON body stand in it.

    Raises WrongContent, InvalidAsset.
    """
    given = request.query_params if request.scope["query_string"] else {}
    if kind == JSON:
        for name in _CHOICES.intersection(given):
            raise WrongContent(
                f"{name!r} is given beside a JSON body",
                place=f"query.{name}",
                expected="every choice inside the JSON body",
            )
        return None
    for name in given:
        if len(request.query_params.getlist(name)) > 1:
            raise WrongContent(
                f"{locate.shown(name)!r} is given twice",
                place=f"query.{locate.shown(name)}",
                expected="each once",
            )
    try:
        query = msgspec.convert(dict(given), QUERIES[kind], strict=False)
    except msgspec.ValidationError as error:
        raise locate.wrong_field(error, "query") from None
    if query.asset is not None:
        check_asset(query.asset, "query.asset")
    return query


def read_array_task(body: bytes, query: wire.ArrayQuery, models: Models, max_windows: int) -> Task:
    """Understand a body that is an array. Raises ServiceError, DetectorError, each with its place."""
    model = models.find(query.model, query.version)
    options = _options(query)
    windows = read_windows(body, model.detector.sensors)
    _check_count(len(windows), max_windows)
    try:
        return Task(model, options, [*model.reader.read_sound_arrays(windows, query.asset)])
    except (Odd, ServiceError, DetectorError):
        pass  # one of them is read again, to be named

    def read(values: Floats, at: str) -> ReadWindow:
        return model.reader.read_array(values, query.asset, at)

    return Task(model, options, _entries(windows, query.on_error, read, lambda values: None))


def _options(choices: wire.Choices) -> Options:
    return Options(choices.explain, choices.reconstruct, choices.false_alarm_rate)


def _check_count(windows: int, most: int) -> None:
    if windows == 0:
        raise WrongContent("there are no windows", place="windows", expected="at least one window")
    if windows > most:
        raise TooManyWindows(f"{windows} windows", place="windows", expected=f"at most {most}")


def _entries(
    windows: Iterable[T],
    on_error: str,
    read: Callable[[T, str], ReadWindow],
    id_of: Callable[[T], str | int | None],
) -> list[ReadWindow | wire.FailedResult]:
    """Each window as `read` understands it, given its place; or, if the caller skips bad ones, what is wrong.

    Raises ServiceError, DetectorError, unless bad windows are skipped.
    """
    entries: list[ReadWindow | wire.FailedResult] = []
    for index, window in enumerate(windows):
        try:
            entries.append(read(window, f"windows[{index}]"))
        except (ServiceError, DetectorError) as error:
            if on_error == "fail":
                raise
            entries.append(wire.FailedResult(id_of(window), problem_of(error)))
    return entries


def _id_of(raw: msgspec.Raw) -> str | int | None:
    """The id of a window that is otherwise unreadable, if at least that can be read."""
    try:
        return _identity.decode(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
