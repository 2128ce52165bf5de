"""Arrays that lie in files behave like those in memory, and leave nothing behind."""

import errno
import os
import tempfile

import numpy as np
import pytest

from history import spool
from history.errors import NoRoom
from history.read import read_file
from tests.plant import recording, to_csv


@pytest.fixture(params=[False, True], ids=["memory", "file"])
def place(request, tmp_path):
    if not request.param:
        yield
        return
    with spool.spooling(tmp_path):
        yield


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_growing_gives_all_chunks_in_order(piece, monkeypatch):
    monkeypatch.setattr(spool, "PIECE_BYTES", piece)
    growing = spool.Growing()
    for cells in (["normal", "leak"], ["a longer word"], [""]):
        growing.append(np.array(cells))
    assert len(growing) == 4
    assert growing.finish().tolist() == ["normal", "leak", "a longer word", ""]


@pytest.mark.usefixtures("place")
def test_columns_stand_side_by_side_in_the_order_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(spool, "BLOCK_BYTES", 32)
    columns = [np.arange(7.0), np.arange(7.0) * 10]
    np.testing.assert_array_equal(spool.column_stack(columns, slice(None)), np.column_stack(columns))
    rows = np.array([5, 0, 3])
    np.testing.assert_array_equal(spool.column_stack(columns, rows), np.column_stack(columns)[rows])


def test_arrays_outlive_the_files_that_are_full(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "FILE_BYTES", 4096)
    with spool.spooling(tmp_path):
        arrays = [spool.concatenate([np.full(number, float(number))]) for number in range(1, 200)]
        assert os.listdir(tmp_path) == []
    for number, array in enumerate(arrays, start=1):
        assert array.tolist() == [number] * number


def test_recordings_are_the_same_in_a_file_and_nothing_is_left_in_its_folder(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text(to_csv(recording("pump", 300, fault=(100, 150))))
    folder = tmp_path / "spool"
    folder.mkdir()
    read = read_file(path)
    with spool.spooling(folder):
        spooled = read_file(path)
        assert os.listdir(folder) == []
    for name in ("values", "timestamps", "labels", "row_numbers"):
        np.testing.assert_array_equal(getattr(read, name), getattr(spooled, name))
    assert read.quality == spooled.quality


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with (
        spool.spooling(tmp_path),
        pytest.raises(NoRoom, match=r"No space left on device; TMPDIR names") as error,
    ):
        spool.empty((10, 3))
    assert error.value.place == str(tmp_path)


def test_files_lie_where_tmpdir_says(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(NoRoom, match=str(tmp_path)), spool.spooling(tmp_path / "missing"):
        pass
    with spool.spooling():
        assert spool.empty(3).shape == (3,)
    assert os.listdir(tmp_path) == []
