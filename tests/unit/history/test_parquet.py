"""Parquet reads like the CSV of the same table."""

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from history.errors import MissingLibrary, NoNumbers, TooFewRows, UnreadableFile
from history.options import ReadOptions
from history.read import read_file, read_paths

polars = pytest.importorskip("polars")
START = datetime(2024, 5, 1)
STAMPS = [START + timedelta(seconds=i) for i in range(4)]


def write(path: Path, **columns: object) -> Path:
    polars.DataFrame(columns).write_parquet(path)
    return path


@pytest.mark.parametrize(
    "stamps",
    [
        pytest.param(STAMPS, id="date-times"),
        pytest.param([s.replace(tzinfo=UTC) for s in STAMPS], id="with zone"),
        pytest.param(polars.Series(STAMPS).cast(polars.Datetime("ns")), id="nanoseconds"),
        pytest.param(polars.Series(STAMPS).cast(polars.Datetime("ms")), id="milliseconds"),
        pytest.param([str(s) for s in STAMPS], id="text"),
        pytest.param([1714521600 + i for i in range(4)], id="epoch seconds"),
    ],
)
def test_parquet_gives_sensors_time_and_labels(stamps: object, tmp_path: Path) -> None:
    path = write(
        tmp_path / "pump.parquet",
        time=stamps,
        P=[1.5, None, float("inf"), 2.5],
        n=[1, 5, 2, 2],
        on=[True, False, True, True],
        text=["1.5", "Bad", "", "2.5"],
        remark=["started", "", "stopped", ""],
        anomaly=[0, 0, 1, 1],
    )
    recording = read_file(path)

    assert recording.sensors == ("P", "n", "on", "text")
    np.testing.assert_array_equal(recording.timestamps, 1714521600 + np.arange(4))
    nan = np.nan
    np.testing.assert_array_equal(
        recording.values, [[1.5, 1, 1, 1.5], [nan, 5, 0, nan], [nan, 2, 1, nan], [2.5, 2, 1, 2.5]]
    )
    assert recording.labels is not None
    assert recording.labels.tolist() == ["normal", "normal", "anomalous", "anomalous"]
    assert [(q.missing, q.invalid) for q in recording.quality.sensors] == [(1, 1), (0, 0), (0, 0), (1, 1)]
    assert "left out 'remark': holds text" in recording.quality.notes


def test_folder_may_mix_both_formats(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", a=[1.5, 2.5])
    (tmp_path / "a.csv").write_text("a\n1.5\n2.5\n")

    first, second = read_paths([tmp_path], ReadOptions(sensors=("a",)))
    assert (first.name, second.name) == ("a.csv", "b.parquet")
    np.testing.assert_array_equal(first.values, second.values)


def test_parquet_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "pump.dat", a=[1.5, 2.5])
    assert read_file(path).sensors == ("a",)


def test_rows_without_a_stamp_are_left_out_with_a_note(tmp_path: Path) -> None:
    recording = read_file(write(tmp_path / "a.parquet", time=[STAMPS[0], None, STAMPS[2]], a=[1.5, 2.5, 3.5]))

    np.testing.assert_array_equal(recording.row_numbers, [1, 3])
    assert "left out 1 row without a time stamp" in recording.quality.notes


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        pytest.param({"a": []}, TooFewRows, "no data rows", id="no rows"),
        pytest.param({"a": [1.5]}, TooFewRows, "1 data row", id="one row"),
        pytest.param({}, NoNumbers, "no columns", id="no columns"),
        pytest.param({"a": ["x", "y"]}, NoNumbers, "no column of numbers", id="words"),
        pytest.param({"a": [[1], [2]]}, NoNumbers, "holds list", id="lists"),
        pytest.param({"d": [date(2024, 5, 1)] * 2}, NoNumbers, "no column of numbers", id="dates only"),
    ],
)
def test_parquet_that_cannot_be_used_is_refused(
    columns: dict[str, list[object]], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        read_file(write(tmp_path / "a.parquet", **columns))


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", a=[1.5, 2.5])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UnreadableFile, match=r"^a\.parquet: is no Parquet file that can be read"):
        read_file(path)


def test_absent_library_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.parquet", a=[1.5, 2.5])
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingLibrary, match=r"install offnormal\[parquet\]"):
        read_file(path)
