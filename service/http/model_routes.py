"""`/models`: what is loaded, and what each model needs to be told."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response

from service.http import answers, wire
from service.models import LoadedModel, Models
from service.resources import ForCallers

router = APIRouter(prefix="/models")


@router.get("", summary="List models")
async def list_models(resources: ForCallers) -> Response:
    """Every model of the store with its versions; a refused version says why."""
    return answers.json_response(wire.ModelList(resources.models.default_name(), summaries(resources.models)))


@router.get("/{name}", summary="Show a model")
async def show_model(
    name: Annotated[str, Path(description="Name of the model.")],
    resources: ForCallers,
    version: Annotated[int | None, Query(ge=1, description="Version; the newest if not given.")] = None,
) -> Response:
    """Sensors, window, classes, calibration and origin of one version of a model."""
    return answers.json_response(detail(resources.models, resources.models.find(name, version)))


def summaries(models: Models) -> list[wire.ModelSummary]:
    default = models.default_name()
    names = dict.fromkeys(version.name for version in models.all())
    return [
        wire.ModelSummary(name, name == default, answers.versions(models.versions(name))) for name in names
    ]


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
