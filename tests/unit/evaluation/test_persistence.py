"""Alarms that need several anomalous windows."""

import pytest

from evaluation.errors import EvaluationError
from evaluation.persistence import EACH, AlarmAfter, alarms, parse_alarm_after
from tests.unit.evaluation.rows import rows_of


def alarmed(verdicts: str, rule: AlarmAfter) -> str:
    flags = alarms(rows_of(verdicts, "." * len(verdicts)), rule)
    return "".join("A" if flag else "." for flag in flags)


@pytest.mark.parametrize(
    ("verdicts", "least", "windows", "expected"),
    [
        ("nAnAAn", 1, 1, ".A.AA."),
        ("AAAnA", 3, 3, "..A.."),
        ("AnAnAn", 2, 3, "..A.A."),
        ("AAnnnA", 2, 3, ".AA..."),
        ("AA|AA", 2, 3, ".A..A"),
        ("AAbAA", 2, 3, ".A..A"),
        ("A?A", 2, 3, "..A"),
        ("A?A", 2, 2, "..."),
    ],
    ids=[
        "each-window",
        "all-of-three",
        "two-of-three-flickering",
        "alarm-ends-when-too-few-are-left",
        "a-gap-begins-anew",
        "the-baseline-begins-anew",
        "unjudged-is-not-anomalous",
        "unjudged-breaks-a-streak",
    ],
)
def test_alarm_stands_while_enough_of_the_last_windows_are_anomalous(verdicts, least, windows, expected):
    assert alarmed(verdicts, AlarmAfter(least, windows)) == expected


def test_one_of_one_is_an_alarm_for_each_anomalous_window():
    assert alarmed("nAAnA", EACH) == alarmed("nAAnA", parse_alarm_after("1/1")) == ".AA.A"


def test_rule_is_read_as_it_is_written():
    assert parse_alarm_after(" 3 / 5 ") == AlarmAfter(3, 5)
    assert str(AlarmAfter(3, 5)) == "3/5"


@pytest.mark.parametrize("text", ["3", "3/", "5/3", "0/3", "-1/3", "a/b", "3/5/7", ""])
def test_what_is_no_rule_is_refused_with_an_example(text):
    with pytest.raises(EvaluationError, match="3/5"):
        parse_alarm_after(text)
