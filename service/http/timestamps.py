"""Times of readings: from JSON to seconds, and whether they suit the model."""

from datetime import UTC, datetime

import msgspec
import numpy as np

from detector.errors import BadTimestamps, WrongSamplingPeriod
from detector.windows import Floats, same_period
from service.http import locate
from service.http.wire import Timestamps

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED = "ISO 8601 text, or seconds since 1970"
_decoder = msgspec.json.Decoder(Timestamps)


def read_timestamps(raw: bytes, steps: int, at: str) -> Floats:
    """Ascending seconds since the epoch, float64 (steps,). A stamp without a zone is UTC.

    Raises BadTimestamps, naming the place.
    """
    try:
        stamps = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        wrong = locate.wrong_field(error)
        raise BadTimestamps(
            f"{wrong} in {at}", place=at + (wrong.place or ""), expected=wrong.expected or _EXPECTED
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise locate.not_json(error, at) from None
    if len(stamps) != steps:
        raise BadTimestamps(
            f"{len(stamps)} timestamps for {steps} steps", place=at, expected=f"{steps} timestamps"
        )
    seconds = np.array([_seconds(stamp, index, at) for index, stamp in enumerate(stamps)], np.float64)
    backward = np.flatnonzero(np.diff(seconds) <= 0)
    if len(backward):
        index = int(backward[0]) + 1
        raise BadTimestamps(
            f"timestamp {index} is not later than the one before it",
            place=f"{at}[{index}]",
            expected="ascending timestamps",
        )
    return seconds


def check_period(timestamps: Floats, period_s: float | None, at: str) -> None:
    """Raises WrongSamplingPeriod when the median step is off by more than PERIOD_FACTOR."""
    if period_s is None or len(timestamps) < 2:
        return
    steps = np.diff(timestamps)
    median = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if not same_period(median, period_s):
        raise WrongSamplingPeriod(
            f"the readings are {median:g} s apart, the model was trained on one every {period_s:g} s",
            place=at,
            expected=f"one reading every {period_s:g} s",
        )


def _seconds(stamp: str | float, index: int, at: str) -> float:
    if not isinstance(stamp, str):
        return float(stamp)
    try:
        moment = datetime.fromisoformat(stamp)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise BadTimestamps(
            f"timestamp {index} is not ISO 8601", place=f"{at}[{index}]", expected=_EXPECTED
        ) from None
