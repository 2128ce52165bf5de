"""What several processes count together: on pages of their own, and on the common one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.measuring import cells
from service.measuring.exposition import Family, HistogramFamily
from service.measuring.ledger import Ledger, LedgerFiles

ROOT = Path(__file__).parents[3]


class Counting:
    """The metrics of one worker, as far as these tests need them."""

    def __init__(self, files: LedgerFiles, worker: int) -> None:
        self.ledger = Ledger(files, worker)
        self.counter = Family("done", "counter", "What.", 0, self.ledger)
        self.live = Family("under_way", "gauge", "What.", 0, self.ledger, live=True)
        self.gauge = Family("newest", "gauge", "What.", 0, self.ledger)
        self.histogram = HistogramFamily("size", "What.", (1.0, 2.0), self.ledger)

    def shown(self) -> dict[str, float]:
        self.ledger.refresh()
        families = (self.counter, self.live, self.gauge, self.histogram)
        text = b"".join(family.render() for family in families).decode()
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def files() -> LedgerFiles:
    return LedgerFiles.create(2)


@pytest.fixture
def pair(files: LedgerFiles) -> tuple[Counting, Counting]:
    return Counting(files, 0), Counting(files, 1)


def test_counters_of_all_workers_are_added_up_by_each(pair: tuple[Counting, Counting]) -> None:
    one, other = pair
    one.counter.add([{"route": "a"}, {"route": "b"}])[:] = (1, 2)
    other.counter.add([{"route": "c"}])[:] = 4
    other.counter.add([{"route": "a"}, {"route": "b"}])[:] = (10, 20)
    expected = {"done_total a": 11, "done_total b": 22, "done_total c": 4}
    assert one.shown() == other.shown() == expected


def test_series_that_come_later_are_seen(pair: tuple[Counting, Counting]) -> None:
    one, other = pair
    first = one.counter.add([{"k": "1"}])
    assert other.shown() == {"done_total 1": 0}
    first += 3
    one.counter.add([{"k": "2"}])[0] = 5
    assert other.shown() == {"done_total 1": 3, "done_total 2": 5}


def test_histograms_are_added_up(pair: tuple[Counting, Counting]) -> None:
    for counting, value in zip(pair, (0.5, 1.5), strict=True):
        counting.histogram.add({"m": "x"}).observe(value)
    shown = pair[0].shown()
    assert shown == {
        "size_bucket x 1": 1,
        "size_bucket x 2": 2,
        "size_bucket x +Inf": 2,
        "size_sum x": 2,
        "size_count x": 2,
    }


def test_gauge_is_whatever_was_written_last(pair: tuple[Counting, Counting]) -> None:
    one, other = pair
    one.gauge.add([{"asset": "A"}])[0] = 1
    other.gauge.add([{"asset": "A"}])[0] = 7
    assert one.shown() == other.shown() == {"newest A": 7}


def test_value_of_a_series_that_is_there_is_kept(pair: tuple[Counting, Counting]) -> None:
    one, other = pair
    one.gauge.add([{}], 3.0)[0] = 5
    assert other.gauge.add([{}], 3.0)[0] == 5


def test_worker_that_takes_a_place_counts_on_and_has_nothing_under_way(files: LedgerFiles) -> None:
    old, watcher = Counting(files, 0), Counting(files, 1)
    old.counter.add([{"k": "1"}])[0] = 5
    old.counter.add([{"k": "gone"}])[0] = 2
    old.live.add([{}])[0] = 3
    new = Counting(files, 0)
    new.counter.add([{"k": "1"}])[0] += 1
    assert new.shown() == watcher.shown() == {"done_total 1": 6, "done_total gone": 2, "under_way": 0}


def in_another_process(files: LedgerFiles, worker: int, program: str) -> None:
    """Run a program with `mine`, the metrics of a worker, and let it end as it will."""
    given = (
        "from service.measuring.ledger import *\nimport os\n"
        "from tests.unit.service.test_ledger import Counting\n"
        f"mine = Counting({files!r}, {worker})\n"
    )
    subprocess.run(
        [sys.executable, "-c", given + program], cwd=ROOT, pass_fds=files.descriptors, timeout=60, check=False
    )


def test_what_a_killed_process_counted_stays_and_what_it_had_under_way_does_not(files: LedgerFiles) -> None:
    here = Counting(files, 1)
    here.live.add([{}])[0] = 1
    in_another_process(
        files, 0, "mine.counter.add([{}])[0] = 9\nmine.live.add([{}])[0] = 4\nos.kill(os.getpid(), 9)"
    )
    assert here.shown() == {"done_total": 9, "under_way": 1}


def test_line_that_a_killed_process_did_not_finish_is_passed_over(files: LedgerFiles) -> None:
    here = Counting(files, 1)
    here.counter.add([{"k": "mine"}])[0] = 1
    journal = files.workers[0].journal
    os.pwrite(journal, b'["done_total",1,1,false,{"k":"half', 0)
    assert here.shown() == {"done_total mine": 1}
    new = Counting(files, 0)
    new.counter.add([{"k": "x"}])[0] = 2
    assert here.shown() == new.shown() == {"done_total mine": 1, "done_total x": 2}


def test_lock_keeps_processes_from_losing_each_others_changes(files: LedgerFiles) -> None:
    program = """
cell = mine.gauge.add([{}])
for _ in range(20000):
    with mine.ledger.lock:
        cell[0] += 1
"""
    others = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from tests.unit.service.test_ledger import Counting\n"
                "from service.measuring.ledger import *\n"
                f"mine = Counting({files!r}, {worker})\n{program}",
            ],
            cwd=ROOT,
            pass_fds=files.descriptors,
        )
        for worker in (0, 1)
    ]
    assert [other.wait(120) for other in others] == [0, 0]
    assert Counting(files, 0).gauge.add([{}])[0] == 40_000


def test_killed_holder_lets_go_of_the_lock(files: LedgerFiles) -> None:
    in_another_process(files, 0, "mine.ledger.lock.__enter__()\nos.kill(os.getpid(), 9)")
    with Counting(files, 1).ledger.lock:
        pass


def test_cells_stay_where_they_are_when_there_are_more(files: LedgerFiles) -> None:
    one, other = Counting(files, 0), Counting(files, 1)
    first = one.counter.add([{"k": "first"}])
    for number in range(3):
        one.counter.add([{"n": str(number), "k": str(k)} for k in range(cells.PIECE // 2)])
    first += 4
    last = one.counter.add([{"k": "last"}])
    last += 6
    shown = other.shown()
    assert (shown["done_total first"], shown["done_total last"]) == (4, 6)
    assert len(shown) == 2 + 3 * (cells.PIECE // 2)


@pytest.mark.parametrize(
    ("used", "count", "start"),
    [
        (1, 10, 1),
        (cells.PIECE - 10, 10, cells.PIECE - 10),
        (cells.PIECE - 9, 10, cells.PIECE),
        (cells.PIECE, 1, cells.PIECE),
    ],
    ids=["fits", "fits exactly", "next piece", "at a border"],
)
def test_block_lies_within_one_piece(used: int, count: int, start: int) -> None:
    assert cells.place(used, count) == start


def test_more_series_than_a_piece_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=str(cells.PIECE)):
        cells.place(1, cells.PIECE + 1)
