"""Recordings that were taken at the same time, side by side."""

import numpy as np
import pytest

from history.errors import BadTimestamps, TooFewRows
from history.joining import join, renamed
from history.read import read_bytes
from history.recording import Recording


def part(sensor: str, *readings: tuple[int, str]) -> Recording:
    """Of one sensor, by second of a minute."""
    lines = [f"2026-01-01T00:00:{second:02},{value}" for second, value in readings]
    return read_bytes("\n".join([f"time,{sensor}", *lines]).encode(), name=f"{sensor}.csv")


A = part("a", (0, "1.5"), (1, "2.5"), (3, "4.5"))
B = part("b", (1, "20.5"), (2, "30.5"), (3, "40.5"))


def test_every_stamp_of_any_part_is_a_row_and_what_was_not_recorded_is_missing() -> None:
    joined = join([A, B], "both")
    assert joined.sensors == ("a", "b")
    assert (joined.timestamps - joined.timestamps[0]).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(joined.values, [[1.5, np.nan], [2.5, 20.5], [np.nan, 30.5], [4.5, 40.5]])
    assert [sensor.missing for sensor in joined.quality.sensors] == [1, 1]


def test_inner_keeps_the_stamps_that_all_parts_have() -> None:
    joined = join([A, B], "both", "inner")
    np.testing.assert_array_equal(joined.values, [[2.5, 20.5], [4.5, 40.5]])


def test_parts_of_one_sensor_follow_each_other_whatever_their_order() -> None:
    later, earlier = part("a", (2, "3.5"), (3, "4.5")), part("a", (0, "1.5"), (1, "2.5"))
    joined = join([later, earlier], "whole")
    assert joined.sensors == ("a",)
    assert joined.values[:, 0].tolist() == [1.5, 2.5, 3.5, 4.5]


def test_later_part_wins_where_two_have_the_same_stamp() -> None:
    joined = join([A, part("a", (1, "9.5"), (2, "8.5"))], "whole")
    assert joined.values[:, 0].tolist() == [1.5, 9.5, 8.5, 4.5]


def test_missing_reading_does_not_hide_one_that_is_there() -> None:
    joined = join([A, part("a", (0, ""), (1, "9.5"), (2, "8.5"))], "whole")
    assert joined.values[0, 0] == 1.5


def test_part_without_time_is_refused_by_name() -> None:
    with pytest.raises(BadTimestamps, match=r"timeless.csv: .*no time column"):
        join([A, read_bytes(b"b,c\n1.5,2\n2.5,3\n", name="timeless.csv")], "both")


def test_parts_that_share_no_stamp_cannot_be_joined_inner() -> None:
    with pytest.raises(TooFewRows, match="both"):
        join([A, part("b", (10, "1.5"), (11, "2.5"))], "both", "inner")


def test_renaming_keeps_readings_and_their_quality() -> None:
    other = renamed(A, ["pump\\a"])
    assert other.sensors == ("pump\\a",)
    assert [sensor.sensor for sensor in other.quality.sensors] == ["pump\\a"]
    np.testing.assert_array_equal(other.values, A.values)
