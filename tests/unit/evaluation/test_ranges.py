"""Faults and alarms as stretches, against values worked by hand."""

import numpy as np
import pytest

from evaluation.ranges import range_f1, ranges


def flags(text: str) -> np.ndarray:
    return np.array([letter != "." for letter in text])


def test_runs_are_found_at_both_ends():
    assert ranges(flags("ff.f..ff")) == [(0, 2), (3, 4), (6, 8)]
    assert ranges(flags("...")) == []


@pytest.mark.parametrize(
    ("truth", "alarms", "expected"),
    [
        ("..ff..", "..AA..", 1.0),
        ("..ff..", "......", 0.0),
        # Recall 1; precision 2/6.
        ("..ff..", "AAAAAA", 2 * (1 / 3) / (4 / 3)),
        # Both alarms lie in the fault, precision 1; two thirds of it are covered, by two: recall 1/3.
        ("fff", "A.A", 2 * (1 / 3) / (4 / 3)),
        # A long fault found whole, a short one missed: each counts alike, recall 1/2.
        ("ffff.f", "AAAA..", 2 * (1 / 2) / (3 / 2)),
        # One alarm over two faults: 4/5 of it, shared by two, precision 2/5; recall 1.
        ("ff.ff", "AAAAA", 2 * (2 / 5) / (7 / 5)),
    ],
    ids=["exact", "silent", "always-on", "flickering", "one-of-two", "one-over-two"],
)
def test_f1_of_ranges_is_that_of_the_definition(truth, alarms, expected):
    assert range_f1(flags(truth), flags(alarms)) == pytest.approx(expected)


def test_without_a_fault_there_is_nothing_to_find():
    assert range_f1(flags("...."), flags(".A..")) is None
