"""What the training data looked like, for the manifest: sensors, fingerprint, time span."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detector.manifest import Sensor, TrainingData
from history import spool
from history.recording import Recording
from training.dataset import NORMAL, Experiment, Population

QUANTILES = (0.001, 0.01, 0.5, 0.99, 0.999)


def describe_sensors(
    experiments: Sequence[Experiment], population: Population, units: Mapping[str, str]
) -> list[Sensor]:
    """One entry a sensor, over normal rows of the training experiments; typical errors are still 1."""
    normal = [e.recording.values[e.measured] for e in experiments]
    pooled = np.concatenate(normal)
    flat = np.max([longest_runs(e) for e in experiments], axis=0)
    sensors = []
    for index, name in enumerate(population.sensors):
        column = pooled[:, index]
        column = column[np.isfinite(column)]
        quantiles = np.quantile(column, QUANTILES).tolist() if len(column) else [0.0] * len(QUANTILES)
        changes = np.concatenate([np.abs(np.diff(rows[:, index])) for rows in normal])
        changes = changes[np.isfinite(changes)]
        sensors.append(
            Sensor(
                name=name,
                unit=units.get(name),
                center=float(population.center[index]),
                scale=float(population.scale[index]),
                asset_scale=float(population.asset_scale[index]),
                quantiles=[float(f"{value:.8g}") for value in quantiles],
                noise=float(np.median(changes)) if len(changes) else 0.0,
                longest_flat=int(flat[index]),
                drift=round(float(population.drift[index]), 3),
                scored=not bool(population.drifting[index]) and len(column) > 0,
                typical_error=1.0,
            )
        )
    return sensors


def longest_runs(experiment: Experiment) -> NDArray[np.int64]:
    """Most consecutive equal readings of each sensor over normal rows, (sensors,), past missing ones."""
    rows, values = np.flatnonzero(experiment.state == NORMAL), experiment.recording.values
    sensors = values.shape[1]
    longest, running, last = (
        np.zeros(sensors, np.int64),
        np.zeros(sensors, np.int64),
        np.full(sensors, np.nan),
    )
    for block in spool.blocks(len(rows), sensors):
        readings = values[rows[block]]
        for index in range(sensors):
            column = readings[:, index]
            column = column[np.isfinite(column)]
            if len(column):
                starts = np.flatnonzero(np.diff(column, prepend=np.nan) != 0)
                runs = np.diff(np.append(starts, len(column)))
                # The first run may go on from the block before.
                runs[0] += running[index] * (column[0] == last[index])
                longest[index] = max(longest[index], runs.max())
                running[index], last[index] = runs[-1], column[-1]
    return longest


def fingerprint(recordings: Sequence[Recording]) -> str:
    """SHA-256 of the readings and labels themselves, whatever file format they came in."""
    digest = hashlib.sha256()
    for recording in sorted(recordings, key=lambda r: r.name):
        digest.update("\0".join([recording.name, *recording.sensors]).encode())
        for block in spool.blocks(*recording.values.shape):
            digest.update(np.ascontiguousarray(recording.values[block]).tobytes())
        if recording.labels is not None:
            for block in spool.blocks(len(recording), recording.labels.itemsize):
                between = "\0" if block.start else ""
                digest.update((between + "\0".join(recording.labels[block].tolist())).encode())
    return digest.hexdigest()


def describe_data(
    recordings: Sequence[Recording], labels: str, description: str, licence: str
) -> TrainingData:
    """What a model was made from, for its manifest."""
    stamps = [r.timestamps for r in recordings if r.timestamps is not None and len(r.timestamps)]
    return TrainingData(
        sha256=fingerprint(recordings),
        files=len({r.name for r in recordings}),
        rows=sum(len(r.values) for r in recordings),
        start=_iso(min(float(s.min()) for s in stamps)) if stamps else None,
        end=_iso(max(float(s.max()) for s in stamps)) if stamps else None,
        labels=labels,
        description=description,
        licence=licence,
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
