"""A covariance whose inverse can be trusted, from rows that are not many more than their sensors."""

import numpy as np
from sklearn.covariance import ledoit_wolf

from detector.windows import Floats

# Of the largest eigenvalue; what is smaller counts as this.
_LEAST_SHARE = 1e-9


def linearly_shrunk(values: Floats) -> Floats:
    """Covariance (sensors, sensors) about 0, from (rows, sensors): the sample's, and some of the identity.

    Ledoit and Wolf 2004, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices.
    """
    return np.asarray(ledoit_wolf(values, assume_centered=True)[0])


def quadratically_shrunk(values: Floats) -> Floats:
    """Covariance (sensors, sensors) about 0, from (rows, sensors), more or fewer rows than sensors.

    Each eigenvalue is shrunk by itself, towards where eigenvalues crowd (quadratic-inverse shrinkage: Ledoit
    and Wolf 2022, Quadratic Shrinkage for Large Covariance Matrices). Directions in which sensors nearly
    determine each other are the first in which a fault shows, and keep their small variance; shrunk towards
    the identity with all the others they would lose it.
    """
    rows, sensors = values.shape
    eigenvalues, vectors = np.linalg.eigh(values.T @ values / rows)
    if eigenvalues[-1] <= 0:
        return np.zeros((sensors, sensors))
    eigenvalues = np.maximum(eigenvalues, _LEAST_SHARE * eigenvalues[-1])
    concentration = sensors / rows
    inverse = 1.0 / eigenvalues[max(0, sensors - rows) :]
    # A smoothed Hilbert transform of the density of the inverse eigenvalues, and the square of its amplitude.
    width = min(concentration**2, concentration**-2) ** 0.35 / sensors**0.35
    apart = inverse[:, None] - inverse
    kernel = np.square(apart) + np.square(inverse[:, None] * width)
    transform = (inverse[:, None] * apart / kernel).mean(axis=0)
    density = (np.square(inverse)[:, None] * width / kernel).mean(axis=0)
    amplitude = np.square(transform) + np.square(density)
    if rows >= sensors:
        away = 1.0 - concentration
        shrunk = 1.0 / (
            inverse * (away**2 + 2 * concentration * away * transform + concentration**2 * amplitude)
        )
    else:
        never_seen = np.full(sensors - rows, 1.0 / ((concentration - 1.0) * inverse.mean()))
        shrunk = np.concatenate([never_seen, 1.0 / (inverse * amplitude)])
    shrunk *= eigenvalues.sum() / shrunk.sum()
    return np.asarray((vectors * shrunk) @ vectors.T)
