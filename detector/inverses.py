"""What windows that observed the same sensors have in common: the inverse of a covariance, computed once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Memory of one store of inverses, bytes.
_MOST_BYTES = 8_000_000


class Inverses:
    """Those used last, for any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > _MOST_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


def groups(patterns: NDArray[Any]) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
    """Rows of an array (rows, columns) that are equal: their places, and the row. At least one row."""
    if (patterns == patterns[0]).all():
        yield np.arange(len(patterns)), patterns[0]
        return
    kinds, which = np.unique(patterns, axis=0, return_inverse=True)
    for kind, pattern in enumerate(kinds):
        yield np.flatnonzero(which == kind), pattern
