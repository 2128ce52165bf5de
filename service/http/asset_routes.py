"""`/assets`: each machine's own normal operation."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from detector.windows import Floats
from service.http import answers, locate, wire
from service.http.body import CSV, JSON, media_type, read_body
from service.http.csv_body import read_recording
from service.http.readings import read_readings
from service.http.request_log import facts_of
from service.http.timestamps import check_period, read_timestamps
from service.http.window_reader import check_asset
from service.models import LoadedModel
from service.resources import ForAdmins, ForReading, deadline_of
from service.state import StoredBaseline

router = APIRouter(prefix="/assets")
_decoder = msgspec.json.Decoder(wire.CommissionRequest)
ModelName = Annotated[str | None, Query(description="Name of the model; the default model if not given.")]


@dataclass(frozen=True, slots=True)
class NormalOperation:
    """values: float64 (rows, sensors), NaN missing. timestamps: float64 (rows,), seconds, or None."""

    values: Floats
    timestamps: Floats | None


@router.get("", summary="List commissioned assets")
async def list_assets(resources: ForReading) -> Response:
    """Every asset that has a baseline of its own."""
    assets = [
        wire.AssetSummary(item.asset, item.model, answers.iso(item.created), item.rows, list(item.versions))
        for item in await resources.assets.all()
    ]
    return answers.json_response(wire.AssetList(assets))


@router.put(
    "/{asset:path}/baseline",
    summary="Commission an asset",
    status_code=201,
)
async def put_baseline(
    asset: str,
    request: Request,
    resources: ForAdmins,
    model: ModelName = None,
) -> Response:
    """Readings of known-normal operation become the asset's baseline; an earlier one is replaced (200)."""
    check_asset(asset)
    kind = media_type(request, (JSON, CSV))
    settings = resources.settings
    deadline = deadline_of(request, settings.commission_timeout_s)
    with resources.bodies.hold() as hold:
        body = await read_body(request, settings.max_body_bytes, deadline, hold)
        chosen = resources.models.find(model)
        facts_of(request).fields |= {"model": chosen.ref.name, "version": chosen.ref.version}
        read = partial(read_json if kind == JSON else read_csv, body, chosen, settings.max_steps)
        given = await asyncio.get_running_loop().run_in_executor(resources.pool, read)
        stored, created = await resources.assets.commission(
            asset, chosen, given.values, given.timestamps, deadline
        )
    return answers.json_response(_baseline(asset, chosen, stored), 201 if created else 200)


@router.get("/{asset:path}/baseline", summary="Show an asset's baseline")
async def get_baseline(asset: str, resources: ForReading, model: ModelName = None) -> Response:
    """Centre, scale and drift of each sensor, and which sensors are left out of the judgement."""
    check_asset(asset)
    chosen = resources.models.find(model)
    return answers.json_response(_baseline(asset, chosen, await resources.assets.get(asset, chosen)))


@router.delete(
    "/{asset:path}/baseline",
    summary="Forget an asset",
    status_code=204,
)
async def delete_baseline(asset: str, resources: ForAdmins, model: ModelName = None) -> Response:
    """The asset is judged by the model's own baseline again."""
    check_asset(asset)
    await resources.assets.delete(asset, resources.models.find(model).ref.name)
    return Response(status_code=204)


def read_json(body: bytes, model: LoadedModel, max_rows: int) -> NormalOperation:
    """Raises ServiceError, BadWindow, each with its place."""
    request = locate.decoded(_decoder, body)
    values, _ = read_readings(request.readings, request.values, model.detector.sensors, max_rows)
    timestamps = None
    if stamps := bytes(request.timestamps):
        timestamps = read_timestamps(stamps, len(values), "timestamps")
        check_period(timestamps, model.detector.manifest.window.period_s, "timestamps")
    return NormalOperation(values, timestamps)


def read_csv(body: bytes, model: LoadedModel, max_rows: int) -> NormalOperation:
    """A plant's file; its header names the sensors.

    Raises UnreadableFile, WrongSamplingPeriod, TooManySteps.
    """
    recording = read_recording(body, model.detector.manifest, max_rows)
    return NormalOperation(recording.values, recording.timestamps)


def _baseline(asset: str, model: LoadedModel, stored: StoredBaseline) -> wire.AssetBaseline:
    baseline = stored.baseline
    sensors = {
        name: wire.SensorBaseline(*numbers)
        for name, *numbers in zip(
            model.detector.sensors,
            baseline.center.tolist(),
            baseline.scale.tolist(),
            baseline.drift.tolist(),
            baseline.left_out.tolist(),
            strict=True,
        )
    }
    left_out = [name for name, sensor in sensors.items() if sensor.left_out]
    return wire.AssetBaseline(asset, model.ref, answers.iso(stored.created), baseline.rows, sensors, left_out)
