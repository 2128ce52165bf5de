"""The faults that are put into windows."""

import numpy as np
import pytest

from history.faults import FAULTS
from training.sampling import inject


class Noted:
    """Stands in for every kind of fault and notes what it is asked for."""

    def __init__(self) -> None:
        self.sizes: list[float] = []
        self.sensors: list[np.ndarray] = []

    def inject(self, window, start, sensors, size, rng) -> None:
        assert 0 <= start < len(window)
        self.sizes.append(size)
        self.sensors.append(sensors)


@pytest.fixture
def noted(monkeypatch) -> Noted:
    noted = Noted()
    monkeypatch.setattr("training.sampling.FAULTS", dict.fromkeys(FAULTS, noted))
    return noted


def test_sizes_lie_in_the_range_with_an_even_logarithm(noted):
    rng = np.random.default_rng(0)
    for _ in range(4000):
        inject(np.zeros((12, 5), np.float32), np.ones((12, 5), np.bool_), (1.0, 20.0), rng)
    assert 1.0 <= min(noted.sizes) < 1.05
    assert 19.0 < max(noted.sizes) <= 20.0
    shares = np.histogram(np.log(noted.sizes), bins=4, range=(0, np.log(20.0)))[0] / 4000
    assert shares == pytest.approx([0.25] * 4, abs=0.03)


def test_one_size_is_possible(noted):
    inject(np.zeros((12, 5), np.float32), np.ones((12, 5), np.bool_), (3.0, 3.0), np.random.default_rng(0))
    assert noted.sizes == [pytest.approx(3.0)]


@pytest.mark.parametrize(("sensors", "most"), [(1, 1), (2, 2), (8, 3), (40, 10)])
def test_from_one_sensor_to_a_quarter_of_them_are_hit(noted, sensors, most):
    rng = np.random.default_rng(0)
    for _ in range(600):
        inject(np.zeros((12, sensors), np.float32), np.ones((12, sensors), np.bool_), (1.0, 20.0), rng)
    assert {len(hit) for hit in noted.sensors} == set(range(1, most + 1))
    assert all(len(set(hit.tolist())) == len(hit) for hit in noted.sensors)
    assert {sensor for hit in noted.sensors for sensor in hit.tolist()} == set(range(sensors))


def test_only_sensors_that_are_observed_are_hit(noted):
    observed = np.ones((12, 5), np.bool_)
    observed[:, [1, 4]] = False
    rng = np.random.default_rng(0)
    for _ in range(200):
        inject(np.zeros((12, 5), np.float32), observed, (1.0, 20.0), rng)
    assert {sensor for hit in noted.sensors for sensor in hit.tolist()} == {0, 2, 3}


def test_a_window_in_which_nothing_was_observed_is_left_alone():
    window = np.zeros((12, 5), np.float32)
    kind, sensors = inject(window, np.zeros((12, 5), np.bool_), (1.0, 20.0), np.random.default_rng(0))
    assert (kind, len(sensors)) == ("none", 0)
    assert not window.any()


def test_every_kind_is_drawn_and_only_the_named_sensors_change():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        window = rng.normal(size=(12, 5)).astype(np.float32)
        before = window.copy()
        kind, sensors = inject(window, np.ones((12, 5), np.bool_), (1.0, 20.0), rng)
        kinds.add(kind)
        changed = set(np.flatnonzero((window != before).any(axis=0)).tolist())
        # These change other sensors too: the one that a sensor is swapped with, and the whole plant's mode.
        if kind not in ("swap", "mode"):
            assert changed <= set(sensors.tolist())
    assert kinds == set(FAULTS)
