"""Which class was called which, by hand."""

import pytest

from evaluation.confusion import confusion
from tests.unit.evaluation.rows import rows_of

CLASSES = ("normal", "leak", "other")


def test_anomalous_row_is_called_by_its_most_probable_fault_even_if_normal_is_likelier():
    rows = rows_of(
        "nAAA?",
        ".fff.",
        probabilities=[(1, 0, 0), (0.1, 0.8, 0.1), (0.6, 0.1, 0.3), (0, 0.5, 0.5), (1, 0, 0)],
    )
    table = confusion(rows, CLASSES)
    assert table is not None
    assert table.truth == ("normal", "leak")
    assert table.called == ("normal", "leak", "other", "cannot_judge")
    assert table.counts == ((1, 0, 0, 1), (0, 2, 1, 0))


def test_fault_that_the_model_does_not_know_has_a_row_and_no_figures():
    table = confusion(rows_of("nA", ".g", probabilities=[(1, 0, 0), (0, 1, 0)]), CLASSES)
    assert table is not None
    assert table.truth == ("normal", "wear")
    assert [item.klass for item in table.classes()] == ["normal"]


def test_figures_of_a_class_are_against_all_others():
    p = [(1, 0, 0)] * 2 + [(0, 1, 0)] * 3
    table = confusion(rows_of("nnAAA", ".f.ff", probabilities=p), CLASSES)
    assert table is not None
    leak = next(item for item in table.classes() if item.klass == "leak")
    assert (leak.rows, leak.precision, leak.recall) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert leak.f1 == pytest.approx(2 / 3)


def test_two_classes_have_no_figures_of_their_own():
    table = confusion(rows_of("nA", ".g", probabilities=[(1, 0), (0, 1)]), ("normal", "anomalous"))
    assert table is not None
    assert table.counts == ((1, 0, 0), (0, 1, 0))
    assert table.classes() == ()


def test_rows_of_the_baseline_and_without_label_do_not_count():
    assert confusion(rows_of("bA", ". ", probabilities=[(1, 0, 0), (0, 1, 0)]), CLASSES) is None
