"""Probabilities and p-values against what came of them, by hand."""

import numpy as np
import pytest

from evaluation.p_values import before_first_fault, uniformity
from evaluation.reliability import measure, reliability
from tests.unit.evaluation.rows import rows_of


def test_calibration_is_counted_by_bin():
    """Bin 0.2-0.3: said 0.25, seen 1/2, two rows. Bin 0.9-1, 1 in it: said 0.95, seen 1, two rows."""
    measured = measure(np.array([0.25, 0.25, 0.9, 1.0]), np.array([True, False, True, True]))
    assert measured.ece == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert measured.brier == pytest.approx((0.75**2 + 0.25**2 + 0.1**2 + 0) / 4)
    assert measured.brier_of_base_rate == pytest.approx(3 / 4 * 1 / 4)
    assert [item.rows for item in measured.bins] == [0, 0, 2, 0, 0, 0, 0, 0, 0, 2]
    assert (measured.bins[2].probability, measured.bins[2].faulty) == pytest.approx((0.25, 0.5))
    assert measured.bins[0].probability is None


def test_probability_is_of_any_fault_and_unlabelled_rows_do_not_count():
    rows = rows_of("nAA", ".f ", probabilities=[(0.9, 0.05, 0.05), (0.2, 0.5, 0.3), (0.0, 1.0, 0.0)])
    measured = reliability(rows)
    assert measured is not None
    assert measured.rows == 2
    assert measured.brier == pytest.approx((0.1**2 + 0.2**2) / 2)


def test_without_judged_rows_nothing_is_said_of_probabilities():
    assert reliability(rows_of("bb?", "...")) is None


def test_realised_rates_are_shares_of_normal_rows():
    p = [0.005, 0.01, 0.04, 0.08, 0.5, 0.9, 0.001]
    measured = uniformity(rows_of("nnnnnnA", "......f", p_values=[*p]))
    assert measured is not None
    assert measured.rows == 6
    assert measured.realised == pytest.approx((2 / 6, 3 / 6, 4 / 6))
    # After the fourth of six rows at 0.08 the distribution is 4/6 high.
    assert measured.distance == pytest.approx(4 / 6 - 0.08)
    assert sum(measured.shares) == pytest.approx(1)


def test_uniform_p_values_keep_their_promise():
    p = [(place + 0.5) / 200 for place in range(200)]
    measured = uniformity(rows_of("n" * 200, "." * 200, p_values=[*p]))
    assert measured is not None
    assert measured.realised == pytest.approx((0.01, 0.05, 0.10))
    assert measured.distance == pytest.approx(0.5 / 200)
    assert measured.shares == pytest.approx([0.05] * 20)


@pytest.mark.parametrize(("labels", "kept"), [("..ff..", 2), ("ff..", 0), ("....", 4), (". f.", 2)])
def test_rows_before_the_first_fault_are_those_up_to_it(labels, kept):
    assert len(before_first_fault(rows_of("n" * len(labels), labels))) == kept
