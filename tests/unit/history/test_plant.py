"""A simulated plant: its machines, and when they have which fault."""

from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history.faults import FAULTS
from history.plant import Machine, MachineType, Season
from history.schedule import SIZES, BadSchedule, Episode, Fixed, Rounds, Timing
from history.twin import Twin
from tests.plant import CENTER, SCALE, SENSORS, normal_operation

CALM = Season(0, 0)
LEAD = 50


@pytest.fixture(scope="module")
def pump() -> MachineType:
    rows = (normal_operation(4000, 7) - CENTER) / SCALE
    twin = Twin.fit(SENSORS, [rows], CENTER, SCALE)
    return MachineType(twin, SCALE, CENTER - 2 * SCALE, CENTER + 2 * SCALE)


def machine(
    pump: MachineType,
    episodes: Sequence[Episode] = (),
    asset: str = "P-101",
    seed: int = 0,
    season: Season = CALM,
    lead: int = LEAD,
) -> Machine:
    return Machine(pump, asset, seed, lead, Fixed(episodes).of(asset), season)


def fault(kind: str, start: int = 40, steps: int = 60, sensors: tuple[int, ...] = (1,)) -> Episode:
    return Episode("P-101", kind, sensors, 5.0, start, steps)


def test_same_seed_gives_the_same_rows_bit_for_bit(pump: MachineType) -> None:
    one, other = (machine(pump, [fault("noise")], season=Season(300, 0.5)) for _ in range(2))
    np.testing.assert_array_equal(one.lead, other.lead)
    np.testing.assert_array_equal(one.take(400).values, other.take(400).values)


@pytest.mark.parametrize("kind", FAULTS)
def test_rows_do_not_depend_on_how_many_are_taken_at_a_time(pump: MachineType, kind: str) -> None:
    whole = machine(pump, [fault(kind)], season=Season(300, 0.5)).take(700)
    stream = machine(pump, [fault(kind)], season=Season(300, 0.5))
    parts = [stream.take(steps) for steps in [1] * 120 + [7] * 40 + [300]]
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    assert [label for part in parts for label in part.labels] == whole.labels


@pytest.mark.parametrize(("asset", "seed"), [("P-101", 1), ("P-102", 0)], ids=["seed", "name"])
def test_another_seed_or_name_is_another_machine(pump: MachineType, asset: str, seed: int) -> None:
    other = machine(pump, asset=asset, seed=seed).take(1000).values
    away = np.abs(machine(pump).take(1000).values.mean(axis=0) - other.mean(axis=0))
    assert (away > 0.1 * SCALE).any()


def test_machines_are_operated_within_the_range_of_their_type(pump: MachineType) -> None:
    centers = np.array([machine(pump, seed=seed).take(3000).values.mean(0) for seed in range(8)])
    assert (centers > pump.low - 0.2 * SCALE).all()
    assert (centers < pump.high + 0.2 * SCALE).all()
    assert (centers.std(axis=0) > 0.3 * SCALE).all()


def test_readings_scatter_as_the_types_do(pump: MachineType) -> None:
    spreads = np.array([machine(pump, seed=seed).take(4000).values.std(0) for seed in range(8)])
    assert (spreads > 0.6 * SCALE).all()
    assert (spreads < 1.6 * SCALE).all()
    assert spreads.mean(axis=0) == pytest.approx(SCALE, rel=0.3)


def test_sensors_still_move_together(pump: MachineType) -> None:
    own = np.corrcoef(machine(pump).take(4000).values.T)
    twins = np.corrcoef(pump.twin.simulate(4000, np.random.default_rng(3)).T)
    np.testing.assert_allclose(own, twins, atol=0.15)


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_changes_its_rows_and_sensors_and_nothing_else(pump: MachineType, kind: str) -> None:
    sensors = (0, 1) if kind == "swap" else (1,)
    clean = machine(pump).take(200).values
    faulty = machine(pump, [fault(kind, sensors=sensors)]).take(200)
    changed = faulty.values != clean
    assert faulty.labels == ["normal"] * 40 + [kind] * 60 + ["normal"] * 100
    assert not changed[:40].any()
    assert not changed[100:].any()
    assert not changed[:, 2].any()
    assert changed[40:100, list(sensors)].any(axis=0).all()


def test_size_of_a_fault_is_in_the_machines_own_deviations(pump: MachineType) -> None:
    clean, faulty = machine(pump, lead=4000), machine(pump, [fault("shift")], lead=4000)
    spread = clean.lead.std(axis=0)
    moved = np.abs(faulty.take(100).values - clean.take(100).values)[40:, 1]
    assert moved == pytest.approx(5 * spread[1], rel=0.1)


def test_stuck_sensor_repeats_the_last_reading_before_its_fault(pump: MachineType) -> None:
    rows = machine(pump, [fault("stuck")]).take(100).values
    assert (rows[40:100, 1] == rows[39, 1]).all()


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_may_begin_with_the_stream(pump: MachineType, kind: str) -> None:
    rows = machine(pump, [fault(kind, start=0, steps=5)], lead=0).take(10)
    assert rows.labels == [kind] * 5 + ["normal"] * 5
    assert np.isfinite(rows.values).all()


def test_faults_may_follow_each_other_without_a_rest(pump: MachineType) -> None:
    rows = machine(pump, [fault("shift", 3, 2), fault("stuck", 5, 2)]).take(8)
    assert rows.labels == ["normal"] * 3 + ["shift"] * 2 + ["stuck"] * 2 + ["normal"]


def test_rows_before_the_stream_are_normal_and_lead_into_it(pump: MachineType) -> None:
    """The same course, cut at another place."""
    long, short = machine(pump, lead=80), machine(pump, lead=30)
    together = np.concatenate((long.lead, long.take(100).values))
    np.testing.assert_array_equal(np.concatenate((short.lead, short.take(150).values)), together)
    assert len(long.lead) == 80


def test_season_is_a_wave_of_its_size_and_period(pump: MachineType) -> None:
    calm, moved = machine(pump), machine(pump, season=Season(400, 1.0))
    wave = (moved.take(800).values - calm.take(800).values) / calm.take(4000).values.std(axis=0)
    assert np.abs(wave).max(axis=0) == pytest.approx(np.ones(3), rel=0.15)
    np.testing.assert_allclose(wave[:400], wave[400:], atol=0.02)


def test_season_moves_the_sensors_as_they_move_together_anyway(pump: MachineType) -> None:
    assert pump.load.tolist() in ([1, 1, 1], [-1, -1, -1])


@given(
    seed=st.integers(0, 2**31),
    assets=st.integers(1, 5),
    kinds=st.lists(st.sampled_from(list(FAULTS)), min_size=1, unique=True),
    timing=st.builds(Timing, st.integers(0, 200), st.integers(1, 200), st.integers(0, 200)),
)
@settings(deadline=None, max_examples=60)
def test_schedule_never_overlaps_two_faults(seed: int, assets: int, kinds: list[str], timing: Timing) -> None:
    names = [f"P-{index}" for index in range(assets)]
    schedule = Rounds(names, [0, 2], kinds, timing, seed)
    episodes = list(islice(schedule.episodes(), 40))
    assert episodes[0].start == timing.first
    for one, other in pairwise(episodes):
        assert one.start < one.end < other.start
    for episode in episodes:
        assert episode.steps >= 1
        assert set(episode.sensors) <= {0, 2}
        assert SIZES[episode.kind][0] <= episode.size <= SIZES[episode.kind][1]
    for name in names:
        assert list(islice(schedule.of(name), 3)) == [e for e in episodes if e.asset == name][:3]


def test_each_kind_comes_once_before_any_comes_again_and_first_in_the_order_given() -> None:
    schedule = Rounds(["A", "B", "C"], [0], ["ramp", "shift", "noise", "stuck"], Timing(0, 5, 5), 3)
    kinds = [episode.kind for episode in islice(schedule.episodes(), 40)]
    assert kinds[:4] == ["ramp", "shift", "noise", "stuck"]
    rounds = [tuple(kinds[index : index + 4]) for index in range(0, 40, 4)]
    assert all(sorted(found) == sorted(rounds[0]) for found in rounds)
    assert len(set(rounds)) > 1


def test_machines_have_faults_in_turn_and_others_never() -> None:
    schedule = Rounds(["A", "B"], [0], ["shift"], Timing(0, 5, 5), 0)
    assert [episode.asset for episode in islice(schedule.episodes(), 4)] == ["A", "B", "A", "B"]
    assert list(schedule.of("C")) == []


def test_another_seed_is_another_schedule() -> None:
    one, other = (Rounds(["A"], [0, 1, 2], list(FAULTS), Timing(9, 90, 90), seed) for seed in (0, 1))
    assert list(islice(one.episodes(), 5)) != list(islice(other.episodes(), 5))


def test_overlapping_faults_in_one_machine_are_refused() -> None:
    with pytest.raises(BadSchedule, match="P-101: shift until step 100 and ramp from step 99 overlap"):
        Fixed([fault("ramp", 99), fault("shift")])
    Fixed([fault("ramp", 100), fault("shift"), Episode("P-102", "ramp", (0,), 1.0, 50, 10)])


def test_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(BadSchedule, match="no kind of fault is called 'rust'; there are: shift, ramp"):
        Fixed([fault("rust")])
