"""`/models`: what is loaded, what each model needs to be told, and which version of it answers."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from service.errors import DeadlinePassed
from service.http import answers, locate, wire
from service.http.body import JSON, media_type, read_body
from service.http.request_log import facts_of
from service.models import LoadedModel, Models
from service.models.scanning import Prepare
from service.resources import ForAdmins, ForCallers, Resources, deadline_of

T = TypeVar("T")
router = APIRouter(prefix="/models")
_choice = msgspec.json.Decoder(wire.VersionChoice)
ModelName = Annotated[str, Path(description="Name of the model.")]


@router.get("", summary="List models")
async def list_models(resources: ForCallers) -> Response:
    """Every model of the store with its versions; a refused version says why."""
    return answers.json_response(wire.ModelList(resources.models.default_name(), summaries(resources.models)))


@router.post("/reload", summary="Look at the store now")
async def reload(request: Request, resources: ForAdmins) -> Response:
    """New versions are verified and then answer; those that were refused are judged once more."""
    deadline = deadline_of(request, resources.settings.commission_timeout_s)
    await asyncio.to_thread(resources.models.ask_all)
    changes = await _by(deadline, resources.watcher.look(again=True))
    told = [wire.StoreChange(c.name, c.number, c.what, c.reason) for c in changes]
    return answers.json_response(wire.Reloaded(told, summaries(resources.models)))


@router.put("/{name}/live", summary="Have a version answer")
async def put_live(name: ModelName, request: Request, resources: ForAdmins) -> Response:
    """Promote a version, or roll back to one: it answers in every worker. Null: the newest good one does."""
    return await _decide(name, request, resources, resources.models.choose)


@router.put("/{name}/challenger", summary="Try a version in the shadow")
async def put_challenger(name: ModelName, request: Request, resources: ForAdmins) -> Response:
    """The version judges the same windows as the live one, and is compared with it. Null: no more."""
    return await _decide(name, request, resources, resources.models.challenge)


@router.get("/{name}", summary="Show a model")
async def show_model(
    name: ModelName,
    resources: ForCallers,
    version: Annotated[int | None, Query(ge=1, description="Version; the live one if not given.")] = None,
) -> Response:
    """Sensors, window, classes, calibration and origin of one version of a model."""
    return answers.json_response(detail(resources.models, resources.models.find(name, version)))


async def _decide(
    name: str,
    request: Request,
    resources: Resources,
    decide: Callable[[str, int | None, Prepare], None],
) -> Response:
    settings, models = resources.settings, resources.models
    media_type(request, (JSON,))
    deadline = deadline_of(request, settings.commission_timeout_s)
    with resources.bodies.hold() as hold:
        body = await read_body(request, settings.max_body_bytes, deadline, hold)
        version = locate.decoded(_choice, body).version
    await _by(deadline, asyncio.to_thread(decide, name, version, resources.assets.adopt))
    facts_of(request).fields |= {"model": name, "version": version}
    return answers.json_response(summary(models, name))


async def _by(deadline: float, work: Coroutine[Any, Any, T]) -> T:
    """Wait until the deadline; what is under way then comes to its end by itself. Raises DeadlinePassed."""
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), 0.0)):
            return await asyncio.shield(work)
    except TimeoutError:
        raise DeadlinePassed("it takes longer, and goes on; /models shows what became of it") from None


def summaries(models: Models) -> list[wire.ModelSummary]:
    return [summary(models, name) for name in dict.fromkeys(version.name for version in models.all())]


def summary(models: Models, name: str) -> wire.ModelSummary:
    """Raises ModelNotFound."""
    live, choice = models.live(name), models.choice(name)
    return wire.ModelSummary(
        name,
        name == models.default_name(),
        live.ref.version if live else None,
        choice.live,
        choice.challenger,
        models.previous(name),
        answers.versions(models.versions(name)),
    )


def detail(models: Models, model: LoadedModel) -> wire.ModelDetail:
    manifest = model.detector.manifest
    shape, calibration = manifest.window, manifest.calibration
    return wire.ModelDetail(
        name=model.ref.name,
        version=model.ref.version,
        sha256=model.ref.sha256,
        default=model is models.default(),
        runtime=model.detector.runtime.name,
        created=manifest.created,
        sensors=[
            wire.SensorDetail(
                sensor.name, sensor.unit, sensor.center, sensor.scale, sensor.quantiles, sensor.scored
            )
            for sensor in manifest.sensors
        ],
        window=wire.WindowDetail(shape.steps, shape.minimum_steps, shape.period_s, shape.max_gap_periods),
        classes=manifest.classes,
        false_alarm_rate=wire.FalseAlarmRates(
            manifest.default_false_alarm_rate,
            *(calibration.normal_operation(by_asset).smallest_false_alarm_rate for by_asset in (False, True)),
        ),
        architecture=msgspec.to_builtins(manifest.architecture),
        metrics=manifest.metrics,
        training_data=msgspec.to_builtins(manifest.training_data),
        libraries=manifest.libraries,
        versions=answers.versions(models.versions(model.ref.name)),
    )
