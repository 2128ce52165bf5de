"""Arrays as long as the recordings: in memory or, within `spooling`, in files that are mapped.

The system then keeps in memory what is in use, as far as there is room. The files have no names: whatever
ends the process frees their space, and nothing half written is left to be taken for whole.
"""

import mmap
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from history.errors import NoRoom

# Arrays share files of this size. One that takes a quarter of it has a file of its own, which ends with it.
FILE_BYTES = 1 << 30
# As much is computed on at a time.
BLOCK_BYTES = 16 << 20
# As much is collected before it is laid down.
PIECE_BYTES = 256 << 10
# On a disk, also where the folder for small temporary files is in memory.
_LARGE_FILES = Path("/var/tmp")


class _Spool:
    """Arrays in files of one folder. The files live as long as the arrays in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file, self._mapped = self._new_file(FILE_BYTES)
        self._end = 0

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
        count = prod(shape)
        size = count * dtype.itemsize
        with self._lock:
            if size >= FILE_BYTES // 4:
                file, mapped = self._new_file(size)
                start = 0
            else:
                if self._end + size > FILE_BYTES:
                    self._file, self._mapped = self._new_file(FILE_BYTES)
                    self._end = 0
                file, mapped, start = self._file, self._mapped, self._end
                # Every kind of number begins where it may.
                self._end += -(-size // 64) * 64
            self._reserve(file, start, size)
        return np.frombuffer(mapped, dtype, count, start).reshape(shape)

    def _new_file(self, size: int) -> tuple[IO[bytes], mmap.mmap]:
        try:
            file = tempfile.TemporaryFile(dir=self._folder, prefix=".offnormal-")  # noqa: SIM115
            file.truncate(size)
            return file, mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise self._no_room(error) from None

    def _reserve(self, file: IO[bytes], start: int, size: int) -> None:
        """A full disk is found here: a write to a mapped file could only end the process."""
        try:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), start, size)
        except OSError as error:
            raise self._no_room(error) from None

    def _no_room(self, error: OSError) -> NoRoom:
        return NoRoom(
            f"cannot hold the recordings: {error.strerror}; TMPDIR names another folder",
            place=str(self._folder),
        )


_spools: list[_Spool] = []


@contextmanager
def spooling(folder: Path | None = None) -> Iterator[None]:
    """Within it, arrays that are made here lie in files, also those that other threads make.

    folder: with room for several times the readings; the one that TMPDIR names, or else /var/tmp, unless
    given. Raises NoRoom, as all does that makes arrays within it.
    """
    _spools.append(_Spool(folder or _temporary_folder()))
    try:
        yield
    finally:
        _spools.pop()


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """An array to be filled, like `numpy.empty`."""
    if not _spools:
        return np.empty(shape, dtype)
    return _spools[-1].empty((shape,) if isinstance(shape, int) else shape, np.dtype(dtype))


def concatenate(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """At least one array after another, like `numpy.concatenate`."""
    rows = sum(map(len, parts))
    whole = empty((rows, *parts[0].shape[1:]), np.result_type(*parts))
    first = 0
    for part in parts:
        whole[first : first + len(part)] = part
        first += len(part)
    return whole


def keep(array: NDArray[Any]) -> NDArray[Any]:
    """An array that is to stay: within `spooling` a copy in a file, else itself."""
    return concatenate([array]) if _spools else array


def column_stack(columns: Sequence[NDArray[Any]], rows: slice | NDArray[np.intp]) -> NDArray[Any]:
    """These rows of at least one column, (rows,) each, side by side."""
    taken = np.arange(len(columns[0]))[rows]
    stacked = empty((len(taken), len(columns)), np.result_type(*columns))
    for block in blocks(len(taken), len(columns)):
        for index, column in enumerate(columns):
            stacked[block, index] = column[taken[block]]
    return stacked


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of so many rows, of `width` readings each, as memory should hold copies of."""
    step = max(1, BLOCK_BYTES // (8 * max(width, 1)))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


class Growing:
    """An array that is appended to, a chunk at a time."""

    def __init__(self) -> None:
        self._pieces: list[NDArray[Any]] = []
        self._chunks: list[NDArray[Any]] = []
        self._bytes = 0

    def append(self, chunk: NDArray[Any]) -> None:
        self._chunks.append(chunk)
        self._bytes += chunk.nbytes
        if self._bytes >= PIECE_BYTES:
            self._pieces.append(concatenate(self._chunks))
            self._chunks, self._bytes = [], 0

    def __len__(self) -> int:
        return sum(map(len, self._pieces)) + sum(map(len, self._chunks))

    def finish(self) -> NDArray[Any]:
        """All chunks, of which there is one at least, one after another."""
        return concatenate([*self._pieces, *self._chunks])


def _temporary_folder() -> Path:
    if "TMPDIR" not in os.environ and os.access(_LARGE_FILES, os.W_OK):
        return _LARGE_FILES
    return Path(tempfile.gettempdir())
