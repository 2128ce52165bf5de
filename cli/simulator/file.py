"""A simulated machine as a historian would export it: CSV with a column of labels."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from history.plant import Floats, Machine
from history.recording import NORMAL

# Made-up readings carry made-up times, the same at every run.
FIRST_ROW = np.datetime64("2026-01-01T00:00:00.000", "ms")
LABEL_COLUMN = "label"
# Rows that are simulated and written at a time.
_ROWS = 10_000


def write_machine(
    path: Path, machine: Machine, sensors: tuple[str, ...], period_s: float, steps: int
) -> Counter[str]:
    """The rows before the stream, then `steps` of the stream. Returns how many rows have each label.

    Readings are written so that reading them gives the same numbers.
    """
    counts: Counter[str] = Counter()
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["timestamp", *sensors, LABEL_COLUMN])
        written = 0

        def write(values: Floats, labels: list[str]) -> None:
            nonlocal written
            milliseconds = np.round(np.arange(written, written + len(values)) * period_s * 1000)
            stamps = np.datetime_as_string(FIRST_ROW + milliseconds.astype("timedelta64[ms]"))
            for stamp, row, label in zip(stamps.tolist(), values.tolist(), labels, strict=True):
                table.writerow([f"{stamp}Z", *row, label])
            written += len(values)
            counts.update(labels)

        write(machine.lead, [NORMAL] * len(machine.lead))
        for first in range(0, steps, _ROWS):
            rows = machine.take(min(_ROWS, steps - first))
            write(rows.values, rows.labels)
    return counts
