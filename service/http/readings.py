"""From raw JSON readings to one float64 array; the fast path of every request."""

import struct
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import Raw

from detector.errors import UnknownSensor
from detector.windows import Floats
from service.errors import RaggedWindow, TooManySteps, WrongContent
from service.http import locate
from service.http.wire import Readings, Rows

_by_sensor = msgspec.json.Decoder(Readings)
_rows = msgspec.json.Decoder(Rows)


def read_readings(
    readings: Raw, values: Raw, sensors: tuple[str, ...], max_steps: int, at: str = ""
) -> tuple[Floats, str]:
    """Whichever of the two forms is given, as float64 (steps, sensors), NaN missing, in the model's order.

    at: place of the object that they are fields of. Returns the place of the readings as well.
    Raises WrongContent, RaggedWindow, RepeatedSensor, TooManySteps, UnknownSensor.
    """
    by_name, by_row = bytes(readings), bytes(values)
    if bool(by_name) == bool(by_row):
        given = "both `readings` and `values` are" if by_name else "neither `readings` nor `values` is"
        raise WrongContent(f"{given} given", place=at or None, expected="one of `readings` and `values`")
    if by_name:
        place = locate.join(at, "readings")
        return from_sensors(by_name, sensors, max_steps, place), place
    place = locate.join(at, "values")
    return from_rows(by_row, sensors, max_steps, place), place


def from_sensors(raw: bytes, sensors: tuple[str, ...], max_steps: int, at: str) -> Floats:
    """`{"Pressure": [0.1, null], …}` as (steps, sensors); sensors that are not there are NaN throughout."""
    try:
        columns = _by_sensor.decode(raw)
    except msgspec.ValidationError:
        raise locate.wrong_reading(raw, (dict, list), at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise locate.not_json(error, at) from None
    # Decoding keeps the last of two equal keys. Quotes that do not add up are the cheap sign of it.
    if raw.count(b'"') != 2 * len(columns) and (repeated := locate.repeated_sensor(raw, at)):
        raise repeated
    _check_names(columns, sensors, at)
    steps = _common_length(columns, at)
    check_steps(steps, max_steps, at)
    if len(columns) == len(sensors):
        return _array([columns[name] for name in sensors], steps).T
    result = np.full((steps, len(sensors)), np.nan)
    given = [index for index, name in enumerate(sensors) if name in columns]
    result[:, given] = _array([columns[sensors[index]] for index in given], steps).T
    return result


def from_rows(raw: bytes, sensors: tuple[str, ...], max_steps: int, at: str) -> Floats:
    """`[[0.1, null, …], …]`, one row a step, as (steps, sensors)."""
    try:
        rows = _rows.decode(raw)
    except msgspec.ValidationError:
        raise locate.wrong_reading(raw, (list, list), at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise locate.not_json(error, at) from None
    check_steps(len(rows), max_steps, at)
    for index, row in enumerate(rows):
        if len(row) != len(sensors):
            raise RaggedWindow(
                f"row {index} has {len(row)} readings, the model has {len(sensors)} sensors",
                place=f"{at}[{index}]",
                expected=f"{len(sensors)} readings: {', '.join(sensors)}",
            )
    return _array(rows, len(sensors))


def _array(lists: Sequence[Sequence[float | None]], length: int) -> Floats:
    """Lists of this length each as (lists, length).

    Packing takes half as long as NumPy takes to find out what they hold; with a missing reading, NumPy must
    (docs/decisions/0015).
    """
    packed = bytearray(8 * length * len(lists))
    form = f"{length}d"
    try:
        for index, each in enumerate(lists):
            struct.pack_into(form, packed, 8 * length * index, *each)
    except struct.error:
        return np.array(lists, np.float64)
    return np.frombuffer(packed, np.float64).reshape(len(lists), length)


def _check_names(columns: Readings, sensors: tuple[str, ...], at: str) -> None:
    if columns.keys() <= set(sensors):
        return
    for name in columns:
        if name not in sensors:
            raise UnknownSensor(
                f"the model has no sensor {locate.shown(name)!r}",
                place=at + locate.key(name),
                expected=f"one of: {', '.join(sensors)}",
            )


def _common_length(columns: Readings, at: str) -> int:
    if not columns:
        return 0
    first, steps = next((name, len(column)) for name, column in columns.items())
    if len(set(map(len, columns.values()))) == 1:
        return steps
    for name, column in columns.items():
        if len(column) != steps:
            raise RaggedWindow(
                f"sensor {name!r} has {len(column)} readings, {first!r} has {steps}",
                place=at + locate.key(name),
                expected="equally many readings of every sensor",
            )
    return steps


def check_steps(steps: int, max_steps: int, at: str) -> None:
    """Raises TooManySteps."""
    if steps > max_steps:
        raise TooManySteps(f"{at} has {steps} steps", place=at, expected=f"at most {max_steps}")
