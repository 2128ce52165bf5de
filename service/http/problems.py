"""Problem documents (RFC 9457), and the one table that gives each error its status and its stable code."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from detector import errors as detector_errors
from service import errors
from service.http.locate import shown
from service.http.wire import Problem

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error. meaning: a sentence for the documentation."""

    code: str
    status: int
    title: str
    meaning: str


INTERNAL = Kind(
    "internal_error",
    500,
    "Internal error",
    "A defect of the service. The log has one line with the same request id; the answer says no more.",
)

KINDS: Mapping[type[BaseException], Kind] = {
    errors.NotJson: Kind(
        "not_json",
        400,
        "Not JSON",
        "The body is empty or not JSON text in UTF-8. NaN and Infinity are not JSON.",
    ),
    errors.NotNpy: Kind(
        "not_npy",
        400,
        "Not a .npy array",
        "The body is not one whole array of numbers in the `.npy` format, as numpy.save writes it.",
    ),
    errors.ClientLeft: Kind(
        "client_left",
        400,
        "Client left",
        "The connection closed before the body was complete; seen in logs only.",
    ),
    errors.KeyRequired: Kind("key_required", 401, "API key required", "The request carries no API key."),
    errors.KeyUnknown: Kind(
        "key_unknown", 401, "Unknown API key", "The API key is not in the service's key file."
    ),
    errors.KeyNotAllowed: Kind(
        "key_not_allowed", 403, "Not allowed", "The API key does not have the role that the route needs."
    ),
    errors.RouteNotFound: Kind("not_found", 404, "Not found", "There is nothing at this path."),
    detector_errors.ModelNotFound: Kind(
        "model_not_found", 404, "Model not found", "No such model or version; the answer lists what there is."
    ),
    errors.BaselineNotFound: Kind(
        "baseline_not_found", 404, "Baseline not found", "The asset was not commissioned for this model."
    ),
    errors.MethodNotAllowed: Kind(
        "method_not_allowed", 405, "Method not allowed", "The path exists, but not with this method."
    ),
    errors.BodyTooSlow: Kind(
        "body_too_slow", 408, "Body too slow", "The body did not arrive within the deadline."
    ),
    errors.TooManyAssets: Kind(
        "too_many_assets",
        409,
        "Too many assets",
        "The service keeps as many baselines as it may; delete some.",
    ),
    errors.BodyTooLarge: Kind(
        "body_too_large", 413, "Body too large", "The body exceeds OFFNORMAL_MAX_BODY_MB."
    ),
    errors.UnsupportedMediaType: Kind(
        "unsupported_media_type",
        415,
        "Unsupported media type",
        "The content type is not one that the route reads.",
    ),
    errors.UnsupportedEncoding: Kind(
        "unsupported_encoding",
        415,
        "Unsupported encoding",
        "The content encoding is neither `gzip` nor `identity`, or the body is not what it says.",
    ),
    errors.WrongContent: Kind(
        "wrong_content",
        422,
        "Wrong content",
        "A field, parameter or header is unknown, missing, or of a wrong type or range.",
    ),
    errors.RaggedWindow: Kind(
        "ragged_window", 422, "Ragged window", "The sensors or rows of one window differ in length."
    ),
    errors.RepeatedSensor: Kind("repeated_sensor", 422, "Repeated sensor", "A window names a sensor twice."),
    errors.TooManyWindows: Kind(
        "too_many_windows", 422, "Too many windows", "The request exceeds OFFNORMAL_MAX_WINDOWS."
    ),
    errors.TooManySteps: Kind(
        "too_many_steps", 422, "Too many steps", "A window exceeds OFFNORMAL_MAX_STEPS."
    ),
    errors.InvalidAsset: Kind(
        "invalid_asset", 422, "Invalid asset name", "An asset's name is 1 to 128 printable characters."
    ),
    errors.UnreadableFile: Kind(
        "unreadable_file", 422, "Unreadable file", "The CSV in the body has no usable readings."
    ),
    detector_errors.BadWindow: Kind(
        "bad_window", 422, "Bad window", "A window cannot be used, for a reason that has no code of its own."
    ),
    detector_errors.UnknownSensor: Kind(
        "unknown_sensor", 422, "Unknown sensor", "A window names a sensor that the model does not have."
    ),
    detector_errors.WindowTooShort: Kind(
        "window_too_short", 422, "Window too short", "A window has fewer steps than the model's minimum."
    ),
    detector_errors.BadTimestamps: Kind(
        "bad_timestamps",
        422,
        "Bad timestamps",
        "Timestamps are unreadable, not ascending, or not one per step.",
    ),
    detector_errors.WrongSamplingPeriod: Kind(
        "wrong_sampling_period",
        422,
        "Wrong sampling period",
        "The readings were taken at another pace than the model's, by more than a factor of 1.5.",
    ),
    detector_errors.UnsupportedBudget: Kind(
        "unsupported_false_alarm_rate",
        422,
        "Unsupported false-alarm rate",
        "The rate is smaller than the model's calibration data can promise; the answer names the smallest.",
    ),
    detector_errors.BaselineRefused: Kind(
        "baseline_refused",
        422,
        "Baseline refused",
        "The readings are too few, too broken or too unsteady to be an asset's normal operation.",
    ),
    errors.QueueFull: Kind(
        "queue_full",
        429,
        "Queue full",
        "More is waiting than may wait; `Retry-After` says when to come back.",
    ),
    errors.RateExceeded: Kind(
        "rate_exceeded",
        429,
        "Too many requests",
        "The caller makes more requests than it may; `Retry-After` says when to come back.",
    ),
    Exception: INTERNAL,
    errors.NotReady: Kind(
        "not_ready", 503, "Not ready", "The model is still being loaded, or no model could be loaded."
    ),
    errors.StateUnavailable: Kind(
        "state_unavailable", 503, "State unavailable", "The store of baselines cannot be read or written."
    ),
    errors.DeadlinePassed: Kind(
        "deadline_passed", 504, "Deadline passed", "The answer was not ready in time; it was given up."
    ),
}
BY_CODE: Mapping[str, Kind] = {kind.code: kind for kind in KINDS.values()}


def kind_of(error: BaseException) -> Kind:
    """The entry of the nearest class; anything unforeseen is internal."""
    return KINDS.get(type(error)) or next(
        (KINDS[base] for base in type(error).__mro__ if base in KINDS), INTERNAL
    )


def problem_of(error: BaseException, request_id: str | None = None) -> Problem:
    """What the caller is told. An unforeseen error tells nothing of the inside."""
    kind = kind_of(error)
    place = expected = None
    if kind is INTERNAL:
        detail = "Something went wrong inside the service. Quote the request id when you report it."
    else:
        detail = str(error)
        place, expected = getattr(error, "place", None), getattr(error, "expected", None)
    if isinstance(error, detector_errors.UnsupportedBudget):
        place, expected = "false_alarm_rate", f"at least {error.smallest:.6g}"
    return Problem(
        f"/docs#{kind.code}", kind.title, kind.status, kind.code, detail, place, expected, request_id
    )


def headers_of(error: BaseException) -> dict[str, str]:
    if isinstance(error, errors.QueueFull | errors.RateExceeded):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.NotReady):
        return {"Retry-After": "1"}
    if isinstance(error, errors.KeyRequired | errors.KeyUnknown):
        return {"WWW-Authenticate": 'Bearer realm="offnormal"'}
    if isinstance(error, errors.MethodNotAllowed):
        return {"Allow": error.expected or ""}
    if isinstance(error, errors.UnsupportedEncoding):
        return {"Accept-Encoding": "gzip, identity"}
    return {}


def response_to(error: BaseException, request_id: str) -> Response:
    """The whole HTTP answer to an error."""
    problem = problem_of(error, request_id)
    return Response(
        msgspec.json.encode(problem), problem.status, headers=headers_of(error), media_type=MEDIA_TYPE
    )


def from_http(error: HTTPException, request: Request) -> errors.ServiceError:
    """The framework's own refusals, in this service's words."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow")
        return errors.MethodNotAllowed(f"{request.method} is not possible here", expected=allowed)
    return errors.RouteNotFound(f"nothing is at {shown(request.scope['path'])}; /docs lists what there is")
