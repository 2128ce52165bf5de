"""Pictures of a model at work, for people who would rather look than read."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from detector.windows import Floats
from evaluation.evaluate import FileResult
from evaluation.verdict_row import ANOMALOUS, BASELINE, CANNOT_JUDGE, NORMAL
from history.recording import Recording

INK, MUTED, GRID = "#1d2733", "#6b7785", "#e3e7ec"
COLOURS = {NORMAL: "#3f9d6b", ANOMALOUS: "#d1495b", CANNOT_JUDGE: "#e0a030", BASELINE: "#9fb3c8"}
NAMES = {
    NORMAL: "normal",
    ANOMALOUS: "anomalous",
    CANNOT_JUDGE: "cannot judge",
    BASELINE: "commissioning",
}
TRUTH = "#5b4b8a"
# Units of a time axis, and how many seconds make it worth using.
UNITS = (("days", 86400.0, 3 * 86400.0), ("hours", 3600.0, 3 * 3600.0), ("minutes", 60.0, 0.0))
# Lines and bars are broken where no reading came for this many sampling periods.
SILENCE_PERIODS = 5.0
# Readings of a line; more cannot be seen.
MOST_POINTS = 100_000
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "figure.facecolor": "white",
    "savefig.dpi": 130,
}


def draw_run(result: FileResult, path: Path, sensors: Sequence[str] | None = None, title: str = "") -> None:
    """One recording: its readings, the anomalous probability, the verdicts; labelled faults are shaded.

    sensors: those to draw, at most four; the ones most blamed during alarms unless given.
    """
    recording, rows = result.recording, result.rows
    chosen = list(sensors) if sensors else most_blamed(result)[:3]
    time, unit = time_axis(recording, result.passage.shape.period_s)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(chosen) + 2,
            1,
            sharex=True,
            figsize=(9.5, 1.15 * len(chosen) + 3.1),
            height_ratios=[1.0] * len(chosen) + [1.3, 0.6],
            layout="constrained",
        )
        for axis, name in zip(axes, chosen, strict=False):
            drawn = slice(None, None, -(-len(time) // MOST_POINTS))
            readings = recording.values[drawn, recording.sensors.index(name)]
            axis.plot(*with_breaks(time[drawn], readings), color=INK, linewidth=0.7)
            axis.set_ylabel(name, rotation=0, ha="right", va="center")
            _shade_truth(axis, result, time)
        _draw_probability(axes[-2], result, time)
        _shade_truth(axes[-2], result, time)
        _draw_verdicts(axes[-1], result, time)
        axes[-1].set_xlabel(unit)
        axes[0].set_title(title or recording.name, loc="left", fontsize=11, fontweight="bold")
        used = [kind for kind in COLOURS if any(row.verdict == kind for row in rows)]
        handles = [Patch(color=COLOURS[kind], label=NAMES[kind]) for kind in used]
        if recording.labels is not None:
            handles.append(Patch(color=TRUTH, alpha=0.35, label="fault (label)"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
        figure.savefig(path)
        plt.close(figure)


def most_blamed(result: FileResult) -> list[str]:
    """Sensors by their total share over anomalous verdicts, or by their order where there are none."""
    blame = dict.fromkeys(result.recording.sensors, 0.0)
    for row in result.rows:
        if row.verdict == ANOMALOUS:
            for sensor, share in row.contributions:
                blame[sensor] = blame.get(sensor, 0.0) + share
    return sorted(blame, key=lambda name: -blame[name])


def draw_losses(reconstruction: Sequence[float], classification: Sequence[float], path: Path) -> None:
    """Both losses by optimiser step, smoothed over 25 steps."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
        for losses, name, colour in (
            (reconstruction, "reconstruction (MSE)", INK),
            (classification, "classes (cross-entropy)", COLOURS[ANOMALOUS]),
        ):
            axis.plot(_smooth(np.asarray(losses, np.float64)), label=name, color=colour, linewidth=1.2)
        axis.set_xlabel("optimiser step")
        axis.set_ylabel("loss")
        axis.set_yscale("log")
        axis.grid(color=GRID, linewidth=0.6)
        axis.legend(frameon=False)
        figure.savefig(path)
        plt.close(figure)


def _smooth(losses: Floats, width: int = 25) -> Floats:
    width = min(width, len(losses))
    return np.convolve(losses, np.ones(width) / width, mode="valid")


def time_axis(recording: Recording, period_s: float | None) -> tuple[Floats, str]:
    """Where each row lies on a picture's axis, and what that axis is: time since the first row, in the unit
    that suits its length, or rows where there is no notion of time.

    period_s: the model's, for a recording without time stamps.
    """
    rows = np.arange(len(recording.values), dtype=np.float64)
    if recording.timestamps is not None and len(rows):
        seconds = recording.timestamps - recording.timestamps[0]
    elif period_s is not None:
        seconds = rows * period_s
    else:
        return rows + 1, "row"
    length = float(np.max(seconds, initial=0.0))
    unit, size = next((unit, size) for unit, size, least in UNITS if length >= least)
    return np.asarray(seconds / size), f"{unit} since the first row"


def _row_times(result: FileResult, time: Floats) -> Floats:
    numbers = result.recording.row_numbers
    order = np.argsort(numbers)
    return time[order[np.searchsorted(numbers, [row.row for row in result.rows], sorter=order)]]


def _shade_truth(axis: Any, result: FileResult, time: Floats) -> None:
    labels = result.recording.labels
    if labels is None:
        return
    faulty = (labels != NORMAL) & (labels != "")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], faulty.astype(int), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        axis.axvspan(time[first], time[last - 1], color=TRUTH, alpha=0.12, linewidth=0)


def _draw_probability(axis: Any, result: FileResult, time: Floats) -> None:
    at = _row_times(result, time)
    probability = np.array(
        [np.nan if row.probabilities is None else 1.0 - row.probabilities[0] for row in result.rows]
    )
    at, probability = with_breaks(at, probability)
    axis.fill_between(at, 0, probability, color=COLOURS[ANOMALOUS], alpha=0.25, linewidth=0)
    axis.plot(at, probability, color=COLOURS[ANOMALOUS], linewidth=0.9)
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("anomalous\nprobability", rotation=0, ha="right", va="center")


def _draw_verdicts(axis: Any, result: FileResult, time: Floats) -> None:
    """One bar for each run of equal verdicts; nothing where the file is silent."""
    at = _row_times(result, time)
    verdicts = np.array([row.verdict for row in result.rows])
    period = float(np.median(np.diff(at))) if len(at) > 1 else 1.0
    silent = np.diff(at) > SILENCE_PERIODS * period
    edges = np.flatnonzero((verdicts[1:] != verdicts[:-1]) | silent) + 1
    for first, last in pairwise([0, *edges.tolist(), len(at)]):
        until = at[last] if last < len(at) and not silent[last - 1] else at[last - 1] + period
        axis.axvspan(at[first], until, color=COLOURS[verdicts[first]], linewidth=0)
    _shade_truth(axis, result, time)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.set_ylabel("verdict", rotation=0, ha="right", va="center")


def with_breaks(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A line that is drawn neither across silence nor backwards, where a clock was set back."""
    steps = np.diff(time)
    if len(steps) == 0:
        return time, values
    gaps = np.flatnonzero((steps > SILENCE_PERIODS * np.median(steps)) | (steps <= 0)) + 1
    return np.insert(time, gaps, np.nan), np.insert(values, gaps, np.nan)
