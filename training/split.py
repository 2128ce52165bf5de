"""Which recordings train, which calibrate, and which are reported on. Never by row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from history import spool
from history.recording import NORMAL, UNLABELLED, Recording
from training.errors import NotEnoughData
from training.recipe import Recipe

# Recordings with at least this many rows in common are one experiment.
SHARED_ROWS = 20
# Rows that are compared at a time.
MOST_HASHES = 1 << 22
# With fewer experiments than this that hold normal operation, each is cut by time instead.
LEAST_EXPERIMENTS = 4


@dataclass(frozen=True, slots=True)
class Split:
    """Three disjoint parts. by: `experiment` (whole files) or `time` (consecutive stretches of each file).

    folds: `train` divided by experiment, where it calibrates too; then `calibration` is empty.
    """

    train: tuple[Recording, ...]
    calibration: tuple[Recording, ...]
    test: tuple[Recording, ...]
    by: str
    folds: tuple[tuple[Recording, ...], ...] = ()


def split(recordings: Sequence[Recording], recipe: Recipe, test: Sequence[Recording] = ()) -> Split:
    """Divide recordings by experiment; by time where there are too few.

    Experiments with faults, without, and of nothing but faults are each spread over the parts. Recordings
    that share rows stay together. `test`: recordings set apart by the caller; whatever shares rows with them
    is left out of training.
    Raises NotEnoughData.
    """
    if not recordings:
        raise NotEnoughData("no recordings to train on")
    groups = _experiments([*recordings, *test])
    tested = {id(recording) for recording in test}
    groups = [group for group in groups if not any(id(recording) in tested for recording in group)]
    rng = np.random.default_rng([recipe.seed, 1])
    with_normal = [group for group in groups if any(_mostly_normal(r) for r in group)]
    if len(with_normal) < LEAST_EXPERIMENTS:
        return _by_time([recording for group in groups for recording in group], recipe, tuple(test))

    parts: dict[str, list[Recording]] = {"train": [], "calibration": [], "test": list(test)}
    test_share = 0.0 if test else recipe.test_share
    only_faulty = [group for group in groups if group not in with_normal]
    mixed = [group for group in with_normal if any(_has_faults(r) for r in group)]
    only_normal = [group for group in with_normal if group not in mixed]
    folds: list[list[Recording]] = [[] for _ in range(recipe.calibration_folds)]
    # Each fold's others must hold normal operation enough to learn from.
    crossed = len(folds) > 1 and len(with_normal) * (1.0 - test_share) >= 2 * len(folds)
    for some in (only_normal, mixed, only_faulty):
        order = rng.permutation(len(some))
        tests = round(test_share * len(some))
        calibrations = max(1, round(recipe.calibration_share * len(some))) if len(some) > 1 else 0
        for rank, index in enumerate(order.tolist()):
            part = "test" if rank < tests else "calibration" if rank < tests + calibrations else "train"
            if crossed and part != "test":
                part = "train"
                min(folds, key=len).extend(some[index])
            parts[part] += some[index]
    return Split(
        tuple(parts["train"]),
        tuple(parts["calibration"]),
        tuple(parts["test"]),
        by="experiment",
        folds=tuple(map(tuple, folds)) if crossed else (),
    )


def rows_of(recording: Recording, rows: slice) -> Recording:
    """A stretch of a recording, as a recording of the same name."""
    return replace(
        recording,
        values=recording.values[rows],
        timestamps=None if recording.timestamps is None else recording.timestamps[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        row_numbers=recording.row_numbers[rows],
    )


def _by_time(recordings: Sequence[Recording], recipe: Recipe, test: tuple[Recording, ...]) -> Split:
    train, calibration, tested = [], [], list(test)
    test_share = 0.0 if test else recipe.test_share
    for recording in recordings:
        rows = len(recording.values)
        last = round(rows * (1 - test_share))
        middle = round(last - rows * recipe.calibration_share)
        train.append(rows_of(recording, slice(0, middle)))
        calibration.append(rows_of(recording, slice(middle, last)))
        if not test:
            tested.append(rows_of(recording, slice(last, rows)))
    return Split(tuple(train), tuple(calibration), tuple(tested), by="time")


def _mostly_normal(recording: Recording) -> bool:
    return recording.labels is None or bool((recording.labels == NORMAL).mean() >= 0.2)


def _has_faults(recording: Recording) -> bool:
    return recording.labels is not None and bool((~np.isin(recording.labels, [NORMAL, UNLABELLED])).any())


def _experiments(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Recordings grouped so that those with rows in common are together (union-find over row hashes)."""
    parent = list(range(len(recordings)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for (one, other), rows in _shared_rows(recordings).items():
        if rows >= SHARED_ROWS:
            parent[root(other)] = root(one)
    groups: dict[int, list[Recording]] = {}
    for index, recording in enumerate(recordings):
        groups.setdefault(root(index), []).append(recording)
    return list(groups.values())


def _shared_rows(recordings: Sequence[Recording]) -> dict[tuple[int, int], int]:
    """How many rows a recording, the second of a pair, has in common with the first one that holds them."""
    hashes = [_hashes(recording) for recording in recordings]
    parts = max(1, -(-sum(map(len, hashes)) // MOST_HASHES))
    edges = np.array([2**64 * part // parts - 2**63 for part in range(1, parts)], np.int64)
    shared: Counter[tuple[int, int]] = Counter()
    # Equal rows are in the same part of their recordings.
    for part in zip(*(np.split(own, np.searchsorted(own, edges)) for own in hashes), strict=True):
        some = [np.unique(own) for own in part]
        owner = np.repeat(np.arange(len(some)), [len(own) for own in some])
        _, first, which = np.unique(np.concatenate(some), return_index=True, return_inverse=True)
        one = owner[first][which]
        shared.update(zip(one[one != owner].tolist(), owner[one != owner].tolist(), strict=True))
    return shared


def _hashes(recording: Recording) -> NDArray[np.int64]:
    """A number for each row, ascending; equal for equal rows, to nine decimals.

    None with fewer than three sensors that move: a single one repeats its readings by chance, whole rows of
    several do not.
    """
    rows, sensors = recording.values.shape
    hashes = spool.empty(rows, np.int64)
    low, high = np.full(sensors, np.inf), np.full(sensors, -np.inf)
    for block in spool.blocks(rows, sensors):
        readings = recording.values[block]
        filled = np.nan_to_num(readings)
        low, high = np.minimum(low, filled.min(axis=0)), np.maximum(high, filled.max(axis=0))
        hashes[block] = [hash(row.tobytes()) for row in np.round(readings, 9)]
    if (high > low).sum() < 3:
        return hashes[:0]
    hashes.sort()
    return hashes
