"""Example requests that work: made from the golden windows of the model that is served."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector import Options, Ruling, Window
from detector.artefact import load_golden
from detector.windows import Floats
from service.models import LoadedModel

# Decimals beyond those of a sensor's standard deviation: as few as the verdict allows.
_DECIMALS = (1, 2, 3, 5, 8)
_PLAIN = Options()
# In so many places is a golden window cut for a short example.
_CUTS = 8


@dataclass(frozen=True, slots=True)
class Examples:
    """Windows as JSON values would have them: rows of readings, None missing; oldest step first.

    short: as few steps as the model judges. full: a whole window. Both are normal, strange is anomalous, if
    the model says so of any golden window.
    """

    sensors: tuple[str, ...]
    short: list[list[float | None]]
    full: list[list[float | None]]
    strange: list[list[float | None]]

    def by_sensor(self, rows: Sequence[Sequence[float | None]]) -> dict[str, list[float | None]]:
        return {
            name: list(column) for name, column in zip(self.sensors, zip(*rows, strict=True), strict=True)
        }


async def make_examples(model: LoadedModel, deadline: float) -> Examples:
    """Golden windows, rounded as far as the verdict allows. deadline: time.monotonic seconds."""
    golden = load_golden(model.artefact).batch
    observed = np.where(golden.observed, golden.readings, np.nan)
    windows = [observed[i, : golden.lengths[i]] for i in range(len(golden))]
    least = model.detector.manifest.window.minimum_steps
    short = [window[start : start + least] for window in windows for start in _starts(len(window) - least)]
    return Examples(
        model.detector.sensors,
        short=await _shown(model, short, Ruling.NORMAL, deadline),
        full=await _shown(model, windows, Ruling.NORMAL, deadline),
        strange=await _shown(model, windows, Ruling.ANOMALOUS, deadline),
    )


def _starts(last: int) -> range:
    """A few places from 0 to `last`."""
    return range(0, last + 1, max(1, last // _CUTS))


def requests(model: LoadedModel, examples: Examples) -> dict[str, Any]:
    """Bodies for `POST /classify`, in the form that OpenAPI wants them."""
    name = model.ref.name
    full, strange = examples.by_sensor(examples.full), examples.by_sensor(examples.strange)
    return {
        "shorthand": {
            "summary": "One window of rows, the shortest that is judged",
            "value": {"window": examples.short},
        },
        "readings": {
            "summary": "Readings by sensor, with everything explained",
            "value": {
                "model": name,
                "windows": [{"id": "example", "asset": "P-101", "readings": full}],
                "explain": True,
            },
        },
        "batch": {
            "summary": "Two windows of different lengths; a bad one would not stop the other",
            "value": {
                "windows": [{"id": 1, "values": examples.short}, {"id": 2, "readings": strange}],
                "on_error": "skip",
            },
        },
    }


def commissioning(model: LoadedModel, examples: Examples) -> dict[str, Any]:
    """A body for `PUT /assets/{asset}/baseline`: the normal window several times over."""
    rows = examples.full * math.ceil(60 / len(examples.full))
    return {
        "readings": {
            "summary": "A minute of normal operation (give more, if you can)",
            "value": {"readings": examples.by_sensor(rows)},
        }
    }


async def _shown(
    model: LoadedModel, windows: Sequence[Floats], wanted: Ruling, deadline: float
) -> list[list[float | None]]:
    """The most complete and longest window with the wanted ruling, else the best there is."""
    ordered = sorted(windows, key=lambda values: (np.isnan(values).mean(), -len(values)))
    found = _first(ordered, await _rulings(model, ordered, deadline), wanted)
    return await _rounded(model, ordered[0] if found is None else found, deadline)


async def _rulings(model: LoadedModel, windows: Sequence[Floats], deadline: float) -> list[Ruling]:
    judged = await model.batcher.judge([Window(values) for values in windows], _PLAIN, deadline)
    return [verdict.ruling for verdict in judged.verdicts]


def _first(windows: Sequence[Floats], rulings: Sequence[Ruling], wanted: Ruling) -> Floats | None:
    return next((window for window, ruling in zip(windows, rulings, strict=True) if ruling == wanted), None)


async def _rounded(model: LoadedModel, values: Floats, deadline: float) -> list[list[float | None]]:
    """With as few digits as leave the verdict as it is: rounding can make a quiet sensor look dead."""
    size = np.floor(np.log10(model.detector.manifest.asset_scale)).astype(int)
    shorter = [
        np.stack([np.round(column, extra - int(s)) for column, s in zip(values.T, size, strict=True)], axis=1)
        for extra in _DECIMALS
    ]
    wanted, *rulings = await _rulings(model, [values, *shorter], deadline)
    best = _first(shorter, rulings, wanted)
    rows: list[list[float]] = (values if best is None else best).tolist()
    return [[None if math.isnan(x) else x for x in row] for row in rows]
