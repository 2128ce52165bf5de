"""Detection figures, against numbers counted by hand."""

import pytest

from evaluation.detection import FalseAlarms, RowFigures, Tally, pool
from evaluation.persistence import AlarmAfter
from evaluation.verdict_row import VerdictRow
from tests.unit.evaluation.rows import rows_of

LETTERS = {"n": "normal", "A": "anomalous", "?": "cannot_judge", "b": "baseline"}


def tally_of(verdicts: str, labels: str, sensors: str = "", first_time: float | None = 100.0) -> Tally:
    """One letter a row: n, A, ?, b for verdicts; ., f, g, space for normal, two faults, unlabelled."""
    names = {".": "normal", "f": "leak", "g": "wear", " ": ""}
    tally = Tally("run.csv")
    tally.add(
        VerdictRow(
            "run.csv",
            index + 1,
            None if first_time is None else first_time + 2.0 * index,
            LETTERS[verdict],
            contributions=((sensors[index], 0.75), ("other", 0.25)) if sensors else (),
            label=names[label],
        )
        for index, (verdict, label) in enumerate(zip(verdicts, labels, strict=True))
    )
    return tally


def test_rows_are_counted_by_label_and_alarm() -> None:
    figures = tally_of("nnAnAAnA", "....ffff").figures
    assert figures == RowFigures(hits=3, misses=1, false_alarms=1, quiet=3)
    assert figures.rows == 8
    assert figures.false_alarm_rate == pytest.approx(1 / 4)
    assert figures.missed_alarm_rate == pytest.approx(1 / 4)
    assert figures.precision == pytest.approx(3 / 4)
    assert figures.recall == pytest.approx(3 / 4)
    assert figures.f1 == pytest.approx(3 / 4)
    assert figures.always_on_f1 == pytest.approx(2 * 4 / (8 + 4))


def test_row_that_cannot_be_judged_is_a_miss_in_a_fault_and_no_false_alarm_outside() -> None:
    assert tally_of("?n?A", "..ff").figures == RowFigures(1, 1, 0, 2, unjudged=2)


def test_rows_of_the_baseline_and_unlabelled_rows_do_not_count() -> None:
    assert tally_of("bbnA A".replace(" ", "A"), "ff.. f").figures == RowFigures(1, 0, 1, 1)


def test_file_without_labels_has_no_figures() -> None:
    assert tally_of("nA", "  ").figures is None
    assert tally_of("nA", "  ").verdicts == {"normal": 1, "anomalous": 1}


def test_file_without_a_fault_has_a_false_alarm_rate_and_no_recall() -> None:
    figures = tally_of("nA", "..").figures
    assert figures is not None
    assert figures.false_alarm_rate == pytest.approx(1 / 2)
    assert figures.recall is None
    assert figures.f1 is None
    assert figures.always_on_f1 is None


def test_delay_is_from_the_first_faulty_row_to_the_first_alarm_in_it() -> None:
    (event,) = tally_of("nnnnAn", "..ffff").events
    assert (event.start, event.rows, event.delay_rows, event.delay_s) == (3, 4, 2, 4.0)
    assert not event.already_on


def test_alarm_that_stood_before_the_fault_is_said() -> None:
    (event,) = tally_of("nAAA", "..ff").events
    assert event.already_on
    assert event.delay_s == 0


def test_alarm_after_the_fault_does_not_find_it() -> None:
    (event,) = tally_of("nnnA", ".ff.").events
    assert event.delay_s is None
    assert event.delay_rows is None


def test_each_fault_is_an_event_also_when_one_follows_another() -> None:
    events = tally_of("AnnAnn", "f.ffgg").events
    assert [(event.klass, event.start, event.rows, event.delay_rows) for event in events] == [
        ("leak", 1, 1, 0),
        ("leak", 3, 2, 1),
        ("wear", 5, 2, None),
    ]


def test_delay_without_time_stamps_is_in_rows() -> None:
    (event,) = tally_of("nnA", ".ff", first_time=None).events
    assert (event.delay_rows, event.delay_s) == (1, None)


def test_sensors_of_a_fault_are_the_mean_shares_of_its_alarms() -> None:
    (event,) = tally_of("AnAA", ".fff", sensors="xyzz").events
    assert event.top_sensors == (("z", 0.75), ("other", 0.25))


def test_event_goes_on_over_chunks() -> None:
    whole, parts = tally_of("nnAA", ".fff"), Tally("run.csv")
    rows = [
        VerdictRow("run.csv", i + 1, 100.0 + 2 * i, v, label=k)
        for i, (v, k) in enumerate(
            zip(
                ["normal", "normal", "anomalous", "anomalous"],
                ["normal", "leak", "leak", "leak"],
                strict=True,
            )
        )
    ]
    parts.add(rows[:2])
    parts.add(rows[2:])
    assert parts.events == whole.events
    assert parts.figures == whole.figures


def test_pooled_figures_sum_counts_so_that_long_files_weigh_more() -> None:
    pooled = pool([RowFigures(1, 0, 0, 1), RowFigures(0, 3, 1, 0)])
    assert pooled == RowFigures(1, 3, 1, 1)
    assert pooled.recall == pytest.approx(1 / 4)


def false_alarms(verdicts: str, labels: str, period_s: float | None = 3600.0) -> FalseAlarms:
    tally = Tally("run.csv", period_s=period_s)
    tally.add(rows_of(verdicts, labels))
    return tally.false_alarms


@pytest.mark.parametrize(
    ("verdicts", "labels", "raised"),
    [
        ("nAAnAn", "......", 2),
        ("nAAAAn", "..ff..", 1),
        ("nnAAAn", "..ff..", 0),
        ("nnAAnA", "..ff..", 1),
        ("AA|AA", ".....", 2),
        ("bbAA", "....", 1),
        ("AAAA", "ff..", 0),
        ("AAAA", "    ", 0),
    ],
    ids=[
        "runs-not-rows",
        "one-that-runs-into-a-fault",
        "one-that-outlasts-its-fault",
        "one-after-the-fault",
        "a-gap-ends-a-run",
        "after-the-baseline",
        "fault-in-the-first-row",
        "unlabelled",
    ],
)
def test_false_alarm_is_a_run_that_begins_on_a_normal_row(verdicts, labels, raised):
    assert false_alarms(verdicts, labels).raised == raised


def test_hours_are_those_of_rows_labelled_normal():
    counted = false_alarms("bbnAnAnn", "....ff..")
    assert (counted.normal_rows, counted.hours) == (4, 4.0)
    assert counted.per_hour == pytest.approx(1 / 4)
    assert counted.per_1000_rows == pytest.approx(1000 / 4)


def test_without_time_false_alarms_are_counted_by_rows_alone():
    counted = false_alarms("nAnA", "....", period_s=None) + false_alarms("nAnA", "....")
    assert counted.hours is None
    assert counted.per_hour is None
    assert counted.per_1000_rows == pytest.approx(1000 * 4 / 8)


def test_delay_without_time_stamps_follows_from_the_period():
    tally = Tally("run.csv", period_s=5.0)
    tally.add(rows_of("nnnA", ".fff", first_time=None))
    (event,) = tally.events
    assert (event.delay_rows, event.delay_s) == (2, 10.0)


def test_alarm_that_must_persist_comes_later_and_less_often_for_nothing():
    each, after = Tally("run.csv"), Tally("run.csv", AlarmAfter(2, 2))
    for tally in (each, after):
        tally.add(rows_of("nAnnAAA", "....fff"))
    assert (each.false_alarms.raised, after.false_alarms.raised) == (1, 0)
    assert (each.events[0].delay_rows, after.events[0].delay_rows) == (0, 1)
    assert after.figures == RowFigures(hits=2, misses=1, false_alarms=0, quiet=4)
