"""A body that is a plant's file: CSV as a historian exports it, its header naming the sensors."""

import re
from typing import TYPE_CHECKING

from detector.manifest import Manifest
from service.errors import UnreadableFile
from service.http import wire
from service.http.readings import check_steps
from service.http.timestamps import check_period

if TYPE_CHECKING:
    from history.options import ReadOptions
    from history.recording import Recording

# How places in the body begin, e.g. `body, line 17` or `body, column 'time'`.
NAME = "body"
_DECIMALS = {"point": ".", "comma": ","}
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


def read_recording(
    body: bytes, manifest: Manifest, max_rows: int, query: wire.TableQuery = wire.TableQuery()
) -> "Recording":
    """The file's rows, with the model's sensors in the model's order; other columns are ignored, a sensor
    without a column is missing throughout.

    Raises UnreadableFile, TooManySteps, WrongSamplingPeriod, each with its place.
    """
    from history.errors import HistoryError
    from history.read import read_bytes

    sensors = manifest.sensor_names
    try:
        recording = read_bytes(body, _options(query), NAME).select(sensors)
    except HistoryError as error:
        raise UnreadableFile(
            _OPTION.sub(lambda option: option[1].replace("-", "_"), str(error)),
            place=error.place,
            expected=f"CSV whose header names sensors of the model: {', '.join(sensors)}",
        ) from None
    check_steps(len(recording), max_rows, NAME)
    if recording.timestamps is not None:
        check_period(recording.timestamps, manifest.window.period_s, NAME)
    return recording


def _options(query: wire.TableQuery) -> "ReadOptions":
    from history.options import ReadOptions
    from history.roles import NO_COLUMN

    return ReadOptions(
        delimiter=query.delimiter,
        decimal=None if query.decimal is None else _DECIMALS[query.decimal],
        time_column=NO_COLUMN if query.time_column == "none" else query.time_column,
        time_format=query.time_format,
    )
