"""Errors in the form of the retired API: its codes and statuses, its body and its header."""

from collections.abc import Mapping

import msgspec
from fastapi import Response

from detector import errors as detector_errors
from service import errors
from service.http.problems import headers_of, problem_of
from service.jobs.training import TrainingBusy, TrainingNotInstalled

CODE_HEADER = "x-ms-error-code"
# What is over after a while.
_PASSING = (429, 503)


class Refusal(errors.WrongContent):
    """Something that the API has a code of its own for. code, status: as documented for it."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        place: str | None = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(message, place=place, expected=expected)
        self.code = code
        self.status = status


class Nothing(errors.RouteNotFound):
    """A result or a model that is not there. code: as documented for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = 404


# Code and status of what is refused beneath the door. Codes of digits are those that the API's gateway used.
CODES: Mapping[type[Exception], tuple[str, int]] = {
    errors.NotJson: ("InvalidJsonFormat", 400),
    errors.WrongContent: ("BadArgument", 400),
    errors.UnsupportedMediaType: ("BadArgument", 415),
    errors.UnsupportedEncoding: ("BadArgument", 415),
    errors.TooManySteps: ("TooManyData", 400),
    errors.TooManyWindows: ("TooManyData", 400),
    errors.RaggedWindow: ("MergeDataFailed", 400),
    errors.RepeatedSensor: ("DuplicatedVariables", 400),
    errors.UnreadableFile: ("ReadingFileError", 400),
    errors.BodyTooLarge: ("InvalidFileSize", 413),
    errors.BodyTooSlow: ("408", 408),
    errors.KeyRequired: ("401", 401),
    errors.KeyUnknown: ("401", 401),
    errors.KeyNotAllowed: ("403", 403),
    errors.RouteNotFound: ("404", 404),
    errors.MethodNotAllowed: ("405", 405),
    TrainingBusy: ("TooManyRunningModels", 400),
    TrainingNotInstalled: ("NotOffered", 501),
    errors.QueueFull: ("429", 429),
    errors.RateExceeded: ("429", 429),
    errors.NotReady: ("ServiceUnavailable", 503),
    errors.StateUnavailable: ("StorageReadError", 503),
    errors.DeadlinePassed: ("Timeout", 504),
    detector_errors.ModelNotFound: ("ModelNotExist", 404),
    detector_errors.UnknownSensor: ("RedundantFile", 400),
    detector_errors.WindowTooShort: ("NotEnoughInput", 400),
    detector_errors.BadTimestamps: ("InvalidTimestampFormat", 400),
    detector_errors.WrongSamplingPeriod: ("MergeDataFailed", 400),
    detector_errors.BadWindow: ("BadArgument", 400),
}
UNEXPECTED = ("UnexpectedError", 500)


def code_of(error: BaseException) -> tuple[str, int]:
    """The API's code and the status."""
    if isinstance(error, Refusal | Nothing):
        return error.code, error.status
    return next((CODES[base] for base in type(error).__mro__ if base in CODES), UNEXPECTED)


def message_of(error: BaseException) -> str:
    """What is wrong, and what was expected, in one line."""
    problem = problem_of(error)
    where = f"{problem.place}: " if problem.place and problem.place not in problem.detail else ""
    wanted = f"; expected {problem.expected}" if problem.expected else ""
    return f"{where}{problem.detail}{wanted}"


def refuse(error: Exception, request_id: str) -> Response:
    """The whole answer. The detector wrote code and message bare, its gateway wrapped them in `error`, and
    clients look for either: so both are there."""
    code, status = code_of(error)
    message = message_of(error)
    if code == UNEXPECTED[0]:
        message += f" ({request_id})"
    body = {"code": code, "message": message, "error": {"code": code, "message": message}}
    # The client tries again by itself where a time is named, whatever the status.
    given = headers_of(error).items()
    headers = {CODE_HEADER: code} | {k: v for k, v in given if k != "Retry-After" or status in _PASSING}
    return Response(msgspec.json.encode(body), status, headers, "application/json")
