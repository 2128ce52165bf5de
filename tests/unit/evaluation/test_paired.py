"""Paired differences, and what they decide."""

import pytest

from evaluation.contest import contest
from evaluation.paired import paired


def test_differences_are_second_less_first_where_both_are_known():
    measured = paired([0.5, None, 0.7, 0.9], [0.6, 0.8, 0.7, 0.6])
    assert measured.differences == pytest.approx((0.1, 0.0, -0.3))
    assert measured.mean == pytest.approx(-0.2 / 3)
    assert (measured.higher, measured.lower, measured.equal) == (1, 1, 1)


def test_interval_needs_five_files():
    assert paired([0.0] * 4, [1.0, 2.0, 3.0, 4.0]).low is None
    assert paired([0.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]).low is not None


def test_interval_is_the_same_each_time_and_close_to_the_normal_one():
    """Mean 0, standard error 1 / sqrt(100) for a hundred values of deviation 1."""
    values = [(-1.0) ** place for place in range(100)]
    first, second = paired([0.0] * 100, values), paired([0.0] * 100, values)
    assert (first.low, first.high) == (second.low, second.high)
    assert first.low == pytest.approx(-0.196, abs=0.02)
    assert first.high == pytest.approx(0.196, abs=0.02)


def test_same_difference_everywhere_is_certain():
    measured = paired([0.1] * 6, [0.3] * 6)
    assert (measured.low, measured.high) == pytest.approx((0.2, 0.2))


def test_nothing_in_common_gives_no_mean():
    measured = paired([None, 0.2], [0.3, None])
    assert (measured.mean, measured.low, measured.differences) == (None, None, ())


def summaries(**figures: tuple[float | None, float | None]) -> dict[str, dict[str, float | None]]:
    return {name: {"auc": auc, "f1": f1} for name, (auc, f1) in figures.items()}


def test_model_beats_all_only_when_it_wins_every_match():
    given = summaries(model=(0.9, 0.8), always_on=(0.5, 0.7), pca=(0.85, 0.79), z2=(0.8, 0.7))
    result = contest(given, [given])
    assert result.beats_all is True
    assert result.lost == ()
    assert result.complete
    assert [match.difference for match in result.matches] == pytest.approx([0.4, 0.05, 0.1])


@pytest.mark.parametrize(
    ("pca", "behind_in"),
    [((0.9, 0.7), []), ((0.95, 0.9), [("pca", "f1")])],
    ids=["a-tie-is-lost", "behind-in-f1-too"],
)
def test_what_is_lost_is_named(pca, behind_in):
    given = summaries(model=(0.9, 0.8), pca=pca)
    result = contest(given, [given])
    assert result.beats_all is False
    assert [(match.reference, match.figure) for match in result.lost] == [("pca", "auc")]
    assert [(match.reference, match.figure) for match in result.behind_in] == behind_in
    assert str(result.lost[0]).startswith("Does not beat PCA T²+Q in AUC: 0.900 against ")


def test_without_labels_nothing_is_decided():
    given = summaries(model=(None, None), pca=(None, None))
    assert contest(given, [given]).beats_all is None


def test_a_higher_f1_alone_decides_nothing():
    """At the same budget, the one that breaks its promise finds more."""
    given = summaries(model=(0.9, 0.8), always_on=(0.5, 0.7), pca=(0.85, 0.95), z2=(0.8, 0.7))
    result = contest(given, [given])
    assert result.beats_all is True
    assert [(match.reference, match.figure) for match in result.behind_in] == [("pca", "f1")]


def test_match_that_cannot_be_had_neither_wins_nor_loses():
    given = summaries(model=(0.9, 0.8), pca=(0.8, 0.7), z2=(None, None))
    result = contest(given, [given])
    assert result.beats_all is True
    assert [match.beats for match in result.matches] == [True, None]
    assert not result.complete
