"""Measuring how windows of normal operation look: `detector.operation.Operation`, from training data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector.operation import Operation
from detector.rows import Rows
from detector.statistics import WindowStatistics, window_statistics
from detector.windows import Bools, Floats, Singles, window_ends, windows_ending_at
from history import spool
from training.covariance import linearly_shrunk, quadratically_shrunk
from training.dataset import Experiment, wholly_normal
from training.errors import NotEnoughData
from training.recipe import Recipe

# Windows are taken every so many rows at most; more only cost time.
MOST_WINDOWS = 20_000
# Least standard deviation of a window's level, scatter or roughness: a sensor that never moved in training
# must not make a distance of the least flicker.
LEVEL_FLOOR = 0.03
SPREAD_FLOOR = 0.1


def measure_operation(experiments: Sequence[Experiment], recipe: Recipe) -> Operation:
    """From windows that are wholly normal, every asset's standardised by its own baseline.

    The covariances are shrunk: windows that share steps are fewer than they look, and rows hardly more than
    their sensors (training/covariance.py). `log_error` is still that of white noise; `calibrate` measures it
    once there is a network.
    """
    least = recipe.least_steps
    windows = _windows(experiments, recipe.window_steps)
    full, short = _statistics(windows, least)
    level, _ = mean_and_sd(full.level, LEVEL_FLOOR)
    scatter, scatter_sd = mean_and_sd(full.scatter, SPREAD_FLOOR)
    roughness, roughness_sd = mean_and_sd(full.roughness, SPREAD_FLOOR)
    sensors = len(level)
    return Operation(
        steps=recipe.window_steps,
        minimum_steps=least,
        level=level,
        covariance=_covariance(full.level, level, linearly_shrunk),
        short_covariance=_covariance(short.level, level, linearly_shrunk),
        scatter=scatter,
        scatter_sd=scatter_sd,
        roughness=roughness,
        roughness_sd=roughness_sd,
        log_error=np.zeros(sensors),
        log_error_sd=np.ones(sensors),
        coverage=_coverage(windows),
        rows=_measure_rows(experiments, windows, full.level, level),
    )


def _measure_rows(
    experiments: Sequence[Experiment], windows: Sequence[Singles], levels: Floats, level: Floats
) -> Rows:
    """The covariance from the rows of normal operation, how much sensors disagree from windows of it.

    levels: (windows, sensors), of the windows. level: (sensors,), their mean.
    """
    normal = np.concatenate([experiment.standardised[experiment.measured] for experiment in experiments])
    unknown = np.zeros(len(level)), np.ones(len(level))
    rows = Rows(level, _covariance(normal, level, quadratically_shrunk), *unknown)
    found = [rows.disagreements(filled, seen, levels[block]) for block, filled, seen in _blocks(windows)]
    mean, sd = mean_and_sd(np.concatenate(found), SPREAD_FLOOR)
    return replace(rows, disagreement=mean, disagreement_sd=sd)


def _blocks(windows: Sequence[Singles]) -> Iterator[tuple[slice, Singles, Bools]]:
    """Windows stacked, some at a time: which these are; readings, 0 where missing; which are there."""
    for block in spool.blocks(len(windows), windows[0].size):
        cut = np.stack(windows[block])
        observed = np.isfinite(cut)
        yield block, np.where(observed, cut, np.float32(0)), observed


def _statistics(windows: Sequence[Singles], least: int) -> tuple[WindowStatistics, WindowStatistics]:
    """Of full windows, and of the newest `least` steps of each."""
    full, short = [], []
    for _, filled, observed in _blocks(windows):
        full.append(window_statistics(filled, observed))
        short.append(window_statistics(filled[:, -least:], observed[:, -least:]))
    return _joined(full), _joined(short)


def _coverage(windows: Sequence[Singles]) -> Floats:
    """Share of each sensor's readings that are there, (sensors,), in windows where it has any; else 1."""
    there, possible = np.zeros(windows[0].shape[1]), np.zeros(windows[0].shape[1])
    for _, _, observed in _blocks(windows):
        count = observed.sum(axis=1)
        there += count.sum(axis=0)
        possible += np.where(count > 0, observed.shape[1], 0).sum(axis=0)
    return np.where(possible > 0, there / np.maximum(possible, 1), 1.0)


def _joined(parts: Sequence[WindowStatistics]) -> WindowStatistics:
    return WindowStatistics(
        np.concatenate([part.level for part in parts]),
        np.concatenate([part.scatter for part in parts]),
        np.concatenate([part.roughness for part in parts]),
    )


def _windows(experiments: Sequence[Experiment], steps: int) -> list[Singles]:
    """Views of wholly normal windows (steps, sensors), at least one."""
    ends = [_normal_ends(experiment, steps) for experiment in experiments]
    stride = max(1, -(-sum(map(len, ends)) // MOST_WINDOWS))
    cut = [
        windows_ending_at(experiment.standardised, experiment.runs, at[::stride], steps)
        for experiment, at in zip(experiments, ends, strict=True)
    ]
    windows = [window for windows in cut for window in windows]
    if not windows:
        raise NotEnoughData(
            f"no window of {steps} consecutive normal steps to train on: give more data, or a shorter "
            "window_steps"
        )
    return windows


def _normal_ends(experiment: Experiment, steps: int) -> NDArray[np.intp]:
    ends = window_ends(experiment.runs, steps)
    return spool.keep(ends[wholly_normal(experiment.state, ends, steps)])


def mean_and_sd(values: Floats, floor: float) -> tuple[Floats, Floats]:
    """Over windows, ignoring NaN; mean 0 and deviation 1 for a sensor that was never observed."""
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / count
    sd = np.sqrt(np.where(seen, np.square(values - mean), 0.0).sum(axis=0) / count)
    return mean, np.where(seen.any(axis=0), np.maximum(sd, floor), 1.0)


def _covariance(values: Floats | Singles, mean: Floats, shrunk: Callable[[Floats], Floats]) -> Floats:
    """Shrunk covariance (sensors, sensors) of levels or of rows, either with NaN where a sensor was missing.

    Variances are of what was observed. Two sensors that were seldom seen together are taken to be less
    correlated than they are, which leaves a covariance a covariance.
    """
    seen = np.isfinite(values)
    share = seen.mean(axis=0)
    known = share > 0
    covariance = np.eye(len(mean))
    if known.any():
        away = np.where(seen, values - mean, 0.0)[:, known] / np.sqrt(share[known])
        covariance[np.ix_(known, known)] = shrunk(away)
    return np.asarray(covariance + LEVEL_FLOOR**2 * np.eye(len(covariance)))
