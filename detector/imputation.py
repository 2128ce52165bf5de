"""What the readings of a row that are there make of those that are missing."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detector.windows import Bools, Floats

# Numbers in the systems that are solved at once.
_MOST_NUMBERS = 1 << 20


def impute(rows: Floats, observed: Bools, covariance: Floats, precision: Floats) -> Floats:
    """The rows, each missing reading at its mean given those that are there.

    rows: (rows, sensors), deviations from the mean of normal operation, 0 where missing. observed: bool, same
    shape. covariance, precision: (sensors, sensors), inverse to each other; positive definite.
    Such a row is as far from normal operation as what was observed of it: x' P x of the whole row is that of
    the observed sensors by the inverse of their own covariance (Whittaker 1990, Graphical Models in Applied
    Multivariate Statistics, 5.5).
    """
    filled = rows.copy()
    few = 2 * observed.sum(axis=1) >= observed.shape[1]
    # Of two ways to the same, the one with the smaller systems.
    filled[few] -= _solve(precision, ~observed[few], rows[few] @ precision)
    many = ~few
    filled[many] = np.where(
        observed[many], rows[many], _solve(covariance, observed[many], rows[many]) @ covariance
    )
    return filled


def _solve(matrix: Floats, part: Bools, wanted: Floats) -> Floats:
    """For each row, the solution of the system that `matrix` is for the sensors of its part; 0 elsewhere.

    matrix: (sensors, sensors). part: bool (rows, sensors). wanted: (rows, sensors), read in the part only.
    """
    solution = np.zeros(part.shape)
    for rows, size in _alike(part.sum(axis=1)):
        # The part's sensors first; what is beyond them is an equation of its own, with 0 for its answer.
        places = np.argsort(~part[rows], axis=1, kind="stable")[:, :size]
        own = np.take_along_axis(part[rows], places, axis=1)
        systems = np.where(
            own[:, :, None] & own[:, None, :], matrix[places[:, :, None], places[:, None, :]], np.eye(size)
        )
        answers = np.where(own, np.take_along_axis(wanted[rows], places, axis=1), 0.0)
        solved = np.linalg.solve(systems, answers[:, :, None])[:, :, 0]
        found = np.zeros((len(rows), part.shape[1]))
        np.put_along_axis(found, places, solved, axis=1)
        solution[rows] = found
    return solution


def _alike(sizes: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Rows whose systems are of similar size, but for 0, some at a time: their places, the largest size."""
    order = np.argsort(sizes, kind="stable")
    start = int(np.searchsorted(sizes[order], 1))
    while start < len(order):
        # As many as fit if all were as large as the next; the last of them tells how large they are.
        count = max(1, _MOST_NUMBERS // int(sizes[order[start]]) ** 2)
        rows = order[start : start + count]
        size = int(sizes[rows[-1]])
        rows = rows[: max(1, _MOST_NUMBERS // size**2)]
        yield rows, int(sizes[rows[-1]])
        start += len(rows)
