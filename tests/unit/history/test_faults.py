"""Injected faults: what they change, and above all what they leave alone."""

import numpy as np
import pytest

from history.faults import FAULTS, Fault

STEPS, SENSORS, START = 60, 6, 20
HIT = np.array([1, 4])
KINDS = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def window(dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(STEPS, SENSORS)).astype(dtype)


def faulty(
    name: str, sensors: np.ndarray = HIT, size: float = 4.0, start: int = START
) -> tuple[np.ndarray, np.ndarray]:
    clean, changed = window(), window()
    FAULTS[name].inject(changed, start, sensors, size, rng())
    return clean, changed


def test_there_are_eight_kinds_under_their_own_names() -> None:
    assert list(FAULTS) == ["shift", "ramp", "spike", "stuck", "noise", "swap", "scale", "mode"]
    assert all(fault.name == name for name, fault in FAULTS.items())


@KINDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [0, START, STEPS - 1])
def test_only_the_sensors_hit_change_and_only_from_the_onset(fault: Fault, dtype: type, start: int) -> None:
    clean, changed = window(dtype), window(dtype)
    fault.inject(changed, start, HIT, 4.0, rng())

    others = np.setdiff1d(np.arange(SENSORS), HIT)
    np.testing.assert_array_equal(changed[:, others], clean[:, others])
    np.testing.assert_array_equal(changed[:start], clean[:start])
    assert np.isfinite(changed).all()
    # A sensor frozen from the window's first step on still shows that step.
    hit = changed[start:, HIT] != clean[start:, HIT]
    assert hit.any(axis=0).all() or (fault.name == "stuck" and start == STEPS - 1)


@KINDS
def test_same_random_state_gives_the_same_fault(fault: Fault) -> None:
    first, second, other = window(), window(), window()
    fault.inject(first, START, HIT, 4.0, rng())
    fault.inject(second, START, HIT, 4.0, rng())
    fault.inject(other, START, HIT, 4.0, np.random.default_rng(12))

    np.testing.assert_array_equal(first, second)
    if fault.name not in ("stuck", "swap"):
        assert not np.array_equal(first, other)


@KINDS
@pytest.mark.parametrize("sensors", [1, 2, 6, 300])
def test_any_number_of_sensors_can_be_hit(fault: Fault, sensors: int) -> None:
    clean = np.random.default_rng(3).normal(size=(STEPS, sensors))
    changed = clean.copy()
    fault.inject(changed, START, np.arange(sensors), 3.0, rng())

    assert np.isfinite(changed).all()
    assert (changed[START:] != clean[START:]).any(axis=0).all()


@KINDS
def test_missing_readings_do_not_poison_the_others(fault: Fault) -> None:
    holed = window()
    holed[5:15, 1] = np.nan
    holed[40:45, 4] = np.nan
    fault.inject(holed, START, HIT, 4.0, rng())

    lost = np.isnan(holed)
    assert lost[:, [0, 2, 3, 5]].sum() == 0
    assert lost[:START, HIT].sum() == 10
    assert lost[START:].sum() <= 5


def test_shift_moves_by_its_size() -> None:
    clean, changed = faulty("shift")
    np.testing.assert_allclose(np.abs(changed - clean)[START:, HIT], 4.0)


def test_ramp_grows_evenly_to_its_size() -> None:
    clean, changed = faulty("ramp")
    away = np.abs(changed - clean)[START:, HIT]
    np.testing.assert_allclose(away[-1], 4.0)
    np.testing.assert_allclose(np.diff(away, axis=0), 4.0 / (STEPS - START))


def test_spikes_are_few_and_tall() -> None:
    clean, changed = faulty("spike")
    away = np.abs(changed - clean)[:, HIT]
    assert ((away > 0).sum(axis=0) == 2).all()
    np.testing.assert_allclose(away[away > 0], 8.0)


def test_stuck_repeats_the_last_good_reading() -> None:
    clean, changed = faulty("stuck")
    np.testing.assert_array_equal(changed[START:, HIT], np.tile(clean[START - 1, HIT], (STEPS - START, 1)))
    holed = window()
    holed[START - 3 : START, 1] = np.nan
    FAULTS["stuck"].inject(holed, START, np.array([1]), 1.0, rng())
    np.testing.assert_array_equal(holed[START:, 1], window()[START - 4, 1])


def test_noise_adds_its_size_of_scatter() -> None:
    clean = np.zeros((20_000, 1))
    FAULTS["noise"].inject(clean, 0, np.array([0]), 2.5, rng())
    assert clean.std() == pytest.approx(2.5, rel=0.05)


def test_swap_crosses_two_sensors_and_finds_a_partner_for_one() -> None:
    clean, changed = faulty("swap")
    np.testing.assert_array_equal(changed[START:, HIT], clean[START:, HIT[::-1]])
    clean, changed = faulty("swap", np.array([2]))
    assert (changed != clean).any(axis=0).sum() == 2
    assert any(np.array_equal(changed[START:, 2], clean[START:, k]) for k in range(SENSORS) if k != 2)


def test_scale_changes_the_spread_and_keeps_the_mean_of_the_window() -> None:
    clean, changed = faulty("scale", size=3.0, start=0)
    np.testing.assert_allclose(changed.mean(axis=0), clean.mean(axis=0), atol=1e-12)
    ratio = (changed.std(axis=0) / clean.std(axis=0))[HIT]
    assert all(min(abs(r - 4.0), abs(r - 0.25)) < 1e-9 for r in ratio)


def test_mode_moves_all_its_sensors_smoothly_and_turns_their_correlation() -> None:
    rows, hit = 4000, np.array([0, 1])
    common = np.random.default_rng(5).normal(size=(rows, 1))
    series = np.hstack([common, common + 0.1 * np.random.default_rng(6).normal(size=(rows, 1))])
    clean = series.copy()
    FAULTS["mode"].inject(series, 1000, hit, 4.0, rng())

    moved = series[3500:].mean(axis=0) - clean[3500:].mean(axis=0)
    assert np.sqrt((moved**2).mean()) == pytest.approx(4.0, rel=0.1)
    assert np.abs(series[1000] - clean[1000]).max() < 0.1
    before, after = np.cov(clean[:1000].T), np.cov(series[3500:].T)
    assert abs(after[0, 0] - after[1, 1]) > 0.5 > abs(before[0, 0] - before[1, 1])
    assert np.trace(after) == pytest.approx(np.trace(before), rel=0.2)
