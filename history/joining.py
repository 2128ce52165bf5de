"""One recording from several taken at the same time: a file per sensor, or per part of a machine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from history import spool
from history.errors import BadTimestamps, TooFewRows
from history.quality import measure_quality
from history.recording import Recording

How = Literal["outer", "inner"]


def renamed(recording: Recording, sensors: Sequence[str]) -> Recording:
    """The same rows; its sensors under other names, in their order."""
    quality = replace(
        recording.quality,
        sensors=tuple(
            replace(sensor, sensor=name)
            for sensor, name in zip(recording.quality.sensors, sensors, strict=True)
        ),
    )
    return replace(recording, sensors=tuple(sensors), quality=quality)


def join(parts: Sequence[Recording], name: str, how: How = "outer") -> Recording:
    """Rows by time stamp, ascending, with the sensors of all parts side by side; labels are left out.

    how: `outer` keeps every stamp of any part, and what a part did not record is missing; `inner` keeps those
    that all parts have. A sensor that several parts have gets the readings of all; where a stamp has two of
    them, the later one in the order of parts and rows.
    Raises BadTimestamps for a part without time, TooFewRows.
    """
    for part in parts:
        if part.timestamps is None:
            raise BadTimestamps("has no time column, by which it could be joined to others", place=part.name)
    stamps = [np.asarray(part.timestamps) for part in parts]
    times = np.unique(np.concatenate(stamps))
    times = times[np.isfinite(times)]
    if how == "inner":
        times = times[np.all([np.isin(times, own) for own in stamps], axis=0)]
    if len(times) < 2:
        raise TooFewRows("has fewer than two time stamps that can be used", place=name)
    sensors = tuple(dict.fromkeys(sensor for part in parts for sensor in part.sensors))
    column = {sensor: index for index, sensor in enumerate(sensors)}
    values = spool.empty((len(times), len(sensors)))
    values.fill(np.nan)
    for part, own in zip(parts, stamps, strict=True):
        there = np.flatnonzero(np.isin(own, times))
        rows = np.searchsorted(times, own[there])
        for index, sensor in enumerate(part.sensors):
            readings = part.values[there, index]
            read = np.isfinite(readings)
            values[rows[read], column[sensor]] = readings[read]
    quality = measure_quality(sensors, values, np.zeros(values.shape, np.bool_), times)
    numbers = spool.keep(np.arange(1, len(times) + 1))
    return Recording(name, sensors, values, spool.keep(times), None, numbers, quality)
