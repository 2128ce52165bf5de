"""How windows of normal operation look, and how far a window is from them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.arrays import read_arrays
from detector.errors import ArtefactRefused
from detector.inverses import Inverses, groups
from detector.rows import Rows
from detector.statistics import WindowStatistics, sum_over_steps
from detector.windows import Bools, Floats, Ints

OPERATION_FILE = "operation.npz"
# Deviations beyond which a scatter or a roughness is as strange as it gets.
DEVIATION_LIMIT = 20.0
_ARRAYS = (
    "level",
    "covariance",
    "short_covariance",
    "scatter",
    "scatter_sd",
    "roughness",
    "roughness_sd",
    "log_error",
    "log_error_sd",
)
# Of single rows; models from before they were measured have none of them.
_ROW_ARRAYS = ("row_covariance", "disagreement", "disagreement_sd")
# Models from before it was measured have none, and are taken to have missed nothing.
_COVERAGE = "coverage"


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """Means and spreads of what windows of normal operation look like, standardised, over all assets.

    level: (sensors,), mean of the windows' means. covariance, short_covariance: (sensors, sensors), of the
    windows' means, for windows of `steps` and of `minimum_steps`; positive definite.
    scatter, roughness, log_error and their _sd: (sensors,), of the statistics of that name and of the log of
    a sensor's reconstruction error; _sd > 0.
    coverage: (sensors,), share of a sensor's readings that are usually there, in windows where it has any.
    rows: of single rows; None in models from before docs/decisions/0038.
    """

    steps: int
    minimum_steps: int
    level: Floats
    covariance: Floats
    short_covariance: Floats
    scatter: Floats
    scatter_sd: Floats
    roughness: Floats
    roughness_sd: Floats
    log_error: Floats
    log_error_sd: Floats
    coverage: Floats
    rows: Rows | None = None
    _inverses: Inverses = field(default_factory=Inverses, init=False, repr=False)
    # Of scatter, roughness, log of the error, and disagreement where rows were measured, one after the other,
    # (3 or 4 × sensors,): mean, standard deviation, and the least deviation that counts.
    _usual: Floats = field(init=False, repr=False)
    _usual_sd: Floats = field(init=False, repr=False)
    _least: Floats = field(init=False, repr=False)
    # A model's sensors when none is missing, bool (sensors,).
    _everywhere: Bools = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def keep(name: str, *parts: NDArray[Any]) -> None:
            object.__setattr__(self, name, np.concatenate(parts))

        sensors = len(self.level)
        rows = [] if self.rows is None else [(self.rows.disagreement, self.rows.disagreement_sd)]
        above = [(self.log_error, self.log_error_sd), *rows]
        keep("_usual", self.scatter, self.roughness, *(mean for mean, _ in above))
        keep("_usual_sd", self.scatter_sd, self.roughness_sd, *(sd for _, sd in above))
        keep("_least", np.full(2 * sensors, -DEVIATION_LIMIT), np.zeros(len(above) * sensors))
        keep("_everywhere", np.ones(sensors, np.bool_))

    def effective_steps(self, mask: Bools, lengths: Ints) -> Ints:
        """Of how many steps each window is worth, (windows,): its readings, by how many a step usually has.

        mask: bool (windows, steps, sensors), False where a reading is missing or padded. lengths: (windows,),
        steps. 1 to `lengths`: windows that miss no more than usual are worth all of their steps, and a sensor
        that has no reading counts for nothing, either way.
        """
        count = sum_over_steps(mask)
        usual = np.where(count > 0, self.coverage, 0.0).sum(axis=1)
        steps = np.rint(count.sum(axis=1) / np.where(usual > 0, usual, np.inf))
        return np.asarray(np.minimum(np.maximum(steps, 1.0), lengths), np.int32)

    def distances(self, level: Floats, lengths: Ints) -> Floats:
        """Squared distance of each window's level from normal operation, per observed sensor, (windows,).

        level: (windows, sensors), NaN where not observed. lengths: (windows,), steps, or `effective_steps`.
        About 1 in normal operation, larger is stranger, NaN when nothing was observed.
        Mahalanobis' distance, Hotelling's T² of the window's mean (Hotelling 1947, Multivariate Quality
        Control): sensors that always move together and now do not are far even where each is in its range.
        Sensors that were not observed are marginalised out.
        """
        distances = np.full(len(level), np.nan)
        for rows, _, away, inverse in self._alike(level, lengths):
            distances[rows] = np.add.reduce((away @ inverse) * away, axis=1) / len(inverse)
        return distances

    def evidence(
        self,
        statistics: WindowStatistics,
        errors: Floats,
        lengths: Ints,
        disagreements: Floats | None = None,
    ) -> Floats:
        """How strange each sensor is by itself, (windows, sensors): squared deviations, >= 0.

        errors: (windows, sensors), mean squared reconstruction error. disagreements: the same, of `rows`,
        where there are any. NaN where a sensor was not observed.
        The sum of squares, each about 1 in normal operation: of the level, how much the distance would shrink
        if this sensor showed what the others make of it (Alcala and Qin 2009, Reconstruction-Based
        Contribution for Process Monitoring); of scatter and roughness, in their standard deviations; of the
        log of the reconstruction error and of the disagreement, above their mean only.
        """
        of_level = np.full(statistics.level.shape, np.nan)
        for rows, seen, away, inverse in self._alike(statistics.level, lengths):
            shrinks = np.full((len(away), len(self.level)), np.nan)
            shrinks[:, seen] = np.square(away @ inverse) / inverse.diagonal()
            of_level[rows] = shrinks
        parts = [statistics.scatter, statistics.roughness, log_error(errors)]
        parts += [] if disagreements is None else [disagreements]
        deviations = (np.concatenate(parts, axis=1) - self._usual) / self._usual_sd
        deviations[np.isnan(deviations)] = 0.0
        np.minimum(np.maximum(deviations, self._least, out=deviations), DEVIATION_LIMIT, out=deviations)
        squares = np.square(deviations, out=deviations).reshape(len(deviations), len(parts), -1)
        return np.asarray(of_level + np.add.reduce(squares, axis=1))

    def _alike(
        self, level: Floats, lengths: Ints
    ) -> Iterator[tuple[NDArray[np.intp] | slice, Bools | slice, Floats, Floats]]:
        """Windows of the same observed sensors and the same length, which share an inverse covariance.

        Yields their places (rows,), the sensors that they observed (sensors,), how far these are from the
        level of normal operation (rows, observed), and the inverse (observed, observed).
        """
        if len(level) == 0:
            return
        away = level - self.level
        of_one_length = len(lengths) == 1 or (lengths == lengths[0]).all()
        if of_one_length and math.isfinite(np.add.reduce(away, axis=None)):
            yield slice(None), slice(None), away, self._inverse(self._everywhere, int(lengths[0]))
            return
        for rows, pattern in groups(np.concatenate([np.isfinite(level), lengths[:, None]], axis=1)):
            seen = pattern[:-1].astype(np.bool_)
            if seen.any():
                yield rows, seen, away[np.ix_(rows, seen)], self._inverse(seen, int(pattern[-1]))

    def _inverse(self, seen: Bools, length: int) -> Floats:
        """Inverse covariance of the level of the observed sensors, for a window of that many steps."""
        return self._inverses.get((seen.tobytes(), length), lambda: self._invert(seen, length))

    def _invert(self, seen: Bools, length: int) -> Floats:
        # The variance of a mean falls with the reciprocal of the steps; between the two that were measured
        # it is interpolated, so that what lies between two covariances is one too.
        least, most = 1.0 / self.minimum_steps, 1.0 / self.steps
        share = 0.0 if least == most else min(max((1.0 / length - most) / (least - most), 0.0), 1.0)
        covariance = (1.0 - share) * self.covariance + share * self.short_covariance
        return np.asarray(np.linalg.inv(covariance[np.ix_(seen, seen)]), np.float64)

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        if self.rows is not None:
            of_rows = self.rows.covariance, self.rows.disagreement, self.rows.disagreement_sd
            arrays |= dict(zip(_ROW_ARRAYS, of_rows, strict=True))
        arrays[_COVERAGE] = self.coverage
        np.savez_compressed(path, steps=self.steps, minimum_steps=self.minimum_steps, **arrays)

    @classmethod
    def load(cls, folder: Path, sensors: int) -> "Operation":
        """Raises ArtefactRefused when the file is not what `save` writes for a model of that many sensors."""
        shape = ("steps", "minimum_steps")
        given = read_arrays(folder, OPERATION_FILE, (*_ARRAYS, *shape), _ROW_ARRAYS, (_COVERAGE,))
        names = [name for name in given if name not in shape]
        try:
            arrays = {name: np.asarray(given[name], np.float64) for name in names}
            steps, minimum_steps = int(given["steps"]), int(given["minimum_steps"])
        except (ValueError, TypeError, OverflowError) as error:
            raise ArtefactRefused(folder, f"{OPERATION_FILE} cannot be read: {error}") from None
        for name, array in arrays.items():
            wanted = (sensors, sensors) if name.endswith("covariance") else (sensors,)
            if array.shape != wanted or not np.isfinite(array).all():
                raise ArtefactRefused(folder, f"{OPERATION_FILE}: {name} should hold {wanted} finite numbers")
        if any((array <= 0).any() for name, array in arrays.items() if name.endswith("_sd")):
            raise ArtefactRefused(folder, f"{OPERATION_FILE}: a spread is not positive")
        coverage = arrays.setdefault(_COVERAGE, np.ones(sensors))
        if (coverage <= 0).any() or (coverage > 1).any():
            raise ArtefactRefused(folder, f"{OPERATION_FILE}: {_COVERAGE} should be above 0 and at most 1")
        for name in (name for name in names if name.endswith("covariance")):
            try:
                np.linalg.cholesky(arrays[name])
            except np.linalg.LinAlgError:
                raise ArtefactRefused(folder, f"{OPERATION_FILE}: {name} is not positive definite") from None
            # The decomposition looks at one half only.
            if not np.allclose(arrays[name], arrays[name].T):
                raise ArtefactRefused(folder, f"{OPERATION_FILE}: {name} is not symmetric")
        if not 1 <= minimum_steps <= steps:
            raise ArtefactRefused(folder, f"{OPERATION_FILE}: minimum_steps should be 1 to {steps}")
        of_rows = [arrays.pop(name) for name in _ROW_ARRAYS if name in arrays]
        rows = Rows(arrays["level"], *of_rows) if of_rows else None
        return cls(steps, minimum_steps, **arrays, rows=rows)


def log_error(errors: Floats) -> Floats:
    """Log of mean squared errors, finite at 0."""
    return np.asarray(np.log(errors + 1e-3))
