"""A recording, or a stretch of it, over time: truth, verdicts, scores, readings beside what was expected."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from detector import Detector
from detector.windows import Bools, Floats
from evaluation.charts import svg
from evaluation.evaluate import FileResult
from evaluation.extracts import Extract, expected_course, places, span
from evaluation.persistence import AlarmAfter, alarms
from evaluation.plots import (
    COLOURS,
    GRID,
    INK,
    MUTED,
    NAMES,
    SILENCE_PERIODS,
    STYLE,
    TRUTH,
    time_axis,
    with_breaks,
)
from evaluation.rivals import ALWAYS_ON, MODEL
from evaluation.rivals import NAMES as DETECTORS
from evaluation.verdict_row import ANOMALOUS, NORMAL, VerdictRow

# A longer recording is drawn by the highest score of each of so many stretches: a page should open at once.
MOST_POINTS = 3000
# Scores are drawn up to so many times the threshold: beyond, a fault is a fault.
MOST_THRESHOLDS = 4.0


def draw_timeline(result: FileResult, limit: float, rule: AlarmAfter | None) -> str:
    """The model's score against its threshold; below, the truth and each detector's verdicts, as SVG."""
    time, unit = time_axis(result.passage.recording, result.passage.shape.period_s)
    at = time[places(result.passage)]
    lanes = _lanes(result, rule)
    with plt.rc_context(STYLE):
        figure, (axis, strip) = plt.subplots(
            2,
            1,
            sharex=True,
            figsize=(9.5, 1.35 + 0.17 * len(lanes)),
            height_ratios=(1.0, 0.17 * len(lanes)),
            layout="constrained",
        )
        _draw_score(axis, result.rows, at, limit)
        _draw_lanes(strip, lanes, at)
        strip.set_xlabel(unit)
        strip.set_xlim(at[0], at[-1])
        return svg(figure)


def draw_extract(extract: Extract, detector: Detector, rule: AlarmAfter | None) -> str:
    """The most blamed sensors beside what the model expected of them, truth and verdicts, as SVG."""
    result, rows = extract.result, span(extract)
    passage = result.passage
    time, unit = time_axis(passage.recording, passage.shape.period_s)
    place = places(passage)
    drawn = (place >= rows.start) & (place < rows.stop)
    expected = expected_course(passage, detector, rows)
    lanes = [(name, colours[drawn]) for name, colours in _lanes(result, rule)]
    units = {sensor.name: sensor.unit for sensor in detector.manifest.sensors}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(extract.sensors) + 1,
            1,
            sharex=True,
            figsize=(9.5, 0.6 + 1.05 * len(extract.sensors) + 0.17 * len(lanes)),
            height_ratios=[1.0] * len(extract.sensors) + [0.17 * len(lanes)],
            layout="constrained",
            squeeze=False,
        )
        first, last = time[place[extract.first]], time[place[extract.last]]
        for axis, name in zip(axes[:, 0], extract.sensors, strict=False):
            column = passage.recording.sensors.index(name)
            axis.axvspan(first, min(last, time[rows.stop - 1]), color=GRID, alpha=0.5, linewidth=0)
            axis.plot(
                *with_breaks(time[rows], passage.recording.values[rows, column]), color=INK, linewidth=0.8
            )
            axis.plot(
                *with_breaks(time[rows], expected[:, column]),
                color=COLOURS[NORMAL],
                linewidth=1.3,
                linestyle=(0, (4, 1.5)),
            )
            stretch = slice(place[extract.first], min(place[extract.last] + 1, rows.stop))
            within = slice(stretch.start - rows.start, stretch.stop - rows.start)
            _fit_to(axis, np.append(passage.recording.values[stretch, column], expected[within, column]))
            label = name if units.get(name) is None else f"{name}\n{units[name]}"
            axis.set_ylabel(label, rotation=0, ha="right", va="center")
        _draw_lanes(axes[-1, 0], lanes, time[place[drawn]])
        axes[-1, 0].set_xlabel(unit)
        axes[-1, 0].set_xlim(time[rows.start], time[rows.stop - 1])
        return svg(figure)


def _fit_to(axis: Any, readings: Floats) -> None:
    """Show these well, whatever the readings beside them do."""
    seen = readings[np.isfinite(readings)]
    if len(seen) and np.ptp(seen) > 0:
        axis.set_ylim(seen.min() - 0.5 * np.ptp(seen), seen.max() + 0.5 * np.ptp(seen))


def draw_key() -> str:
    """What the colours mean, once for all pictures."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(9.5, 0.35))
        handles = [Patch(color=COLOURS[kind], label=NAMES[kind]) for kind in COLOURS]
        handles.append(Patch(color=TRUTH, label="fault (label)"))
        handles += [
            plt.Line2D([], [], color=INK, linewidth=0.8, label="reading, or score"),
            plt.Line2D([], [], color=COLOURS[NORMAL], linestyle=(0, (4, 1.5)), label="expected"),
        ]
        figure.legend(handles=handles, loc="center", ncols=len(handles), frameon=False, columnspacing=1.2)
        return svg(figure)


def _lanes(result: FileResult, rule: AlarmAfter | None) -> list[tuple[str, "np.ndarray"]]:
    """(name, colour of each row, empty where nothing is to be drawn): the truth, then each detector."""
    truth = [TRUTH if row.label not in ("", NORMAL) else "" for row in result.rows]
    lanes = [("truth", np.array(truth))]
    for name, judged in result.judged.items():
        if name == ALWAYS_ON or (judged.figures is None and name != MODEL):
            continue
        lanes.append((DETECTORS[name], np.array([COLOURS[row.verdict] for row in judged.rows])))
        if name == MODEL and rule is not None:
            raised = zip(alarms(judged.rows, rule), judged.rows, strict=True)
            after = [_persisted(alarm, row) for alarm, row in raised]
            lanes.append((f"model {rule}", np.array(after)))
    return lanes


def _persisted(alarm: bool, row: VerdictRow) -> str:
    if alarm:
        return COLOURS[ANOMALOUS]
    return COLOURS[NORMAL] if row.verdict == ANOMALOUS else COLOURS[row.verdict]


def _draw_score(axis: Any, rows: Sequence[VerdictRow], at: Floats, limit: float) -> None:
    score = np.array([np.nan if row.score is None else row.score for row in rows])
    top = MOST_THRESHOLDS * max(limit, 1.0)
    x, y = with_breaks(*_thinned(at, np.minimum(score, top)))
    axis.axhline(limit, color=MUTED, linewidth=0.8, linestyle=":")
    axis.fill_between(x, limit, y, where=y >= limit, color=COLOURS[ANOMALOUS], alpha=0.3, linewidth=0)
    axis.plot(x, y, color=INK, linewidth=0.8)
    axis.set_ylim(min(-2.2, float(np.nanmin(score, initial=0.0))), top * 1.03)
    axis.set_ylabel("score", rotation=0, ha="right", va="center")
    axis.tick_params(axis="x", length=0)


def _thinned(at: Floats, score: Floats) -> tuple[Floats, Floats]:
    size = -(-len(score) // MOST_POINTS)
    if size <= 1:
        return at, score
    starts = np.arange(0, len(score), size)
    return at[starts], np.asarray(np.fmax.reduceat(score, starts))


def _draw_lanes(axis: Any, lanes: Sequence[tuple[str, "np.ndarray"]], at: Floats) -> None:
    """One bar a lane, broken where the recording is silent."""
    steps = np.diff(at)
    period = float(np.median(steps)) if len(steps) else 1.0
    silent: Bools = np.asarray((steps > SILENCE_PERIODS * period) | (steps <= 0))
    for height, (_, colours) in enumerate(reversed(lanes)):
        edges = np.flatnonzero((colours[1:] != colours[:-1]) | silent) + 1
        bars: dict[str, list[tuple[float, float]]] = {}
        for first, stop in pairwise([0, *edges.tolist(), len(at)]):
            until = at[stop] if stop < len(at) and not silent[stop - 1] else at[stop - 1] + period
            bars.setdefault(str(colours[first]), []).append((float(at[first]), float(until - at[first])))
        for colour, parts in bars.items():
            if colour:
                axis.broken_barh(parts, (height + 0.1, 0.8), facecolors=colour, linewidth=0)
    axis.set_ylim(0, len(lanes))
    axis.set_yticks([height + 0.5 for height in range(len(lanes))], [name for name, _ in reversed(lanes)])
    axis.tick_params(axis="y", length=0, labelsize=8)
    axis.spines["left"].set_visible(False)
