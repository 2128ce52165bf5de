"""How a recording is played: in time, cut as the model needs it, each answer back at its row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from cli.errors import CommandError
from cli.playing import Manner, Pace, asset_name, play
from cli.service_client import RequestRefused, ServedModel
from tests.plant import SENSORS, START, recording

MODEL = ServedModel("tiny", 2, SENSORS, ("normal", "anomalous"), 12, 4, 1.0, 5.0)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Recorder:
    """Stands in for a service: keeps what it is sent and calls everything normal."""

    def __init__(self, problem: Mapping[str, Any] | None = None) -> None:
        self.windows: list[Mapping[str, Any]] = []
        self.requests: list[int] = []
        self.baselines: list[tuple[str, int]] = []
        self._problem = problem

    def put_baseline(
        self,
        asset: str,
        model: ServedModel,
        readings: Mapping[str, Sequence[float]],
        timestamps: Sequence[str],
    ) -> None:
        self.baselines.append((asset, len(timestamps)))

    def classify(self, model: ServedModel, windows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if self._problem:
            raise RequestRefused(422, self._problem)
        self.windows += windows
        self.requests.append(len(windows))
        return [{"verdict": "normal", "quality": {"observed": 1.0, "issues": []}} for _ in windows]


def test_rows_are_due_at_the_speed_that_is_asked() -> None:
    clock = Clock()
    pace = Pace(np.array([0.0, 1.0, 2.0, 10.0]), 2.0, clock, clock.sleep)
    assert [pace.due(first, 64) for first in range(4)] == [1, 1, 1, 1]
    assert clock.slept == [0.5, 0.5, 4.0]


def test_rows_that_are_late_are_sent_together_up_to_the_batch() -> None:
    clock = Clock()
    pace = Pace(np.arange(100.0), 1.0, clock, clock.sleep)
    assert pace.due(0, 64) == 1
    clock.now += 10.0
    assert pace.due(1, 64) == 10
    assert pace.due(1, 4) == 4


def test_without_a_speed_batches_are_full_but_for_the_last() -> None:
    service = Recorder()
    rows = [row for part in play(recording("run", 30), service, MODEL, Manner(batch=10)) for row in part]
    assert service.requests == [7, 10, 10]
    assert [row.row for row in rows] == list(range(1, 31))
    assert [row.verdict for row in rows[:4]] == ["cannot_judge"] * 3 + ["normal"]


def test_window_is_the_newest_steps_up_to_its_row_with_their_times() -> None:
    service = Recorder()
    item = recording("run", 30)
    list(play(item, service, MODEL, Manner()))
    window = service.windows[20 - 3]
    assert window["id"] == "21"
    assert window["readings"]["Flow"] == item.values[9:21, 1].tolist()
    start = np.datetime64(int(START), "s")
    assert window["timestamps"] == [f"{start + step}.000Z" for step in range(9, 21)]


def test_baseline_is_sent_first_and_its_rows_are_marked() -> None:
    service = Recorder()
    rows = [
        row
        for part in play(recording("valve2/0.csv", 60), service, MODEL, Manner(baseline_rows=40))
        for row in part
    ]
    assert service.baselines == [("valve2-0", 40)]
    assert [row.verdict for row in rows] == ["baseline"] * 40 + ["normal"] * 20
    assert service.windows[0]["id"] == "41"
    assert {window["asset"] for window in service.windows} == {"valve2-0"}


def test_refusal_names_the_row_of_the_file() -> None:
    service = Recorder({"code": "bad_window", "place": "windows[5].readings.Flow[1]", "detail": "odd"})
    with pytest.raises(
        CommandError, match=r"^run\.csv row 9: the service answered 422 bad_window at windows\[5\]"
    ):
        list(play(recording("run.csv", 30), service, MODEL, Manner()))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("valve2/0.csv", "valve2-0"),
        ("Pumpe 7 (alt).CSV", "Pumpe-7-alt"),
        ("run.parquet", "run"),
        ("P-101.2026.csv", "P-101.2026"),
        ("ü.csv", "asset"),
    ],
)
def test_asset_is_named_after_the_file(file: str, name: str) -> None:
    assert asset_name(file) == name
