"""Cutting and stacking windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import ShapeMismatch
from detector.windows import segments, stack, window_ends, windows_ending_at


def test_no_run_spans_a_gap_longer_than_allowed():
    timestamps = np.array([0, 1, 2, 7, 8, 14, 15.0])
    assert segments(timestamps, 7, 1.0, 5.0) == [slice(0, 5), slice(5, 7)]


def test_no_run_spans_a_step_back_in_time_or_a_repeated_stamp():
    timestamps = np.array([0, 1, 2, 1, 2, 2, 3.0])
    assert segments(timestamps, 7, 1.0, 5.0) == [slice(0, 3), slice(3, 5), slice(5, 7)]


def test_rows_without_timestamps_are_one_run():
    assert segments(None, 4, 1.0, 5.0) == [slice(0, 4)]
    assert segments(None, 0, None, 5.0) == []


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(2, 8),
    st.integers(1, 4),
)
def test_every_window_lies_within_one_run_and_ends_where_it_should(steps, size, stride):
    timestamps = np.cumsum(steps).astype(np.float64)
    values = np.arange(len(steps), dtype=np.float64)[:, None]
    runs = segments(timestamps, len(steps), 1.0, 3.0)
    ends = window_ends(runs, 2, stride)
    for end, window in zip(ends, windows_ending_at(values, runs, ends, size), strict=True):
        assert window[-1, 0] == end
        assert 2 <= len(window) <= size
        first = int(window[0, 0])
        gaps = np.diff(timestamps[first : end + 1])
        assert ((gaps > 0) & (gaps <= 3)).all()
        # As long as it may be: shorter only where its run begins.
        assert len(window) == size or first in {run.start for run in runs}


def test_padding_and_missing_readings_are_marked_as_not_observed():
    windows = [np.array([[1.0, np.nan], [2.0, np.inf]]), np.array([[3.0, 4.0]])]
    batch = stack(windows, np.zeros(2), np.ones(2))
    assert batch.lengths.tolist() == [2, 1]
    assert batch.observed.tolist() == [[[True, False], [True, False]], [[True, True], [False, False]]]
    assert np.isfinite(batch.readings).all()


@pytest.mark.parametrize(
    "window", [np.zeros((3, 5)), np.zeros((0, 2)), np.zeros(3)], ids=["too-wide", "empty", "one-dimensional"]
)
def test_a_window_of_another_shape_is_refused(window):
    with pytest.raises(ShapeMismatch):
        stack([np.zeros((3, 2)), window], np.zeros(2), np.ones(2))
