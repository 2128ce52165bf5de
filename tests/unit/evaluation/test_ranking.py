"""Measures of ranking, against values worked by hand."""

import numpy as np
import pytest

from evaluation.ranking import pr_auc, roc_auc, soft_labels, vus_pr


def flags(text: str) -> np.ndarray:
    return np.array([letter == "f" for letter in text])


@pytest.mark.parametrize(
    ("truth", "scores", "auc", "average_precision"),
    [
        ("..ff", [1, 2, 3, 4], 1.0, 1.0),
        ("ff..", [1, 2, 3, 4], 0.0, (1 / 3 + 2 / 4) / 2),
        (".f.f", [1, 2, 3, 4], 3 / 4, (1 + 2 / 3) / 2),
        ("..ff", [7, 7, 7, 7], 0.5, 2 / 4),
        # One faulty row ties with a normal one: precision 2/3 at the threshold that has both.
        (".f.f", [1, 2, 2, 3], 7 / 8, (1 + 2 / 3) / 2),
    ],
    ids=["perfect", "upside-down", "one-pair-wrong", "knows-nothing", "tie"],
)
def test_areas_under_both_curves_are_those_of_the_definition(truth, scores, auc, average_precision):
    assert roc_auc(flags(truth), np.array(scores, float)) == pytest.approx(auc)
    assert pr_auc(flags(truth), np.array(scores, float)) == pytest.approx(average_precision)


@pytest.mark.parametrize(
    ("truth", "buffer", "expected"),
    [
        (".f..", 1, [0, 1, 0, 0]),
        (".f..", 2, [0.5**0.5, 1, 0.5**0.5, 0]),
        ("...f", 4, [0, 0.5**0.5, 0.75**0.5, 1]),
        ("f.f", 2, [1, 1, 1]),
    ],
    ids=["shorter-than-a-slope", "one-row-each-side", "cut-at-the-end", "slopes-add-up-to-one"],
)
def test_labels_fall_off_by_the_root_of_the_distance_over_half_the_buffer(truth, buffer, expected):
    assert soft_labels(flags(truth), buffer) == pytest.approx(np.array(expected))


def test_volume_is_the_mean_over_buffers_of_an_example_worked_by_hand():
    """Buffers 0 and 1 leave the label as it is, and the fault ranks first: area 1. With buffer 2 the labels
    are s, 1, s, 0, s being the root of a half; faulty rows count (1 + 1 + 2s) / 2 = 1 + s. In the order of
    the scores, recall is 1 / (1 + s), the same, 1, 1, and precision 1, 1/2, (1 + s) / 3, (1 + 2s) / 4.
    """
    s = 0.5**0.5
    third = 1 / (1 + s) + (1 - 1 / (1 + s)) * (1 + s) / 3
    assert vus_pr(flags(".f.."), np.array([0.1, 0.9, 0.2, 0.3]), 2) == pytest.approx((1 + 1 + third) / 3)


def test_recall_counts_only_in_the_share_of_faults_that_were_found_at_all():
    """Without a buffer. The first two rows found are of one fault of two: recall is 2/3 of a half, then 1."""
    scores = np.array([9.0, 8.0, 1.0, 5.0, 1.0])
    expected = (2 / 3) * (1 / 2) * 1 + (1 - (2 / 3) * (1 / 2)) * 3 / 3
    assert vus_pr(flags("ff.f."), scores, 0) == pytest.approx(expected)


def test_alarm_just_before_a_fault_is_forgiven_and_one_far_away_is_not():
    truth = flags("." * 20 + "f" * 10 + "." * 20)
    near, far = truth.astype(float), truth.astype(float)
    near[18:20] = 1.0
    far[2:4] = 1.0
    assert pr_auc(truth, near) == pytest.approx(pr_auc(truth, far))
    assert vus_pr(truth, near, 10) > vus_pr(truth, far, 10)
