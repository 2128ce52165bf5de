"""The variables of a detect-last request: from series of their own to one window."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from detector.errors import UnknownSensor
from detector.windows import Floats
from service.errors import RaggedWindow, RepeatedSensor
from service.http import locate
from service.http.azure.wire import VariableValues
from service.http.readings import check_steps
from service.http.timestamps import read_timestamps

_values = msgspec.json.Decoder(list[float | None])


@dataclass(frozen=True, slots=True)
class Series:
    """times: float64 (rows,), seconds, ascending. values: float64 (rows, sensors), NaN missing."""

    times: Floats
    values: Floats


def read_series(variables: Sequence[VariableValues], sensors: tuple[str, ...], max_rows: int) -> Series:
    """In the model's order of sensors; one that is not given is missing throughout.

    Raises UnknownSensor, RepeatedSensor, RaggedWindow, BadTimestamps, TooManySteps, WrongContent, NotJson,
    each with its place.
    """
    place = {name: index for index, name in enumerate(sensors)}
    first = variables[0]
    stamps = bytes(first.timestamps)
    columns: dict[str, Floats] = {}
    times = np.empty(0)
    for index, series in enumerate(variables):
        at = f"variables[{index}]"
        if series.variable not in place:
            raise UnknownSensor(
                f"the model has no variable {locate.shown(series.variable)!r}",
                place=f"{at}.variable",
                expected=f"one of: {', '.join(sensors)}",
            )
        if series.variable in columns:
            raise RepeatedSensor(
                f"variable {series.variable!r} is given twice",
                place=f"{at}.variable",
                expected="each variable once",
            )
        column = _column(series.values, f"{at}.values")
        check_steps(len(column), max_rows, at)
        if index == 0:
            times = read_timestamps(stamps, len(column), f"{at}.timestamps")
        elif bytes(series.timestamps) != stamps or len(column) != len(times):
            own = read_timestamps(bytes(series.timestamps), len(column), f"{at}.timestamps")
            _check_same(own, times, series.variable, first.variable, f"{at}.timestamps")
        columns[series.variable] = column
    values = np.full((len(times), len(sensors)), np.nan)
    for name, column in columns.items():
        values[:, place[name]] = column
    return Series(times, values)


def _column(raw: msgspec.Raw, at: str) -> Floats:
    try:
        return np.array(_values.decode(raw), np.float64)
    except msgspec.ValidationError:
        raise locate.wrong_reading(bytes(raw), (list,), at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise locate.not_json(error, at) from None


def _check_same(own: Floats, times: Floats, name: str, first: str, at: str) -> None:
    if len(own) == len(times) and (own == times).all():
        return
    raise RaggedWindow(
        f"the timestamps of {name!r} are not those of {first!r}",
        place=at,
        expected=f"the {len(times)} timestamps of {first!r}",
    )
