"""A recording: the rows of one experiment, asset or file, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from history import spool
from history.errors import NoSuchSensors
from history.quality import RecordingQuality, measure_sensor, sampling_period

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]

NORMAL = "normal"
ANOMALOUS = "anomalous"
UNLABELLED = ""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Rows of one experiment, asset or file, in file order.

    name: as shown to people, e.g. `valve2/0.csv`.
    values: float64 (rows, sensors), engineering units, NaN where missing or invalid.
    timestamps: float64 (rows,), seconds since the epoch, UTC, or None. Stamps without a zone are read as UTC.
        They may go backwards where the plant's clock did: no window may span such a step.
    labels: str (rows,), `normal` or the name of a class (`anomalous` for a 0/1 column), empty where not
        labelled, or None when the file has no labels.
    row_numbers: int64 (rows,), 1-based data row in the file.
    """

    name: str
    sensors: tuple[str, ...]
    values: Floats
    timestamps: Floats | None
    labels: Texts | None
    row_numbers: NDArray[np.int64]
    quality: RecordingQuality

    def __len__(self) -> int:
        return len(self.values)

    @property
    def period_s(self) -> float | None:
        """Median positive step of the time stamps, seconds; None without time."""
        return sampling_period(self.timestamps)

    def select(self, sensors: Sequence[str]) -> "Recording":
        """The same rows with these sensors, in this order; a sensor that is absent becomes an all-NaN column.

        Raises NoSuchSensors when none of them is there.
        """
        if tuple(sensors) == self.sensors:
            return self
        place = {name: index for index, name in enumerate(self.sensors)}
        if not any(name in place for name in sensors):
            raise NoSuchSensors(
                f"has none of the sensors {_listed(sensors)}; it has {_listed(self.sensors)}", place=self.name
            )
        rows = len(self.values)
        columns = [place.get(name, -1) for name in sensors]
        values = spool.empty((rows, len(sensors)))
        for block in spool.blocks(rows, len(sensors)):
            values[block] = np.where(np.array(columns) < 0, np.nan, self.values[block][:, columns])
        qualities = [
            self.quality.sensors[place[name]]
            if name in place
            else measure_sensor(name, np.full(rows, np.nan), np.zeros(rows, np.bool_))
            for name in sensors
        ]
        absent = [name for name in sensors if name not in place]
        notes = self.quality.notes + ((f"has no sensor {_listed(absent)}",) if absent else ())
        quality = replace(self.quality, sensors=tuple(qualities), notes=notes)
        return replace(self, sensors=tuple(sensors), values=values, quality=quality)


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
