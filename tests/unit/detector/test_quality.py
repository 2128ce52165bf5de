"""What is said of readings before anything is said of the machine."""

import numpy as np
import pytest

from detector import Window
from detector.quality import flat_tail
from tests.plant import SCALE, normal_operation

NAN = np.nan


@pytest.mark.parametrize(
    ("column", "tail"),
    [
        ([1, 2, 3, 4], 1),
        ([1, 2, 2, 2], 3),
        ([2, 2, 2, 2], 4),
        ([2, NAN, 2, 2], 3),
        ([1, 2, NAN, NAN], 1),
        ([1, 2, 2, NAN], 2),
        ([NAN, NAN, NAN, NAN], 0),
        ([NAN, 2, NAN, 2], 2),
    ],
    ids=["moving", "flat-end", "flat", "hole", "holes-at-end", "flat-then-hole", "dead", "alternating"],
)
def test_length_of_the_flat_end(column, tail):
    values = np.array([column, np.arange(4)], np.float64)
    assert flat_tail(values[None]).tolist() == [[tail, 1]]


def test_a_single_step_is_a_flat_end_of_one():
    assert flat_tail(np.array([[[3.0], [NAN]]])).tolist() == [[1, 0]]


def test_windows_together_are_found_as_healthy_as_each_alone(tiny_detector):
    rng = np.random.default_rng(0)
    baseline = tiny_detector.commission(normal_operation(400, 3) + 40 * SCALE)
    windows = []
    for k in range(60):
        values = normal_operation(int(rng.integers(1, 13)), k)
        values[rng.random(values.shape) < rng.choice([0, 0.1, 0.7])] = NAN
        values[int(rng.integers(len(values))) :, k % 3] = values[0, k % 3]
        values[:, 2] += 200 * (k % 5 == 0)
        windows.append(Window(values, baseline if k % 4 == 0 else None))
    together = tiny_detector.score(windows).quality
    assert together == [tiny_detector.score([window]).quality[0] for window in windows]
    assert {quality.judgeable for quality in together} == {True, False}
    assert {item.issue for quality in together for item in quality.issues} == {
        "missing",
        "gaps",
        "flatline",
        "out_of_range",
    }


def issues(detector, values, sensor):
    verdict = detector.judge([Window(values)])[0]
    return {item.issue for item in verdict.quality.issues if item.sensor == sensor}


def test_a_frozen_sensor_is_reported(tiny_detector):
    values = normal_operation(12, 1)
    values[3:, 1] = values[3, 1]
    assert "flatline" in issues(tiny_detector, values, "Flow")
    assert "flatline" not in issues(tiny_detector, values, "Pressure")


def test_missing_readings_and_missing_sensors_are_told_apart(tiny_detector):
    values = normal_operation(12, 1)
    values[2:4, 0] = NAN
    values[:, 2] = NAN
    assert issues(tiny_detector, values, "Pressure") == {"gaps"}
    assert issues(tiny_detector, values, "Temperature") == {"missing"}


def test_readings_far_outside_the_training_range_are_reported(tiny_detector):
    values = normal_operation(12, 1)
    values[5, 1] += 40 * SCALE[1]
    assert "out_of_range" in issues(tiny_detector, values, "Flow")


def test_the_allowed_range_moves_with_the_asset(tiny_detector):
    moved = normal_operation(500, 3) + 40 * SCALE
    baseline = tiny_detector.commission(moved[:400])
    verdict = tiny_detector.judge([Window(moved[450:462], baseline)])[0]
    assert not [item for item in verdict.quality.issues if item.issue == "out_of_range"]
    assert "out_of_range" in issues(tiny_detector, moved[450:462], "Flow")


def test_observed_is_the_share_of_readings_that_are_there(tiny_detector):
    values = normal_operation(12, 1)
    values[:6, 0] = NAN
    verdict = tiny_detector.judge([Window(values)])[0]
    assert verdict.quality.observed == pytest.approx(30 / 36)
    assert verdict.quality.steps == 12
