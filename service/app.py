"""Wiring only: what exists, who gets it, and when it is opened and closed."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from detector.errors import DetectorError
from detector.onnx_runtime import OnnxRuntime
from detector.runtime import OpenRuntime
from service.assets import Assets
from service.errors import ServiceError, WrongContent
from service.grpc.door import grpc_door
from service.http import asset_routes, classify, docs_page, model_routes, openapi, probes
from service.http.admission import Admission, Admitted, Brief
from service.http.body import BodyBudget
from service.http.doors import DOORS, refusal
from service.http.enclosed import EnclosedApi
from service.http.gate import Gate
from service.http.keys import KeyFile, Keyring
from service.http.problems import from_http, kind_of
from service.http.rates import Rates
from service.http.request_log import Logged, RequestLog, facts_of
from service.http.security import SecurityHeaders, cors
from service.http.short_way import ShortWay
from service.jobs import Jobs
from service.measuring.ledger import Ledger
from service.measuring.metrics import Metrics
from service.models import Models
from service.models.shadow import Shadow
from service.models.watching import Watcher
from service.resources import LifespanState, Resources
from service.settings import MEGABYTE, Settings
from service.state import SqliteState
from service.tracing import Tracing

_log = logging.getLogger(__name__)
Loaded = Callable[[Resources], Awaitable[None]]


def create_app(
    settings: Settings,
    open_runtime: OpenRuntime = OnnxRuntime,
    on_loaded: Loaded | None = None,
    ledger: Ledger | None = None,
) -> FastAPI:
    """The service. Models are loaded in the background once it starts: until then it answers 503.

    on_loaded: called on the event loop when loading has come to its end.
    ledger: where several workers of one service count together.
    Raises KeysUnreadable, TracingUnavailable. Starting it raises StateUnavailable.
    """
    tracing = None if settings.tracing_endpoint is None else Tracing.to(settings.tracing_endpoint, release())
    keyring = Keyring() if settings.keys_file is None else KeyFile(settings.keys_file)
    security = SecurityHeaders(tls=settings.tls_certificate is not None)
    metrics = Metrics(release(), settings.metric_assets, ledger)
    metrics.queue_limit[0] = settings.queue_windows
    metrics.body_bytes_limit[0] = settings.max_bodies_mb * MEGABYTE
    metrics.network_bytes_limit[0] = settings.models_mb * MEGABYTE

    gate = Gate(settings.max_wait_s)
    log, admission = RequestLog(metrics, security.beside, refusal), Admission(gate)
    # What else wants to see every answer sees those as well.
    whole = bool(settings.origins) or tracing is not None
    brief = None if whole else Brief(metrics, security.beside)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        models = Models(settings, open_runtime, metrics)
        state = SqliteState(settings.state, settings.max_assets)
        assets = Assets(state, models, metrics)
        watcher = Watcher(models, assets.adopt, assets.catch_up, settings.models_poll_s)
        shadow = Shadow(models, assets.baselines, metrics)
        bodies = BodyBudget(int(settings.max_bodies_mb * MEGABYTE), metrics.body_bytes)
        resources = Resources(
            settings=settings,
            models=models,
            watcher=watcher,
            shadow=shadow,
            assets=assets,
            keyring=keyring,
            rates=Rates(settings.requests_per_s, settings.request_burst_s),
            metrics=metrics,
            bodies=bodies,
            pool=ThreadPoolExecutor(2, "offnormal bodies"),
            jobs=Jobs.of(settings, models, watcher),
            gate=gate,
            brief=brief,
            starting=app.state.starting,
            draining=app.state.draining,
        )
        loading = asyncio.create_task(_load(resources, on_loaded))
        beside = [asyncio.create_task(watcher.run()), asyncio.create_task(shadow.run())]
        async with grpc_door(resources, release(), loading):
            yield LifespanState(resources=resources)
            resources.draining.set()
        await resources.jobs.close()
        assets.stop_adopting()
        await loading
        for task in beside:
            task.cancel()
        await asyncio.to_thread(models.close, settings.shutdown_timeout_s)
        await asyncio.to_thread(assets.close)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)
        resources.pool.shutdown()

    app = EnclosedApi(
        around=[
            *([] if tracing is None else [tracing.middleware()]),
            Middleware(
                ShortWay,
                router=classify.router,
                log=log,
                admission=admission,
                refuse=_refuse,
                shared=bool(settings.origins),
            ),
            Middleware(Logged, log=log),
            Middleware(Admitted, admission=admission),
            *cors(settings.origins),
        ],
        title="Offnormal",
        version=release(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # The framework's own would tell a collector the messages of errors, which may quote a reading.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={
            ServiceError: _refuse,
            DetectorError: _refuse,
            HTTPException: _refuse_http,
            RequestValidationError: _refuse_parameter,
            Exception: _refuse,
        },
    )
    app.state.starting = threading.Event()
    app.state.draining = threading.Event()
    for part in (classify, asset_routes, model_routes, probes, openapi, docs_page):
        app.include_router(part.router)
    for door in DOORS:
        app.include_router(door.router)
    return app


def release() -> str:
    """Version of the installed package."""
    try:
        return version("offnormal")
    except PackageNotFoundError:
        return "0"


async def _load(resources: Resources, on_loaded: Loaded | None) -> None:
    try:
        await asyncio.to_thread(resources.models.load, resources.assets.adopt)
        if on_loaded is not None:
            await on_loaded(resources)
    except Exception:  # the service stays up; /readyz says whether it is of use
        _log.exception("starting failed")


async def _refuse(request: Request, error: Exception) -> Response:
    facts = facts_of(request)
    facts.error_code = kind_of(error).code
    return refusal(request.scope["path"], error, facts.request_id)


async def _refuse_http(request: Request, error: HTTPException) -> Response:
    return await _refuse(request, from_http(error, request))


async def _refuse_parameter(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"])
    return await _refuse(
        request, WrongContent(f"{place}: {first['msg']}", place=place, expected=first["msg"])
    )
