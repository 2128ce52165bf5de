"""Recordings are divided by experiment, never by row."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plant import recording
from training.errors import NotEnoughData
from training.recipe import Recipe
from training.split import Split, _experiments, split


def names(part):
    return {item.name for item in part}


KINDS = pytest.mark.parametrize("folds", [0, 2, 3], ids=["apart", "two-folds", "three-folds"])


def calibrating(parts: Split) -> tuple[tuple, ...]:
    """What is scored to calibrate: folds of the training part, or recordings kept apart."""
    return parts.folds or (parts.calibration,)


@KINDS
def test_no_recording_is_in_two_parts(folds):
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(12)]
    parts = split(recordings, Recipe(calibration_folds=folds))
    assert parts.by == "experiment"
    everything = [*names(parts.train), *names(parts.calibration), *names(parts.test)]
    assert sorted(everything) == sorted(names(recordings))
    assert all((parts.train, parts.test, *calibrating(parts)))


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_divide_the_training_recordings_evenly_and_leave_none_apart(folds):
    recordings = [recording(f"run-{k}", 200, seed=k, fault=(100, 150) if k % 2 else None) for k in range(20)]
    parts = split(recordings, Recipe(calibration_folds=folds))
    assert parts.calibration == ()
    assert sorted(name for fold in parts.folds for name in names(fold)) == sorted(names(parts.train))
    sizes = [len(fold) for fold in parts.folds]
    assert len(sizes) == folds
    assert max(sizes) - min(sizes) <= 1
    faulty = [sum((item.labels == "anomalous").any() for item in fold) for fold in parts.folds]
    assert max(faulty) - min(faulty) <= 1


def test_with_too_few_recordings_for_folds_some_are_kept_apart():
    recordings = [recording(f"run-{k}", 200, seed=k) for k in range(4)]
    parts = split(recordings, Recipe(calibration_folds=2))
    assert parts.by == "experiment"
    assert parts.folds == ()
    assert parts.calibration
    assert parts.train


def test_recordings_cut_by_time_have_no_folds():
    parts = split([recording("only", 1000)], Recipe(calibration_folds=2))
    assert parts.by == "time"
    assert parts.folds == ()
    assert parts.calibration


@KINDS
def test_recordings_that_share_rows_stay_together(folds):
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(8)]
    copied = replace(recordings[1], name="copy", values=recordings[1].values.copy())
    copied.values[:60] = recording("x", 60, seed=99).values
    for seed in range(6):
        parts = split([*recordings, copied], Recipe(seed=seed, calibration_folds=folds))
        trained = () if parts.folds else (parts.train,)
        together = [{"run-1", "copy"} <= names(part) for part in (*trained, parts.test, *calibrating(parts))]
        assert sum(together) == 1


def test_what_shares_rows_with_the_test_files_is_not_trained_on():
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(8)]
    tested = replace(recordings[3], name="tested")
    parts = split(recordings, Recipe(), [tested])
    assert names(parts.test) == {"tested"}
    assert "run-3" not in names(parts.train) | names(parts.calibration)


@KINDS
def test_faulty_and_normal_experiments_are_spread_over_all_parts(folds):
    recordings = [recording(f"run-{k}", 200, seed=k, fault=(100, 150) if k % 2 else None) for k in range(16)]
    parts = split(recordings, Recipe(seed=3, calibration_folds=folds))
    for part in (parts.train, parts.test, *calibrating(parts)):
        faulty = [(item.labels == "anomalous").any() for item in part]
        assert any(faulty)
        assert not all(faulty)


def test_one_recording_is_cut_into_consecutive_stretches():
    parts = split([recording("only", 1000)], Recipe())
    assert parts.by == "time"
    ends = [part[0].row_numbers for part in (parts.train, parts.calibration, parts.test)]
    assert np.concatenate(ends).tolist() == list(range(1, 1001))


def test_the_same_seed_divides_alike_and_another_does_not():
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(12)]

    def divided(seed: int) -> list[set[str]]:
        parts: Split = split(recordings, Recipe(seed=seed))
        return [names(parts.train), names(parts.calibration), names(parts.test)]

    assert divided(1) == divided(1)
    assert any(divided(1) != divided(seed) for seed in range(2, 6))


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(NotEnoughData):
        split([], Recipe())


def test_shared_rows_are_found_a_part_at_a_time(monkeypatch):
    recordings = [recording(f"run-{k}", 200, seed=k) for k in range(5)]
    shared = replace(recordings[1], name="again", values=recordings[1].values.copy())
    shared.values[30:] += 1.0
    monkeypatch.setattr("training.split.MOST_HASHES", 64)
    monkeypatch.setattr("history.spool.BLOCK_BYTES", 24 * 17)
    groups = [sorted(item.name for item in group) for group in _experiments([*recordings, shared])]
    assert sorted(groups) == [["again", "run-1"], ["run-0"], ["run-2"], ["run-3"], ["run-4"]]
