"""Numbers that never move, so that an array that was handed out stays the place to count in.

They lie in memory of this process alone, or in a file in memory that several processes have open.
"""

import mmap
import os
import tempfile

import numpy as np

from detector.windows import Floats

# Cells of one piece. A page that nobody wrote to takes no memory, so a large piece costs nothing.
PIECE = 1 << 17
_PIECE_BYTES = 8 * PIECE


class Cells:
    """Float64 cells, 0 at first. file: from `memory_file`, or None for memory of this process alone."""

    def __init__(self, file: int | None = None) -> None:
        self._file = file
        self._pieces: list[Floats] = []

    def view(self, start: int, count: int) -> Floats:
        """Cells that were placed by `place`, made if need be. Writing to the array writes to the cells."""
        number, first = divmod(start, PIECE)
        while len(self._pieces) <= number:
            self._pieces.append(self._map(len(self._pieces)))
        return self._pieces[number][first : first + count]

    def _map(self, number: int) -> Floats:
        if self._file is None:
            return np.frombuffer(mmap.mmap(-1, _PIECE_BYTES), np.float64)
        end = (number + 1) * _PIECE_BYTES
        if os.fstat(self._file).st_size < end:
            os.ftruncate(self._file, end)
        return np.frombuffer(mmap.mmap(self._file, _PIECE_BYTES, offset=end - _PIECE_BYTES), np.float64)


def one_by_one(cells: Floats) -> "memoryview[float]":
    """The same cells, for code that reads and writes single ones: several times as fast as by the array."""
    return cells.data.cast("B").cast("d")


def place(used: int, count: int) -> int:
    """Number of the first of `count` cells after the `used` ones; a block lies within one piece."""
    if count > PIECE:
        raise ValueError(f"{count} series of one metric are more than {PIECE}")
    return used if used % PIECE + count <= PIECE else (used // PIECE + 1) * PIECE


def memory_file() -> int:
    """A descriptor of an empty file that no path leads to; it is gone when the last process closes it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("offnormal")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
