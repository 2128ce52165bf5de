"""The SQLite state: exact, atomic, bounded."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from detector import Baseline
from detector.manifest import Level
from service.errors import StateUnavailable, TooManyAssets
from service.state import Commissioning, SqliteState

SENSORS = ("Pressure", "Flow")
BASELINE = Baseline(
    np.array([0.1, 1 / 3]),
    np.array([1e-300, 2.0]),
    np.array([0.0, 1.9]),
    np.array([False, True]),
    40,
    Level(-1.5, 0.25),
    None,
)


def given(asset: str, created: float = 1.0) -> Commissioning:
    values = np.random.default_rng(0).standard_normal((40, 2))
    values[3, 1] = np.nan
    return Commissioning(asset, "pump", created, SENSORS, values, np.arange(40.0) + 1_790_000_000.123)


@pytest.fixture
def state(tmp_path: Path) -> SqliteState:
    return SqliteState(tmp_path / "a" / "b", 3)


def test_baseline_and_readings_come_back_to_the_last_bit(state: SqliteState) -> None:
    assert state.save(given("A"), {("sha", 1): BASELINE})
    stored = state.baselines("sha")["A"].baseline
    for name in ("center", "scale", "drift", "left_out"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(BASELINE, name))
    assert (stored.rows, stored.classifier, stored.reconstruction) == (40, Level(-1.5, 0.25), None)
    back = state.commissioning("A", "pump")
    assert back is not None
    np.testing.assert_array_equal(back.values, given("A").values)
    np.testing.assert_array_equal(back.timestamps, given("A").timestamps)
    assert back.sensors == SENSORS


def test_saving_again_replaces_everything(state: SqliteState) -> None:
    state.save(given("A"), {("old", 1): BASELINE})
    assert state.save(given("A", 2.0), {("new", 2): BASELINE}) is False
    assert state.baselines("old") == {}
    assert [item.versions for item in state.commissioned()] == [(2,)]


def test_no_more_assets_than_allowed(state: SqliteState) -> None:
    for asset in "ABC":
        state.save(given(asset), {})
    with pytest.raises(TooManyAssets):
        state.save(given("D"), {})
    assert state.save(given("A"), {}) is False
    assert [item.asset for item in state.commissioned()] == ["A", "B", "C"]


def test_failed_transaction_leaves_what_was(state: SqliteState) -> None:
    state.save(given("A"), {("sha", 1): BASELINE})
    with pytest.raises(AttributeError):
        state.save(given("A", 2.0), {("sha", 1): None})  # type: ignore[dict-item]
    back = state.commissioning("A", "pump")
    assert back is not None
    assert back.created == 1.0
    assert "A" in state.baselines("sha")


def test_baseline_for_a_new_version_needs_the_same_commissioning(state: SqliteState) -> None:
    state.save(given("A", 2.0), {("one", 1): BASELINE})
    assert state.lacking("pump", "two") == ["A"]
    state.add(given("A", 1.0), "two", 2, BASELINE)
    assert state.lacking("pump", "two") == ["A"]
    state.add(given("A", 2.0), "two", 2, BASELINE)
    assert state.lacking("pump", "two") == []


def test_change_counter_moves_with_every_writer_and_with_nothing_else(
    state: SqliteState, tmp_path: Path
) -> None:
    other = SqliteState(tmp_path / "a" / "b", 3)
    counters = [state.change_counter()]
    for writer, asset in ((state, "A"), (other, "B")):
        writer.save(given(asset), {})
        counters.append(state.change_counter())
        state.commissioned()
        assert state.change_counter() == counters[-1]
    assert len(set(counters)) == 3


def test_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(StateUnavailable, match="/proc/nowhere"):
        SqliteState(Path("/proc/nowhere"), 1)


def test_nothing_in_the_file_is_a_pickle(state: SqliteState, tmp_path: Path) -> None:
    state.save(given("A"), {("sha", 1): BASELINE})
    with sqlite3.connect(tmp_path / "a" / "b" / "offnormal.sqlite3") as connection:
        types = connection.execute("SELECT typeof(sensors), typeof(readings) FROM commissionings").fetchone()
        assert types == ("text", "blob")
        assert connection.execute("SELECT json_valid(baseline) FROM baselines").fetchone() == (1,)
