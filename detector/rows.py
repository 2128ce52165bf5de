"""Which readings belong together in a row of normal operation, and how far a window's rows are from that."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.imputation import impute
from detector.inverses import Inverses, groups
from detector.statistics import FLOOR, sum_over_steps
from detector.windows import Bools, Floats, Singles


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Means and spreads of single rows of normal operation, standardised, over all assets.

    level: (sensors,), mean. covariance: (sensors, sensors), positive definite.
    disagreement, disagreement_sd: (sensors,), of `disagreements` over windows; _sd > 0.

    Of a window, `standardised` is float32 (windows, steps, sensors); `mask` bool, same shape, False where a
    reading is missing or padded, or None where none is; `levels` (windows, sensors), means of the readings
    that are there, NaN for a sensor that has none. What is missing is marginalised out: a sensor for the
    whole window, or the readings of one row (detector/imputation.py).
    """

    level: Floats
    covariance: Floats
    disagreement: Floats
    disagreement_sd: Floats
    _inverses: Inverses = field(default_factory=Inverses, init=False, repr=False)
    # The level, and a model's sensors when none is missing, bool (sensors,).
    _single_level: Singles = field(init=False, repr=False)
    _everywhere: Bools = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_single_level", self.level.astype(np.float32))
        object.__setattr__(self, "_everywhere", np.ones(len(self.level), np.bool_))

    def distances(self, standardised: Singles, mask: Bools | None, levels: Floats) -> Floats:
        """Mean squared distance of each window's rows from normal operation, per observed sensor, (windows,).

        About 1 in normal operation, larger is stranger, NaN when nothing was observed.
        Hotelling's T² (Hotelling 1947, Multivariate Quality Control) of every row, in float32: sensors that
        disagree now this way, now that, leave the mean of the window where it was.
        """
        distances = np.full(len(levels), np.nan)
        for windows, seen, away, there in self._alike(standardised, mask, levels):
            count, _, sensors = away.shape
            white = (away.reshape(-1, sensors) @ self._whitening(seen)).reshape(count, -1)
            total = np.vecdot(white, white).astype(np.float64)
            readings = away[0].size if there is None else np.count_nonzero(there, axis=(1, 2))
            distances[windows] = total / readings
        return distances

    def disagreements(self, standardised: Singles, mask: Bools | None, levels: Floats) -> Floats:
        """How far each sensor is, row by row, from what the others of its row make of it, (windows, sensors).

        Log of the mean squared deviation from its conditional mean, in conditional standard deviations: about
        0 in normal operation, larger is stranger, NaN where a sensor was not observed. With P the inverse
        covariance, sensor i deviates by (P x)_i / P_ii and has a variance of 1 / P_ii (Whittaker 1990,
        Graphical Models in Applied Multivariate Statistics, 5.8).
        """
        found = np.full(levels.shape, np.nan)
        for windows, seen, away, there in self._alike(standardised, mask, levels):
            count, steps, sensors = away.shape
            precision = self._precision(seen)
            # 0 for a reading that is missing, which lies where the others expect it.
            squares = np.square(away.reshape(-1, sensors) @ precision).reshape(away.shape)
            readings = float(steps) if there is None else sum_over_steps(there)
            part = np.full((count, len(seen)), np.nan)
            part[:, seen] = np.log(sum_over_steps(squares) / readings / precision.diagonal() + FLOOR)
            found[windows] = part
        return found

    def _alike(
        self, standardised: Singles, mask: Bools | None, levels: Floats
    ) -> Iterator[tuple[NDArray[np.intp] | slice, Bools, Singles, Bools | None]]:
        """Windows of the same observed sensors, which share an inverse covariance.

        Yields their places (n,), the sensors that they observed (sensors,), how far these are from the level
        of normal operation, float32 (n, steps, observed), what is missing imputed, and 0 in a row without any
        reading; and which readings are there, bool, same shape; None for all of them.
        """
        if len(levels) == 0:
            return
        if mask is None:
            yield slice(None), self._everywhere, standardised - self._single_level, None
            return
        away = np.where(mask, standardised - self._single_level, np.float32(0))
        for windows, seen in groups(np.isfinite(levels)):
            if seen.any():
                own, there = away[windows], mask[windows]
                if not seen.all():
                    own, there = np.ascontiguousarray(own[:, :, seen]), there[:, :, seen]
                self._impute(own, there, seen)
                yield windows, seen, own, there

    def _impute(self, away: Singles, there: Bools, seen: Bools) -> None:
        """Fill the rows, in place, that have some of their readings and miss others."""
        partly = there.any(axis=2) & ~there.all(axis=2)
        if partly.any():
            covariance = self.covariance[np.ix_(seen, seen)]
            away[partly] = impute(
                away[partly].astype(np.float64), there[partly], covariance, self._exact(seen)
            )

    def _whitening(self, seen: Bools) -> Singles:
        """W, with W Wᵀ the inverse covariance of the observed sensors: |x W|² is the distance of x."""
        return self._inverses.get(("whitening", seen.tobytes()), lambda: _single(self._root(seen)))

    def _precision(self, seen: Bools) -> Singles:
        """The inverse covariance of the observed sensors."""
        return self._inverses.get(("precision", seen.tobytes()), lambda: _single(self._exact(seen)))

    def _exact(self, seen: Bools) -> Floats:
        """The same in float64."""

        def invert() -> Floats:
            root = self._root(seen)
            return np.asarray(root @ root.T)

        return self._inverses.get(("exact", seen.tobytes()), invert)

    def _root(self, seen: Bools) -> Floats:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(self.covariance[np.ix_(seen, seen)])).T)


def _single(matrix: Floats) -> Singles:
    return np.ascontiguousarray(matrix, np.float32)
