"""Detection figures, against numbers counted by hand."""

import pytest

from evaluation.detection import RowFigures, Tally, pool
from evaluation.verdict_row import VerdictRow

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
