"""What can go wrong while a trained model is in use, in the words of the domain."""


class DetectorError(Exception):
    """Base of every error that this package raises on purpose."""


class ShapeMismatch(DetectorError):
    """An array does not have the shape that the model expects."""


class BadWindow(DetectorError):
    """A window of readings cannot be used.

    place: where, relative to the window, e.g. `readings.Pressure[17]`.
    expected: what would have been accepted.
    """

    code = "bad_window"

    def __init__(self, message: str, *, place: str, expected: str) -> None:
        super().__init__(message)
        self.place = place
        self.expected = expected


class UnknownSensor(BadWindow):
    """A window names a sensor that the model was not trained on."""

    code = "unknown_sensor"


class WindowTooShort(BadWindow):
    """A window has fewer steps than the model's minimum."""

    code = "window_too_short"


class BadTimestamps(BadWindow):
    """Timestamps run backwards, repeat, or do not pair with the readings."""

    code = "bad_timestamps"


class WrongSamplingPeriod(BadTimestamps):
    """Readings were taken at another pace than the model was trained for."""

    code = "wrong_sampling_period"


class UnsupportedBudget(DetectorError):
    """A false-alarm rate was asked for that the calibration data cannot promise.

    smallest: the smallest rate that can be asked for.
    """

    def __init__(self, asked: float, smallest: float) -> None:
        super().__init__(
            f"a false-alarm rate of {asked:g} cannot be promised: "
            f"the calibration data supports {smallest:.3g} at the least"
        )
        self.asked = asked
        self.smallest = smallest


class BaselineRefused(DetectorError):
    """The readings given for an asset's baseline cannot serve as one."""


class ModelNotFound(DetectorError):
    """The store has no such model or version."""


class ArtefactRefused(DetectorError):
    """A model's folder is incomplete, altered, of another schema, or fails its golden replay."""

    def __init__(self, folder: object, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder = folder
        self.reason = reason
