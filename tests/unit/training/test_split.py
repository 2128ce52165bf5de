"""Recordings are divided by experiment, never by row."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plant import recording
from training.errors import NotEnoughData
from training.recipe import Recipe
from training.split import Split, split


def names(part):
    return {item.name for item in part}


def test_no_recording_is_in_two_parts():
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(12)]
    parts = split(recordings, Recipe())
    assert parts.by == "experiment"
    everything = [*names(parts.train), *names(parts.calibration), *names(parts.test)]
    assert sorted(everything) == sorted(names(recordings))
    assert all((parts.train, parts.calibration, parts.test))


def test_recordings_that_share_rows_stay_together():
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(8)]
    copied = replace(recordings[1], name="copy", values=recordings[1].values.copy())
    copied.values[:60] = recording("x", 60, seed=99).values
    for seed in range(6):
        parts = split([*recordings, copied], Recipe(seed=seed))
        together = [{"run-1", "copy"} <= names(part) for part in (parts.train, parts.calibration, parts.test)]
        assert sum(together) == 1


def test_what_shares_rows_with_the_test_files_is_not_trained_on():
    recordings = [recording(f"run-{k}", 120, seed=k) for k in range(8)]
    tested = replace(recordings[3], name="tested")
    parts = split(recordings, Recipe(), [tested])
    assert names(parts.test) == {"tested"}
    assert "run-3" not in names(parts.train) | names(parts.calibration)


def test_faulty_and_normal_experiments_are_spread_over_all_parts():
    recordings = [recording(f"run-{k}", 200, seed=k, fault=(100, 150) if k % 2 else None) for k in range(16)]
    parts = split(recordings, Recipe(seed=3))
    for part in (parts.train, parts.calibration, parts.test):
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
