"""Which windows of a recording calibrate, and as what."""

import numpy as np

from history.recording import UNLABELLED
from tests.plant import recording
from training.dataset import NORMAL, UNUSED, prepare, survey
from training.held_out import cut_windows
from training.recipe import Recipe

RECIPE = Recipe(window_steps=12, minimum_steps=4, baseline="pooled", recovery_windows=2)


def cut(given):
    return cut_windows(prepare(given, survey([given], RECIPE), RECIPE), RECIPE, 0, len(given))


def test_windows_that_end_behind_a_fault_are_neither_normal_nor_left_out():
    found = cut(recording("run", 300, fault=(100, 150)))
    after = 2 * 12 + 11
    assert found.state.tolist() == [NORMAL] * (100 - 11) + [1] * 50 + [UNUSED] * after + [NORMAL] * (
        150 - after
    )
    assert len(found.windows) == len(found.state)
    assert len(found.normal) == (found.state == NORMAL).sum()


def test_of_rows_without_a_label_nothing_is_known():
    given = recording("run", 300, fault=(100, 150))
    given.labels[150:200] = UNLABELLED
    found = cut(given)
    assert len(found.state) == 300 - 11 - 50
    assert (found.state == 1).sum() == 50


def test_without_labels_every_window_is_normal():
    found = cut(recording("run", 300, labelled=False))
    assert np.unique(found.state).tolist() == [NORMAL]
