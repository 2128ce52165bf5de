"""`/livez`, `/readyz` and `/metrics`: what an operator's tools ask for."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.http import answers, wire
from service.http.model_routes import summaries
from service.resources import ForReading, OpenResources, Resources

router = APIRouter()


@router.get("/livez", summary="Whether the process is alive")
async def livez(resources: OpenResources) -> Response:
    """503 when a model's worker hangs: restarting is the remedy."""
    hanging = resources.models.hanging()
    return answers.json_response(wire.Alive(not hanging, hanging), 503 if hanging else 200)


@router.get("/readyz", summary="Whether the default model answers")
async def readyz(resources: OpenResources) -> Response:
    """200 only while requests that name no model are answered."""
    reason = unready_reason(resources)
    models = resources.models
    answer = wire.Ready(reason is None, not models.finished, reason, models.default_name(), summaries(models))
    return answers.json_response(answer, 200 if reason is None else 503)


@router.get("/metrics", summary="Metrics for Prometheus")
async def metrics(resources: ForReading) -> Response:
    """Prometheus text format."""
    resources.metrics.ready[0] = unready_reason(resources) is None
    await resources.assets.count()
    content = await asyncio.to_thread(resources.metrics.render)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def unready_reason(resources: Resources) -> str | None:
    """Why the default model does not answer, None while it does."""
    models = resources.models
    if resources.draining.is_set():
        return "the service is shutting down"
    if resources.starting.is_set():  # whatever this one can answer already
        return "other workers load their models" if models.finished else "models are being loaded"
    default = models.default()
    if default is None:
        name = models.default_name()
        if not models.finished:
            return "models are being loaded"
        return f"the default model {name!r} is not loaded" if name else "no model could be loaded"
    if f"{default.ref.name}/{default.ref.version}" in models.hanging():
        return f"the default model {default.ref.name!r} hangs"
    return None
