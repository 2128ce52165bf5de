"""`/openapi.json`: FastAPI's routes, the schemas of `wire`, the codes of `problems`, and live examples."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from service.errors import ServiceError
from service.http import examples, wire
from service.http.body import CSV, NPY
from service.http.classify import QUERIES
from service.http.problems import BY_CODE, MEDIA_TYPE
from service.http.wire import SCHEMA_REF
from service.resources import ForCallers, Resources

router = APIRouter()
_KEY = ("key_required", "key_unknown", "key_not_allowed", "rate_exceeded")
_BODY = (
    "not_json",
    "client_left",
    "body_too_slow",
    "body_too_large",
    "unsupported_media_type",
    "unsupported_encoding",
    "wrong_content",
)
_MODEL = ("model_not_found", "not_ready")
_READINGS = (
    "ragged_window",
    "repeated_sensor",
    "too_many_steps",
    "invalid_asset",
    "unknown_sensor",
    "bad_timestamps",
    "wrong_sampling_period",
    "bad_window",
)
_EXAMPLES_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be said of one route. answers: by status, a struct, a media type, or None for no content.

    queries: by type of the body, a struct whose fields are the query parameters that go with it and that
        the framework does not know of. or_csv: whether the caller may have the answer as CSV.
    """

    tag: str
    answers: Mapping[int, type[msgspec.Struct] | str | None]
    codes: Sequence[str] = ()
    body: Mapping[str, Any] | None = None
    queries: Mapping[str, type[msgspec.Struct]] = field(default_factory=dict)
    or_csv: bool = False


_CHOOSING = Operation(
    "Models",
    {200: wire.ModelSummary},
    (*_KEY, *_BODY, *_MODEL, "state_unavailable", "deadline_passed"),
    {"application/json": {"schema": {"$ref": SCHEMA_REF.format(name="VersionChoice")}}},
)
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("/classify", "post"): Operation(
        "Classify",
        {200: wire.ClassifyResponse},
        (
            *_KEY,
            *_BODY,
            *_MODEL,
            *_READINGS,
            "not_npy",
            "unreadable_file",
            "too_many_windows",
            "window_too_short",
            "unsupported_false_alarm_rate",
            "queue_full",
            "state_unavailable",
            "deadline_passed",
        ),
        {
            "application/json": {"schema": {"$ref": SCHEMA_REF.format(name="ClassifyRequest")}},
            NPY: {
                "schema": {
                    "type": "string",
                    "contentMediaType": NPY,
                    "description": "One array as numpy.save writes it: float32 or float64, (windows, steps, "
                    "sensors), NaN missing, sensors as in `/models/{name}`. Choices are query parameters.",
                }
            },
            CSV: {
                "schema": {
                    "type": "string",
                    "description": "A file as a historian exports it; its header names the sensors. Each row "
                    "is judged by the window that ends at it. Choices are query parameters.",
                }
            },
        },
        QUERIES,
        or_csv=True,
    ),
    ("/assets", "get"): Operation("Assets", {200: wire.AssetList}, (*_KEY, "state_unavailable")),
    ("/assets/{asset}/baseline", "put"): Operation(
        "Assets",
        {201: wire.AssetBaseline, 200: wire.AssetBaseline},
        (
            *_KEY,
            *_BODY,
            *_MODEL,
            *_READINGS,
            "unreadable_file",
            "baseline_refused",
            "too_many_assets",
            "queue_full",
            "state_unavailable",
            "deadline_passed",
        ),
        {
            "application/json": {"schema": {"$ref": SCHEMA_REF.format(name="CommissionRequest")}},
            "text/csv": {"schema": {"type": "string", "description": "The header names the sensors."}},
        },
    ),
    ("/assets/{asset}/baseline", "get"): Operation(
        "Assets",
        {200: wire.AssetBaseline},
        (*_KEY, *_MODEL, "baseline_not_found", "invalid_asset", "state_unavailable"),
    ),
    ("/assets/{asset}/baseline", "delete"): Operation(
        "Assets", {204: None}, (*_KEY, *_MODEL, "baseline_not_found", "invalid_asset", "state_unavailable")
    ),
    ("/models", "get"): Operation("Models", {200: wire.ModelList}, _KEY),
    ("/models/reload", "post"): Operation(
        "Models", {200: wire.Reloaded}, (*_KEY, "wrong_content", "state_unavailable", "deadline_passed")
    ),
    ("/models/{name}/live", "put"): _CHOOSING,
    ("/models/{name}/challenger", "put"): _CHOOSING,
    ("/models/{name}", "get"): Operation(
        "Models", {200: wire.ModelDetail}, (*_KEY, *_MODEL, "wrong_content")
    ),
    ("/livez", "get"): Operation("Operations", {200: wire.Alive, 503: wire.Alive}),
    ("/readyz", "get"): Operation("Operations", {200: wire.Ready, 503: wire.Ready}),
    ("/metrics", "get"): Operation("Operations", {200: "text/plain"}, _KEY),
    ("/openapi.json", "get"): Operation("Operations", {200: "application/json"}, _KEY),
    ("/docs", "get"): Operation("Operations", {200: "text/html"}, _KEY),
}

_DESCRIPTION = """\
A window of sensor readings in; out comes how likely the machine is off-normal, how badly the window could be
reconstructed, which sensors are to blame, and whether to raise an alarm.

Errors are problem documents (RFC 9457) with a stable `code`. The codes that belong to no route of their own:
`not_found` (404), `method_not_allowed` (405), `internal_error` (500).
"""


@router.get("/openapi.json", summary="This description")
async def openapi_json(request: Request, resources: ForCallers) -> Response:
    """OpenAPI 3.1. Its examples are made from the default model and can be posted as they are."""
    document = describe(request.app)
    model = resources.models.default()
    if model is not None:
        await _add_examples(document, resources)
    return Response(msgspec.json.encode(document), media_type="application/json")


def describe(app: FastAPI) -> dict[str, Any]:
    """The document without examples."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    _, schemas = msgspec.json.schema_components(wire.SCHEMAS, ref_template=SCHEMA_REF)
    schemas["ClassifyRequest"]["oneOf"] = [{"required": ["windows"]}, {"required": ["window"]}]
    for name in ("Window", "CommissionRequest"):
        schemas[name]["oneOf"] = [{"required": ["readings"]}, {"required": ["values"]}]
    document["components"] = {
        "schemas": schemas,
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }
    document["paths"] = {
        path.replace("{asset:path}", "{asset}"): operations for path, operations in document["paths"].items()
    }
    document["x-problems"] = [
        {"code": kind.code, "status": kind.status, "meaning": kind.meaning}
        for kind in sorted(BY_CODE.values(), key=lambda kind: (kind.status, kind.code))
    ]
    for (path, method), operation in OPERATIONS.items():
        _complete(document["paths"][path][method], operation)
    _spell_out(document)
    return document


def _spell_out(node: Any) -> None:
    """What a schema implies, said for generators of clients.

    A list of words is of strings, an object that may hold anything says so, and a default of null is no
    default but a field that may be left out.
    """
    if isinstance(node, dict):
        words = node.get("enum")
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            node.setdefault("type", "string")
        if node.get("type") == "object" and not node.keys() & {"properties", "additionalProperties"}:
            node["additionalProperties"] = True
        if node.get("default", ...) is None:
            del node["default"]
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _spell_out(inner)


def _complete(described: dict[str, Any], operation: Operation) -> None:
    described["tags"] = [operation.tag]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {k: dict(v) for k, v in operation.body.items()},
        }
    if operation.queries:
        described.setdefault("parameters", []).extend(_parameters(operation.queries))
    if "deadline_passed" in operation.codes:
        described.setdefault("parameters", []).append(
            {
                "name": "Request-Timeout",
                "in": "header",
                "description": "How long the caller will wait, seconds.",
                "schema": {"type": "number", "exclusiveMinimum": 0},
            }
        )
    if operation.codes[: len(_KEY)] == _KEY:
        described["security"] = [{}, {"bearer": []}, {"header": []}]
    responses: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": _ANSWERS[status], **_content(answer)}
        if operation.or_csv:
            responses[str(status)]["content"][CSV] = {"schema": {"type": "string"}}
    for code in (*operation.codes, "internal_error"):
        kind = BY_CODE[code]
        response = responses.setdefault(
            str(kind.status),
            {"description": "", **_content(wire.Problem, MEDIA_TYPE)},
        )
        response["description"] += f"{chr(10) if response['description'] else ''}`{code}`: {kind.meaning}"
    described["responses"] = dict(sorted(responses.items()))


def _parameters(queries: Mapping[str, type[msgspec.Struct]]) -> Iterator[dict[str, Any]]:
    """Each field as a parameter; one that may be null is one that may be left out."""
    kinds: dict[str, list[str]] = {}
    told: dict[str, dict[str, Any]] = {}
    for kind, struct in queries.items():
        _, schemas = msgspec.json.schema_components([struct], ref_template=SCHEMA_REF)
        for name, schema in schemas[struct.__name__]["properties"].items():
            kinds.setdefault(name, []).append(kind)
            given = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
            told[name] = given[0] if len(given) == 1 else schema
    for name, schema in told.items():
        beside = " or ".join(f"`{kind}`" for kind in kinds[name])
        yield {
            "name": name,
            "in": "query",
            "description": f"{schema.get('description', '')} Only beside a body of {beside}.".strip(),
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "x-beside": kinds[name],
        }


_ANSWERS = {200: "Done.", 201: "Created.", 204: "Done.", 503: "Not now."}


def _content(
    answer: type[msgspec.Struct] | str | None, media_type: str = "application/json"
) -> dict[str, Any]:
    if answer is None:
        return {}
    if isinstance(answer, str):
        return {"content": {answer: {"schema": {"type": "object" if "json" in answer else "string"}}}}
    return {"content": {media_type: {"schema": {"$ref": SCHEMA_REF.format(name=answer.__name__)}}}}


async def _add_examples(document: dict[str, Any], resources: Resources) -> None:
    """Without them, rather than not at all, when the model is too busy to be asked."""
    model = resources.models.find()
    try:
        made = await examples.make_examples(model, time.monotonic() + _EXAMPLES_TIMEOUT_S)
    except ServiceError:
        return
    paths = document["paths"]
    paths["/classify"]["post"]["requestBody"]["content"]["application/json"]["examples"] = examples.requests(
        model, made
    )
    content = paths["/assets/{asset}/baseline"]["put"]["requestBody"]["content"]["application/json"]
    content["examples"] = examples.commissioning(model, made)
    for path in ("/assets/{asset}/baseline", "/models/{name}"):
        for described in paths[path].values():
            for parameter in described["parameters"]:
                if parameter["in"] == "path":
                    parameter["example"] = model.ref.name if parameter["name"] == "name" else "P-101"
