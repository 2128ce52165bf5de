"""The paths of the protocol, and its way to tell errors."""

import time
from functools import partial

import msgspec
from fastapi import APIRouter, Request, Response

from service.http import answers
from service.http.body import JSON, media_type, read_body
from service.http.open_inference import wire
from service.http.open_inference.body import (
    BINARY,
    HEADER_LENGTH,
    decode,
    encode,
    header_length,
    request_of,
    wants_binary,
)
from service.http.probes import unready_reason
from service.http.problems import headers_of, problem_of
from service.http.request_log import facts_of
from service.judging import judge
from service.models import Models
from service.open_inference import metadata, outputs
from service.open_inference.inference import Inference, find_model, patience_s, understand
from service.open_inference.refusals import sentence
from service.resources import ForCallers, ForClassifying, OpenResources, deadline_of

PREFIX = "/v2"
# The protocol has a description of its own; /openapi.json is about what is this service's.
router = APIRouter(prefix=PREFIX, include_in_schema=False)
# A probe whose answer is no: the protocol wants a status from 400 to 499.
_NO = 400


@router.get("")
@router.get("/")
async def server_metadata(request: Request, resources: OpenResources) -> Response:
    """Name and release of the service."""
    del resources
    return answers.json_response(
        wire.ServerMetadata(metadata.SERVER_NAME, request.app.version, metadata.EXTENSIONS)
    )


@router.get("/health/live")
async def live(resources: OpenResources) -> Response:
    """No, when a model's worker hangs."""
    alive = not resources.models.hanging()
    return answers.json_response(wire.Live(alive), 200 if alive else _NO)


@router.get("/health/ready")
async def ready(resources: OpenResources) -> Response:
    """Whether the default model answers."""
    reason = unready_reason(resources)
    return answers.json_response(wire.Ready(reason is None, error=reason), 200 if reason is None else _NO)


@router.get("/models/{model}")
@router.get("/models/{model}/versions/{version}")
async def model_metadata(model: str, resources: ForCallers, version: str = "") -> Response:
    """Inputs and outputs; sensors, classes and hash among the parameters."""
    found = find_model(resources.models, model, version)
    return Response(msgspec.json.encode(metadata.describe(resources.models, found)), media_type=JSON)


@router.get("/models/{model}/ready")
@router.get("/models/{model}/versions/{version}/ready")
async def model_ready(model: str, resources: ForCallers, version: str = "") -> Response:
    """Whether this model answers."""
    is_ready = metadata.answers(resources.models, model, version)
    return answers.json_response(wire.Ready(is_ready, model), 200 if is_ready else _NO)


@router.post("/models/{model}/infer")
@router.post("/models/{model}/versions/{version}/infer")
async def infer(model: str, request: Request, resources: ForClassifying, version: str = "") -> Response:
    """Windows in, the outputs that are wanted out."""
    facts = facts_of(request)
    deadline = deadline_of(request, resources.settings.request_timeout_s)
    if "content-type" in request.headers:  # some of the protocol's clients send none
        media_type(request, (JSON, BINARY))
    with resources.bodies.hold() as hold:
        body = await read_body(request, resources.settings.max_body_bytes, deadline, hold)
        started = time.perf_counter()
        json_bytes = header_length(request.headers.get(HEADER_LENGTH), len(body))
        read = partial(
            _read, body, json_bytes, model, version, resources.models, resources.settings.max_windows
        )
        asked, inference, binary = await resources.work(len(body), read)
        resources.took(facts, "parse", time.perf_counter() - started)
        patience = patience_s(asked.parameters)
        if patience is not None:
            deadline = min(deadline, time.monotonic() + patience)
        verdicts = await judge(inference.task, resources, deadline, facts)

        def write() -> tuple[bytes, int | None]:
            ref = inference.task.model.ref
            answer = wire.InferResponse(
                ref.name,
                str(ref.version),
                outputs.parameters(inference),
                [],
                msgspec.UNSET if asked.id is None else asked.id,
            )
            return encode(answer, outputs.tensors(inference, verdicts), binary)

        started = time.perf_counter()
        content, head = await resources.work(len(body), write)
        resources.took(facts, "encode", time.perf_counter() - started)
    if head is None:
        return Response(content, media_type=JSON)
    return Response(content, media_type=BINARY, headers={HEADER_LENGTH: str(head)})


def refuse(error: Exception, request_id: str) -> Response:
    """An error as the protocol has it: one sentence."""
    problem = problem_of(error, request_id)
    refusal = wire.Refusal(sentence(problem), problem.code, request_id)
    return Response(msgspec.json.encode(refusal), problem.status, headers=headers_of(error), media_type=JSON)


def _read(
    body: bytes, json_bytes: int, model: str, version: str, models: Models, max_windows: int
) -> tuple[wire.InferRequest, Inference, dict[str, bool]]:
    asked = decode(body, json_bytes)
    request = request_of(model, version, asked, memoryview(body)[json_bytes:])
    return asked, understand(request, models, max_windows), wants_binary(asked)
