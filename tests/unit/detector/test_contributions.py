"""Evidence against sensors, as shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.contributions import contributions, shares

NAMES = ("Pressure", "Flow", "Temperature", "Voltage")
evidences = arrays(np.float64, 4, elements=st.one_of(st.just(np.nan), st.floats(0, 1e12)))


@given(evidences)
def test_shares_are_within_0_and_1_and_sum_to_1_where_anything_was_observed(evidence):
    (parts,) = shares(evidence[None])
    assert ((parts >= 0) & (parts <= 1 + 1e-12)).all()
    assert parts.sum() == pytest.approx(1.0 if np.isfinite(evidence).any() else 0.0)
    assert (parts[np.isnan(evidence)] == 0).all()


@given(evidences)
def test_contributions_are_the_shares_of_the_sensors_that_have_any_largest_first(evidence):
    (told,) = contributions(evidence[None], np.arange(4.0)[None], NAMES)
    (parts,) = shares(evidence[None])
    assert {item.sensor for item in told} == {
        name for name, value in zip(NAMES, evidence, strict=True) if np.isfinite(value)
    }
    assert [item.share for item in told] == sorted((item.share for item in told), reverse=True)
    for item in told:
        place = NAMES.index(item.sensor)
        assert item.share == parts[place]
        assert item.error == place


def test_sensors_of_a_window_without_evidence_share_alike():
    (parts,) = shares(np.array([[0.0, np.nan, 0.0, 0.0]]))
    assert parts.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_windows_are_told_of_each_by_itself():
    evidence = np.array([[1.0, 3.0, np.nan, 0.0], [np.nan] * 4, [0.0, 0.0, 0.0, 2.0]])
    errors = np.arange(12.0).reshape(3, 4)
    together = contributions(evidence, errors, NAMES)
    assert together == [
        *(contributions(evidence[row : row + 1], errors[row : row + 1], NAMES)[0] for row in range(3))
    ]
    assert [[item.sensor for item in told] for told in together] == [
        ["Flow", "Pressure", "Voltage"],
        [],
        ["Voltage", "Pressure", "Flow", "Temperature"],
    ]
