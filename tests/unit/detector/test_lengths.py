"""Scores of short windows, put on the scale of full ones."""

import numpy as np
import pytest

from detector.lengths import ShorterLevels
from detector.manifest import Level, NormalOperation, ShorterLevel

FULL = 30
NORMAL = NormalOperation(
    Level(-1.0, 2.0),
    Level(0.5, 0.25),
    [0.0],
    1,
    [
        ShorterLevel(10, Level(1.0, 2.0), Level(-0.5, 1.5)),
        ShorterLevel(20, Level(0.4, 1.2), Level(-0.1, 1.1)),
    ],
)
OF_FULL = (
    (np.array([NORMAL.classifier.mean]), np.array([NORMAL.classifier.sd])),
    (np.array([NORMAL.reconstruction.mean]), np.array([NORMAL.reconstruction.sd])),
)


def levels(*lengths: int, normal: NormalOperation = NORMAL):
    return ShorterLevels(normal, FULL).of(np.array(lengths, np.int32), *OF_FULL)


def test_a_full_window_has_the_level_of_full_ones():
    (mean, sd), (error_mean, error_sd) = levels(FULL)
    assert (mean[0], sd[0], error_mean[0], error_sd[0]) == (-1.0, 2.0, 0.5, 0.25)


def test_a_measured_length_has_what_was_measured_in_deviations_of_full_windows():
    (mean, sd), (error_mean, error_sd) = levels(10)
    assert (mean[0], sd[0]) == (-1.0 + 1.0 * 2.0, 2.0 * 2.0)
    assert (error_mean[0], error_sd[0]) == (0.5 - 0.5 * 0.25, pytest.approx(1.5 * 0.25))


def test_between_two_lengths_the_level_lies_between_theirs_and_below_the_least_it_holds():
    (mean, sd), _ = levels(5, 10, 14, 20, 25, FULL)
    assert mean[0] == mean[1]
    assert sd[0] == sd[1]
    assert (np.diff(mean[1:]) < 0).all()
    assert (np.diff(sd[1:]) < 0).all()
    # The geometric middle of two lengths is half-way.
    (middle, _), _ = levels(round(np.sqrt(10 * 20) * 1000) // 1000)
    assert middle[0] == pytest.approx((mean[1] + mean[3]) / 2, abs=0.03)


def test_where_nothing_was_measured_every_window_counts_as_full():
    unmeasured = NormalOperation(NORMAL.classifier, NORMAL.reconstruction, [0.0], 1)
    (mean, sd), _ = levels(2, 29, normal=unmeasured)
    assert mean.tolist() == [-1.0, -1.0]
    assert sd.tolist() == [2.0, 2.0]
