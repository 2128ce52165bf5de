"""The faults that are put into windows."""

import numpy as np
import pytest

from history.faults import FAULTS
from tests.plant import recording
from tests.unit.training.small_plant import small_recipe
from training.dataset import prepare, survey
from training.sampling import WindowSampler, inject


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


def sampler(**changes: object) -> WindowSampler:
    recipe = small_recipe(shorten_share=0.0, offset_sd=0.0, **changes)
    item = recording("run", 400, labelled=False)
    population = survey([item], recipe)
    return WindowSampler([prepare(item, population, recipe)], recipe, 2, np.random.default_rng(0))


def with_recorded_faults(**changes: object) -> WindowSampler:
    recipe = small_recipe(shorten_share=0.0, missing_share=0.0, **changes)
    items = [recording(f"run-{k}", 400, seed=k, fault=(200, 280), size=8.0) for k in range(3)]
    population = survey(items, recipe)
    experiments = [prepare(item, population, recipe) for item in items]
    return WindowSampler(experiments, recipe, 3, np.random.default_rng(0))


def test_an_offset_is_no_sign_of_normal_operation():
    """Windows with recorded faults are moved as far as those without: else whatever lies off normal operation
    a little would be learnt to be normal."""
    moved, still = (
        with_recorded_faults(offset_sd=size, injected_share=0.01).draw(4000) for size in (2.0, 0.0)
    )
    assert (moved.klass == still.klass).all()
    offsets = (moved.standardised - still.standardised).mean(axis=1)
    for klass in (0, 1):
        assert offsets[moved.klass == klass].std(axis=0) == pytest.approx(2.0, rel=0.1)


def test_sensors_keep_together_but_for_machines_with_baselines_of_their_own():
    def correlation(baseline: str) -> float:
        drawn = with_recorded_faults(offset_sd=5.0, baseline=baseline).draw(4000)
        levels = drawn.standardised[drawn.klass == 0].mean(axis=1)
        return float(np.corrcoef(levels, rowvar=False)[0, 1])

    assert correlation("pooled") > 0.5
    assert abs(correlation("asset")) < 0.2


def test_windows_lose_sensors_readings_and_rows_in_any_amount():
    observed = sampler(missing_share=0.3).draw(2000).observed
    lost = 1.0 - observed.mean(axis=(1, 2))
    assert 0.3 < (lost > 0).mean() < 0.9
    assert lost.max() > 0.6
    assert observed.any(axis=(1, 2)).mean() > 0.99
    dead = ~observed.any(axis=1)
    assert (dead.sum(axis=1) == 1).any()
    gone = ~observed.any(axis=2)
    assert (gone.any(axis=1) & ~dead.any(axis=1)).any()


def test_without_a_share_nothing_is_lost():
    assert sampler(missing_share=0.0).draw(200).observed.all()


def test_a_window_whose_every_faulty_sensor_is_lost_counts_as_normal(monkeypatch):
    def hides_its_sensors(window, observed, size, rng):
        return "offset", np.array([1], np.int32)

    monkeypatch.setattr("training.sampling.inject", hides_its_sensors)
    batch = sampler(missing_share=0.5).draw(1000)
    injected = slice(0, 500)
    lost = ~batch.observed[injected][:, :, 1].any(axis=1)
    assert lost.any()
    assert (batch.klass[injected] == np.where(lost, 0, 1)).all()
