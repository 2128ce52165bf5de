"""The report on a recording's data says what is wrong with which sensor, and how bad it is."""

import numpy as np
import pytest

from history.quality import (
    Grade,
    SensorQuality,
    count_spikes,
    measure_quality,
    measure_sensor,
    sampling_period,
)

RNG = np.random.default_rng(7)
ROWS = 1000


def report(column: np.ndarray, invalid: int = 0) -> SensorQuality:
    mask = np.zeros(len(column), np.bool_)
    mask[np.flatnonzero(np.isnan(column))[:invalid]] = True
    return measure_sensor("P", column, mask)


def noise(**changes: float) -> np.ndarray:
    column = RNG.normal(20, 2, ROWS)
    for name, value in changes.items():
        column[: int(name.removeprefix("first_"))] = value
    return column


@pytest.mark.parametrize(
    ("column", "invalid", "grade", "reason"),
    [
        pytest.param(noise(), 0, Grade.HIGH, "", id="plain noise"),
        pytest.param(np.repeat(noise(), 5), 0, Grade.HIGH, "", id="held between readings"),
        pytest.param(np.round(noise()), 0, Grade.HIGH, "", id="coarsely rounded"),
        pytest.param(np.sin(np.arange(ROWS) / 50), 0, Grade.HIGH, "", id="smooth"),
        pytest.param(np.arange(ROWS) // 100 * 1.0, 0, Grade.HIGH, "", id="set point with ten steps"),
        pytest.param(noise(first_5=np.nan), 0, Grade.HIGH, "", id="five missing"),
        pytest.param(
            noise(first_50=np.nan), 0, Grade.MEDIUM, "5 % of the readings are missing", id="5 % missing"
        ),
        pytest.param(
            noise(first_300=np.nan), 0, Grade.LOW, "30 % of the readings are missing", id="30 % missing"
        ),
        pytest.param(
            noise(first_300=np.nan), 300, Grade.LOW, "30 % of the readings are invalid", id="30 % invalid"
        ),
        pytest.param(noise(first_300=np.nan), 9, Grade.LOW, "missing or invalid", id="both"),
        pytest.param(noise(first_1=np.nan), 1, Grade.MEDIUM, "1 invalid cell", id="one invalid"),
        pytest.param(noise(first_100=3.0), 0, Grade.MEDIUM, "repeats one value for 100 rows", id="stuck"),
        pytest.param(
            noise(first_600=3.0), 0, Grade.LOW, "repeats one value for 600 rows", id="stuck for long"
        ),
        pytest.param(np.full(ROWS, 4.0), 0, Grade.LOW, "never changes", id="constant"),
        pytest.param(np.full(ROWS, np.nan), 0, Grade.LOW, "no reading at all", id="dead"),
        pytest.param(
            noise() + 900 * (np.arange(ROWS) % 100 == 3), 0, Grade.MEDIUM, "10 isolated spikes", id="spikes"
        ),
    ],
)
def test_grade_comes_with_its_reason(column: np.ndarray, invalid: int, grade: Grade, reason: str) -> None:
    sensor = report(column, invalid)

    assert sensor.grade is grade
    assert reason in sensor.reason
    assert bool(sensor.reason) == (grade is not Grade.HIGH)


def test_figures_are_of_the_readings_that_are_there() -> None:
    sensor = report(np.array([1.0, np.nan, 3.0, 3.0, np.nan, 5.0]), invalid=1)

    assert (sensor.missing, sensor.invalid, sensor.longest_flat) == (1, 1, 2)
    assert (sensor.minimum, sensor.maximum, sensor.mean) == (1.0, 5.0, 3.0)
    assert sensor.sd == pytest.approx(np.std([1, 3, 3, 5]))


def test_spread_of_a_totaliser_survives_its_many_digits() -> None:
    column = 1e12 + RNG.normal(0, 1e-2, ROWS)
    assert report(column).sd == pytest.approx(np.std(column - 1e12), rel=1e-6)


def test_step_that_stays_is_no_spike() -> None:
    column = noise()
    column[500:] += 1000
    assert count_spikes(column) == 0


def test_period_is_the_median_forward_step() -> None:
    assert sampling_period(np.array([0.0, 5.0, 10.0, 100.0, 50.0, 55.0])) == 5.0
    assert sampling_period(np.array([3.0, 3.0])) is None
    assert sampling_period(None) is None


def test_recording_without_a_moving_sensor_cannot_be_used() -> None:
    values = np.column_stack([np.full(9, 2.0), np.full(9, np.nan)])
    quality = measure_quality(["a", "b"], values, np.zeros((9, 2), np.bool_), None)

    assert not quality.usable
    assert quality.period_s is None
