"""Batches for fitting: windows of normal operation, windows with recorded and with injected faults."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.windows import Bools, Floats, Ints, Singles, window_ends
from history import spool
from history.faults import FAULTS
from training.dataset import NORMAL, Experiment, wholly_normal
from training.errors import NotEnoughData
from training.recipe import Recipe
from training.smoothing import offset_deviations, offset_mixing

# Share of injected faults that are active from the first step of the window.
ACTIVE_FROM_START = 0.4
KINDS = tuple(FAULTS)
# Share of its sensors, readings or rows that a window loses at most, where it loses any.
MOST_LOST = 0.6


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """standardised, target: float32 (windows, steps, sensors); the target is the window without its fault.

    observed, wanted: bool, same shape; given to the network, and counted in the reconstruction loss.
    lengths: int32 (windows,). klass: int32 (windows,).
    """

    standardised: Singles
    observed: Bools
    lengths: Ints
    target: Singles
    wanted: Bools
    klass: Ints


class WindowSampler:
    """Draws batches afresh, so that no fault is ever seen twice. Raises NotEnoughData."""

    def __init__(
        self, experiments: Sequence[Experiment], recipe: Recipe, classes: int, rng: np.random.Generator
    ) -> None:
        self._recipe = recipe
        self._rng = rng
        self._rows = spool.concatenate([experiment.standardised for experiment in experiments])
        normal, faulty = _ends(experiments, recipe.window_steps)
        if len(normal) == 0:
            raise NotEnoughData(
                f"no window of {recipe.window_steps} consecutive normal steps to train on: "
                "give more data, or a shorter window_steps"
            )
        self._normal = normal
        self._faulty = {klass: ends for klass, ends in faulty.items() if len(ends)}
        self._injected_class = classes - 1
        self._classes = classes
        self.injected_share = recipe.injected_share or (0.2 if self._faulty else 0.5)
        self.recorded_share = recipe.recorded_share if self._faulty else 0.0
        # Of each sensor, (sensors,).
        self.offset_sd = (
            offset_deviations(self._rows, normal, recipe.window_steps)
            if recipe.offset_sd is None
            else np.full(self._rows.shape[1], recipe.offset_sd)
        )
        # The centres of a machine that has a baseline of its own are each off by themselves.
        own = any(experiment.baseline is not None for experiment in experiments)
        mixing = (
            np.eye(len(self.offset_sd)) if own else offset_mixing(self._rows, normal, recipe.window_steps)
        )
        self._offsets = mixing * self.offset_sd

    @property
    def normal_windows(self) -> int:
        return len(self._normal)

    @property
    def recorded_windows(self) -> int:
        return sum(map(len, self._faulty.values()))

    @property
    def class_shares(self) -> Floats:
        """Expected share of each class in a batch, (classes,)."""
        shares = np.zeros(self._classes)
        shares[NORMAL] = 1.0 - self.injected_share - self.recorded_share
        shares[self._injected_class] += self.injected_share
        for klass in self._faulty:
            shares[klass] += self.recorded_share / len(self._faulty)
        return shares

    @property
    def state(self) -> dict[str, Any]:
        """Of the random numbers, as JSON can hold it: whoever sets it draws the same batches again."""
        return dict(self._rng.bit_generator.state)

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._rng.bit_generator.state = dict(state)

    def draw(self, windows: int) -> TrainingBatch:
        """One batch: recorded faults first, then injected ones, then normal windows."""
        rng, recipe = self._rng, self._recipe
        recorded = round(self.recorded_share * windows)
        injected = round(self.injected_share * windows)
        ends = np.empty(windows, np.intp)
        klass = np.full(windows, NORMAL, np.int32)
        if recorded:
            # Each class alike, however rare.
            kinds = rng.choice(list(self._faulty), recorded)
            ends[:recorded] = [_one_of(self._faulty[kind], rng) for kind in kinds.tolist()]
            klass[:recorded] = kinds
        ends[recorded:] = rng.choice(self._normal, windows - recorded)
        klass[recorded : recorded + injected] = self._injected_class

        steps = np.arange(-recipe.window_steps + 1, 1)
        values = self._rows[ends[:, None] + steps]
        if self.offset_sd.any():
            # All of them: otherwise an offset would tell a normal window from a recorded fault.
            offsets = rng.normal(size=(windows, values.shape[2])) @ self._offsets
            values += offsets[:, None].astype(np.float32)
        observed = np.isfinite(values)
        values = np.where(observed, values, 0.0).astype(np.float32)
        target = values.copy()
        wanted = observed.copy()
        wanted[:recorded] = False
        kept = self._kept(windows, values.shape[1:])
        for window in range(recorded, recorded + injected):
            _, sensors = inject(values[window], observed[window], recipe.fault_size, rng)
            if not (observed[window][:, sensors] & kept[window][:, sensors]).any():
                klass[window] = NORMAL  # as far as anyone can see
        observed &= kept
        values[~observed] = 0.0
        clip = np.float32(recipe.input_clip)
        return self._shortened(
            TrainingBatch(
                values,
                observed,
                np.full(windows, recipe.window_steps, np.int32),
                np.clip(target, -clip, clip),
                wanted,
                klass,
            )
        )

    def _kept(self, windows: int, shape: tuple[int, ...]) -> Bools:
        """Readings that stay when some windows lose sensors, and some lose readings here and there, or rows:
        up to MOST_LOST of them, so that the head takes gaps for no fault."""
        rng, share = self._rng, self._recipe.missing_share
        kept = np.ones((windows, *shape), np.bool_)
        losing = rng.random((3, windows)) < share
        lost = rng.uniform(0.0, MOST_LOST, (3, windows))
        for window in np.flatnonzero(losing.any(axis=0)).tolist():
            of_sensors, of_readings, of_rows = np.where(losing[:, window], lost[:, window], 0.0)
            dead = rng.random(shape[1]) < max(of_sensors, 1.0 / shape[1] if losing[0, window] else 0.0)
            if shape[1] > 1 and not dead.all():
                kept[window, :, dead] = False
            kept[window] &= rng.random(shape) >= of_readings
            kept[window] &= rng.random((shape[0], 1)) >= of_rows
        return kept

    def _shortened(self, batch: TrainingBatch) -> TrainingBatch:
        """Cut some windows to their newest steps, moved to the front as padding is on the right."""
        rng, recipe = self._rng, self._recipe
        for window in np.flatnonzero(rng.random(len(batch.lengths)) < recipe.shorten_share).tolist():
            length = int(rng.integers(recipe.least_steps, recipe.window_steps + 1))
            for array in (batch.standardised, batch.observed, batch.target, batch.wanted):
                array[window, :length] = array[window, recipe.window_steps - length :].copy()
                array[window, length:] = 0
            batch.lengths[window] = length
        return batch


def inject(
    window: Singles, observed: Bools, size: tuple[float, float], rng: np.random.Generator
) -> tuple[str, Ints]:
    """Put one random fault into a window (steps, sensors), in place. Returns its kind and its sensors.

    size: smallest and largest, standard deviations, drawn with an even logarithm. On up to max(3, a quarter
    of) the sensors that are observed.
    """
    steps = len(window)
    alive = np.flatnonzero(observed.any(axis=0))
    if len(alive) == 0:
        return "none", alive.astype(np.int32)
    most = min(len(alive), max(3, len(alive) // 4))
    sensors = rng.choice(alive, int(rng.integers(1, most + 1)), replace=False)
    start = 0 if rng.random() < ACTIVE_FROM_START else int(rng.integers(0, max(1, steps - 2)))
    kind = _one_of(KINDS, rng)
    smallest, largest = map(math.log, size)
    FAULTS[kind].inject(window, start, sensors, math.exp(rng.uniform(smallest, largest)), rng)
    return kind, sensors.astype(np.int32)


def _one_of(items: Any, rng: np.random.Generator) -> Any:
    """One item at random, the same as by `rng.choice`, which takes several times as long."""
    return items[int(rng.integers(len(items)))]


def _ends(
    experiments: Sequence[Experiment], steps: int
) -> tuple[NDArray[np.intp], dict[int, NDArray[np.intp]]]:
    """Last rows, in the concatenation of all experiments, of wholly normal windows and of faulty ones."""
    normal: list[NDArray[np.intp]] = []
    faulty: dict[int, list[NDArray[np.intp]]] = {}
    offset = 0
    for experiment in experiments:
        ends = window_ends(experiment.runs, steps)
        normal.append(spool.keep(ends[wholly_normal(experiment.state, ends, steps)] + offset))
        at_end = experiment.state[ends]
        for klass in np.unique(at_end[at_end > NORMAL]).tolist():
            faulty.setdefault(klass, []).append(spool.keep(ends[at_end == klass] + offset))
        offset += len(experiment.state)
    return spool.concatenate(normal), {klass: spool.concatenate(ends) for klass, ends in faulty.items()}
