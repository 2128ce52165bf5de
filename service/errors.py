"""What the service itself refuses, in words that a caller can act on.

`problems.py` gives each class its HTTP status and its stable code.
"""


class ServiceError(Exception):
    """Base. place: where in the request, e.g. `windows[3].readings.Pressure[17]`; expected: what would do."""

    def __init__(self, message: str, *, place: str | None = None, expected: str | None = None) -> None:
        super().__init__(message)
        self.place = place
        self.expected = expected


class NotJson(ServiceError):
    """The body is not JSON text."""


class NotNpy(ServiceError):
    """The body is not one whole array in the `.npy` format."""


class WrongContent(ServiceError):
    """A field is unknown, missing, or of another type or range."""


class RaggedWindow(ServiceError):
    """The sensors of a window, or its rows, differ in length."""


class RepeatedSensor(ServiceError):
    """A sensor is given twice in one window."""


class TooManyWindows(ServiceError):
    """A request has more windows than one request may have."""


class TooManySteps(ServiceError):
    """A window has more steps than one window may have."""


class InvalidAsset(ServiceError):
    """An asset's name is empty, too long, or not printable."""


class UnreadableFile(ServiceError):
    """A plant's file in a body cannot be read as one."""


class BodyTooLarge(ServiceError):
    """The body is larger than a body may be."""


class BodyTooSlow(ServiceError):
    """The body did not arrive in time."""


class ClientLeft(ServiceError):
    """The connection closed before the answer; nobody reads what this becomes."""


class UnsupportedMediaType(ServiceError):
    """The body is of a content type that this route does not read."""


class UnsupportedEncoding(ServiceError):
    """The body's content encoding is unknown, or the body is not what its encoding says."""


class KeyRequired(ServiceError):
    """No API key was given."""


class KeyUnknown(ServiceError):
    """The API key is not one of ours."""


class KeyNotAllowed(ServiceError):
    """The API key does not have the role that this route needs."""


class RouteNotFound(ServiceError):
    """There is nothing at this path."""


class MethodNotAllowed(ServiceError):
    """The path is known, the method is not."""


class BaselineNotFound(ServiceError):
    """The asset has no baseline for the model."""


class TooManyAssets(ServiceError):
    """The state holds as many baselines as it may."""


class NotReady(ServiceError):
    """The model that is asked for is not loaded yet, or none is."""


class StateUnavailable(ServiceError):
    """The store of baselines cannot be read or written."""


class QueueFull(ServiceError):
    """More is waiting than may wait. retry_after_s: when it is worth to come back, whole seconds."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateExceeded(ServiceError):
    """A caller makes more requests than it may. retry_after_s: when the next may come, whole seconds."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlinePassed(ServiceError):
    """The answer was not ready when the caller's patience ended."""


class PortUnavailable(ServiceError):
    """A port cannot be listened on; the service does not start."""


class KeysUnreadable(ServiceError):
    """The file of API keys cannot be used; without the keys it was told of, the service does not start."""


class TracingUnavailable(ServiceError):
    """Traces are to be sent and cannot be made; the service does not start rather than to stay silent."""
