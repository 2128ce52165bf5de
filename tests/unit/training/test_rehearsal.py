"""Stand-ins learn the same beside the final network as after it, and end when it does."""

import time

import numpy as np
import pytest

from detector.windows import stack
from tests.plant import recording
from tests.unit.training.small_plant import small_recipe
from training import rehearsal
from training.dataset import prepare, survey
from training.fit import begin
from training.rehearsal import in_company

RECIPE = small_recipe(dropout=0.1, units=[5, 4])


def outputs(cores, monkeypatch):
    """What the stand-ins make of a window, and the losses of the final fit."""
    monkeypatch.setattr(rehearsal, "cores", lambda: cores)
    fitting, folds, population = ground()
    with in_company(fitting, folds, population, RECIPE, lambda: False) as finish:
        fitting.run()
        heard = finish(lambda stage: None, None)
    batch = stack([folds[0][0].recording.values[:8]], population.center, population.scale, 8)
    return [item.network.runtime.run(batch).logits for item in heard], fitting.curves


def ground():
    recordings = [recording(f"run-{k}", 200, seed=k, fault=(120, 160) if k % 2 else None) for k in range(4)]
    population = survey(recordings, RECIPE)
    experiments = [prepare(item, population, RECIPE) for item in recordings]
    fitting = begin(experiments, population, RECIPE, np.random.default_rng(0))
    return fitting, [experiments[:2], experiments[2:]], population


def test_stand_ins_say_the_same_whether_they_learn_beside_the_final_network_or_after_it(monkeypatch):
    after, curves = outputs(1, monkeypatch)
    beside, same_curves = outputs(2, monkeypatch)
    assert len(after) == len(beside) == 2
    assert all(map(np.array_equal, after, beside))
    assert not np.array_equal(*beside)
    assert curves == same_curves


def test_stand_ins_end_when_the_training_fails(monkeypatch):
    monkeypatch.setattr(rehearsal, "cores", lambda: 2)
    fitting, folds, population = ground()
    endless = RECIPE.shortened(1_000_000)
    began = time.monotonic()
    with (
        pytest.raises(RuntimeError, match="disk full"),
        in_company(fitting, folds, population, endless, lambda: False),
    ):
        raise RuntimeError("disk full")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(("told", "expected"), [("1", 1), ("3", 3)])
def test_no_more_cores_are_used_than_the_process_was_told_to(told, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert rehearsal.cores() == expected
