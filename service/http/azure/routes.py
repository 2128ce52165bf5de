"""The paths of the retired API, version v1.1."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from detector import Options
from detector.windows import Floats
from service.http import locate
from service.http.answers import json_response
from service.http.azure import batches, identity, models, sources, states, wire
from service.http.azure.refusals import Refusal
from service.http.azure.series import read_series
from service.http.body import JSON, media_type, read_body
from service.http.keys import Role
from service.http.request_log import facts_of
from service.http.window_reader import ReadWindow
from service.jobs.training import Order, Training
from service.judging import Task, judge
from service.models import LoadedModel
from service.resources import Resources, allow, deadline_of

T = TypeVar("T", bound=msgspec.Struct)
PREFIX = "/anomalydetector"
KEY_HEADER = b"ocp-apim-subscription-key"
# As documented.
SLIDING_WINDOWS = range(28, 2881)
_last = msgspec.json.Decoder(wire.LastRequest)
_batch = msgspec.json.Decoder(wire.BatchRequest)
_train = msgspec.json.Decoder(wire.TrainRequest)
# Not in /openapi.json, which describes this service's own protocol: this one has descriptions of its own.
router = APIRouter(prefix=PREFIX, include_in_schema=False)
_MODELS, _RESULTS = "/v1.1/multivariate/models", "/v1.1/multivariate/detect-batch"


def _with_subscription_key(*roles: Role) -> Callable[[Request], Awaitable[Resources]]:
    """As `allow`, the key being in the API's own header or in one of this service's."""
    inner = allow(*roles)

    async def admit(request: Request) -> Resources:
        headers = [
            (b"x-api-key" if name == KEY_HEADER else name, value) for name, value in request.scope["headers"]
        ]
        return await inner(Request({**request.scope, "headers": headers}))

    return admit


Detecting = Annotated[Resources, Depends(_with_subscription_key(Role.CLASSIFY))]
Asking = Annotated[Resources, Depends(_with_subscription_key(Role.CLASSIFY, Role.READ))]
Deciding = Annotated[Resources, Depends(_with_subscription_key(Role.ADMIN))]


@router.post(_MODELS + "/{given}:detect-last")
async def detect_last(given: str, request: Request, resources: Detecting) -> Response:
    """The newest timestamp of the series in the body."""
    facts = facts_of(request)
    deadline = deadline_of(request, resources.settings.request_timeout_s)
    media_type(request, (JSON,))
    model = _ready(resources, given)
    with resources.bodies.hold() as hold:
        body = await read_body(request, resources.settings.max_body_bytes, deadline, hold)
        started = time.perf_counter()

        def understand() -> tuple[wire.LastRequest, Floats, ReadWindow]:
            asked = locate.decoded(_last, body)
            series = read_series(asked.variables, model.detector.sensors, resources.settings.max_steps)
            window = model.reader.read_series(series.values, series.times, "variables")
            return asked, series.times[-len(window.values) :], window

        asked, times, window = await resources.work(len(body), understand)
        resources.took(facts, "parse", time.perf_counter() - started)
        task = Task(model, Options(explain=True), [window])
        (verdict,) = await judge(task, resources, deadline, facts)
        started = time.perf_counter()
        count = asked.top_contributor_count
        found = states.state(model.detector, float(times[-1]), window.values, verdict, count)
        variables = states.variable_states(model.detector.sensors, times, window.values)
        answer = json_response(wire.LastResult(variables, [found], model.ref))
        resources.took(facts, "encode", time.perf_counter() - started)
    return answer


@router.post(_MODELS + "/{given}:detect-batch")
async def detect_batch(given: str, request: Request, resources: Detecting) -> Response:
    """Begin to judge a file on the server; the answer says where its result will be."""
    model = _ready(resources, given)
    asked = await _body(request, resources, _batch)
    result = batches.begin(model, asked, resources)
    at = f"{_base(request)}{_RESULTS}/{result.result_id}"
    answer = json_response(result, 202)
    answer.headers["operation-id"] = result.result_id
    answer.headers["operation-location"] = at
    return answer


@router.get(_RESULTS + "/{result_id}")
async def batch_result(result_id: str, resources: Detecting) -> Response:
    """What became of it, so far."""
    return json_response(await asyncio.to_thread(batches.fetch, result_id, resources))


@router.get(_MODELS)
async def list_models(request: Request, resources: Asking) -> Response:
    """The latest first; `skip` and `top`, with the dollar sign of the documentation or without."""
    query = request.query_params
    skip, top = (
        models.number(query.get(name, query.get(f"${name}")), name, unless)
        for name, unless in (("skip", 0), ("top", models.PAGE))
    )
    found = await asyncio.to_thread(models.all_models, resources)
    return json_response(models.page(found, skip, top, f"{_base(request)}{_MODELS}"))


@router.get(_MODELS + "/{given}")
async def show_model(given: str, resources: Asking) -> Response:
    """One model, ready or not."""
    return json_response(await asyncio.to_thread(models.describe, resources, given))


@router.post(_MODELS)
async def train_model(request: Request, resources: Deciding) -> Response:
    """Begin to train a model from a file or folder on the server."""
    asked = await _body(request, resources, _train)
    order = _order(asked)
    path = sources.find_source(resources.settings.data_root, asked.data_source)
    _check_schema(path, asked.data_schema)
    span = sources.read_span(asked.start_time, asked.end_time)
    trainings = resources.jobs.trainings
    if len(trainings.all()) >= models.MOST_MODELS:
        raise Refusal("TooManyModels", f"{models.MOST_MODELS} models were trained; delete some")

    def prepare(folder: Path) -> None:
        recording = sources.read_source(path, span, "inner" if order.align_mode == "Inner" else "outer")
        sources.write_training_file(recording, folder)

    training, work = trainings.begin(order, lambda name: identity.model_id(name, 1), prepare)
    resources.jobs.start(work)
    answer = json_response(models.describe(resources, training.model_id), 201)
    answer.headers["location"] = f"{_base(request)}{_MODELS}/{training.model_id}"
    return answer


@router.delete(_MODELS + "/{given}", status_code=204)
async def delete_model(given: str, resources: Deciding) -> Response:
    """Only what was trained through this API: other models of the store are not this door's to remove."""
    training = resources.jobs.trainings.find(given)
    if training is None:
        identity.find(resources.models, given)
        raise Refusal(
            "403",
            "the model was not trained through this API; whoever keeps the store can remove it there",
            status=403,
        )
    if training.status in ("CREATED", "RUNNING"):
        raise Refusal("ModelNotReady", "the model is being trained; wait until that ends")
    await asyncio.to_thread(_remove, training, resources)
    await resources.watcher.look(again=False)
    return Response(status_code=204)


@router.api_route("/{version}/timeseries/{rest:path}", methods=["GET", "POST"])
async def not_offered(version: str, rest: str, resources: Asking) -> Response:
    """Univariate calls."""
    del version, rest, resources
    raise Refusal(
        "NotOffered",
        "univariate detection is not offered: a model of one sensor, trained on its history, answers "
        "multivariate/models/{modelId}:detect-last",
        status=501,
    )


def _ready(resources: Resources, given: str) -> LoadedModel:
    """The model that is to detect. Raises Refusal where it is being trained, or its training failed."""
    training = resources.jobs.trainings.find(given)
    if training is not None and identity.version_of(resources.models, given) is None:
        if training.status == "FAILED":
            raise Refusal("ModelFailed", f"the model failed to be trained: {training.reason}")
        raise Refusal("ModelNotReady", "the model is not ready yet; ask for it until its status is READY")
    return identity.find(resources.models, given)


async def _body(request: Request, resources: Resources, decoder: "msgspec.json.Decoder[T]") -> T:
    deadline = deadline_of(request, resources.settings.request_timeout_s)
    media_type(request, (JSON,))
    with resources.bodies.hold() as hold:
        body = await read_body(request, resources.settings.max_body_bytes, deadline, hold)
        return locate.decoded(decoder, body)


def _order(asked: wire.TrainRequest) -> Order:
    """Raises Refusal for choices that the API did not have, or that would make up readings."""
    policy = asked.align_policy
    if asked.sliding_window is not None and asked.sliding_window not in SLIDING_WINDOWS:
        raise Refusal(
            "InvalidSlidingWindow",
            f"slidingWindow is {asked.sliding_window}",
            place="slidingWindow",
            expected=f"{SLIDING_WINDOWS.start} to {SLIDING_WINDOWS.stop - 1}",
        )
    if policy.align_mode not in ("Inner", "Outer"):
        raise Refusal(
            "InvalidAlignMode",
            f"alignMode is {locate.shown(policy.align_mode)!r}",
            place="alignPolicy.alignMode",
            expected="Inner or Outer",
        )
    if policy.fill_na_method not in (None, "Linear", "Previous", "Subsequent", "NotFill"):
        raise Refusal(
            "InvalidFillNAMethod",
            f"fillNAMethod is {locate.shown(policy.fill_na_method or '')!r}",
            place="alignPolicy.fillNAMethod",
            expected="Linear, Previous, Subsequent or NotFill; missing readings stay missing with any",
        )
    return Order(
        data_source=asked.data_source,
        data_schema=asked.data_schema,
        start_time=asked.start_time,
        end_time=asked.end_time,
        display_name=asked.display_name,
        sliding_window=asked.sliding_window,
        align_mode=policy.align_mode,
        fill_na_method=policy.fill_na_method,
        padding_value=policy.padding_value,
    )


def _check_schema(path: Path, schema: str) -> None:
    """Raises Refusal when what was named is not what was said of it."""
    if schema not in ("OneTable", "MultiTable"):
        raise Refusal(
            "BadArgument",
            f"dataSchema is {locate.shown(schema)!r}",
            place="dataSchema",
            expected="OneTable or MultiTable",
        )
    if path.is_dir() != (schema == "MultiTable"):
        raise Refusal(
            "BadArgument",
            f"dataSource is a {'folder' if path.is_dir() else 'file'}, dataSchema is {schema}",
            place="dataSchema",
            expected="OneTable for a file of all variables, MultiTable for a folder with a file for each",
        )


def _remove(training: Training, resources: Resources) -> None:
    shutil.rmtree(resources.settings.models / training.name, ignore_errors=True)
    resources.jobs.trainings.forget(training)
    resources.models.ask_all()


def _base(request: Request) -> str:
    """Of this API, with scheme and host as the caller wrote them."""
    return str(request.base_url).rstrip("/") + PREFIX
