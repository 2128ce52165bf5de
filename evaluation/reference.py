"""Plain detectors that a learned one has to beat, fitted on the same normal operation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from detector.scores import threshold
from detector.windows import Bools, Floats, Readings, Singles
from evaluation.errors import EvaluationError
from evaluation.ranges import ranges

REFERENCE_FILE = "reference.npz"
# Share of the variance that the kept components explain: the usual choice in process monitoring.
KEPT_VARIANCE = 0.9
# T² and Q are made comparable by this quantile of each over windows of normal operation.
LIMIT_QUANTILE = 0.99
# A table of normal scores resolves one false alarm in this many windows.
MOST_SCORES = 2000
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """PCA and mean square on windows of standardised readings.

    Both judge the same windows as the model, standardised by the same baseline, without the sensors that
    drift. Larger is stranger.

    center: (sensors,). components: (kept, sensors), rows of unit length. variances: (kept,), > 0.
    t2_limit, q_limit: > 0.
    pca_normal, z2_normal: ascending scores of normal windows, from which limits are taken.
    """

    center: Floats
    components: Floats
    variances: Floats
    t2_limit: float
    q_limit: float
    pca_normal: Floats
    z2_normal: Floats

    @classmethod
    def fit(cls, normal_rows: Sequence[Floats] | Sequence[Singles], steps: int) -> "References":
        """From standardised rows of normal operation, see `normal_stretches`.

        normal_rows: one array (rows, sensors) for each stretch, NaN where missing or left out.
        steps: of a window. The tables of normal scores are of the same rows: on rows held out, one odd
        recording would push the thresholds beyond every fault, and a straw man is easily beaten.
        Raises EvaluationError when no stretch is as long as a window.
        """
        stretches = [np.asarray(rows, np.float64) for rows in normal_rows if len(rows) >= steps]
        if not stretches:
            raise EvaluationError(f"no {steps} consecutive normal rows to fit the references on")
        rows = np.concatenate(stretches)
        seen = np.isfinite(rows)
        count = seen.sum(axis=0)
        center = np.where(seen, rows, 0.0).sum(axis=0) / np.maximum(count, 1)
        filled = np.where(seen, rows - center, 0.0)
        values, vectors = np.linalg.eigh(filled.T @ filled / max(len(filled) - 1, 1))
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        explained = np.cumsum(values) / max(float(values.sum()), _TINY)
        kept = min(int(np.searchsorted(explained, KEPT_VARIANCE - 1e-9)) + 1, len(values))
        none = np.empty(0)
        fitted = cls(center, vectors[:, :kept].T, np.maximum(values[:kept], _TINY), 1.0, 1.0, none, none)
        t2, q, z2_scores = fitted._windows_of(stretches, steps)
        fitted = replace(fitted, t2_limit=_limit(t2), q_limit=_limit(q))
        return replace(fitted, pca_normal=_table(fitted._combine(t2, q)), z2_normal=_table(z2_scores))

    def pca(self, windows: Sequence[Floats]) -> Floats:
        """Score of each window (steps, sensors): the larger of its T² and its Q, each in units of its limit.

        T² and Q (Jackson and Mudholkar 1979, Control Procedures for Residuals Associated With Principal
        Component Analysis) are means over the window's rows, Q also over the readings of a row. A missing
        reading counts as lying at its centre and leaves no residual. NaN when nothing was observed.
        """
        t2, q, _, weight = self._rows(np.concatenate(windows))
        ends = np.cumsum([len(window) for window in windows])
        return self._combine(_block_means(t2, weight, ends), _block_means(q, weight, ends))

    def limit(self, name: str, false_alarm_rate: float) -> float:
        """The score of `pca` or `z2` from which a window is anomalous at this alarm budget.

        A budget smaller than one of the table's windows gives way to that one.
        """
        table = self.pca_normal if name == "pca" else self.z2_normal
        return threshold(table, max(false_alarm_rate, 1.0 / (len(table) + 1)))

    def save(self, path: Path) -> None:
        """Write a compressed npz, nothing pickled."""
        np.savez_compressed(path, **{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, path: Path, sensors: int) -> "References":
        """Raises EvaluationError when the file is not one of references for so many sensors."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name].astype(np.float64) for name in cls.__slots__}
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise EvaluationError(f"{path}: cannot be read as references: {error}") from None
        if arrays["center"].shape != (sensors,) or arrays["components"].shape[1:] != (sensors,):
            raise EvaluationError(
                f"{path}: references for {arrays['center'].size} sensors, expected {sensors}"
            )
        return cls(
            arrays["center"],
            arrays["components"],
            arrays["variances"],
            float(arrays["t2_limit"]),
            float(arrays["q_limit"]),
            arrays["pca_normal"],
            arrays["z2_normal"],
        )

    def _rows(self, rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """T², Q and mean square of each row, and 1 for a row with any reading, else 0."""
        seen = np.isfinite(rows)
        count = seen.sum(axis=1)
        deviation = np.where(seen, rows - self.center, 0.0)
        along = deviation @ self.components.T
        residual = np.where(seen, deviation - along @ self.components, 0.0)
        t2 = (np.square(along) / self.variances).sum(axis=1)
        q = np.square(residual).sum(axis=1) / np.maximum(count, 1)
        return t2, q, np.where(seen, np.square(rows), 0.0).sum(axis=1), (count > 0).astype(np.float64)

    def _windows_of(self, stretches: Sequence[Floats], steps: int) -> tuple[Floats, Floats, Floats]:
        """T², Q and mean square of every full window; those with nothing observed are left out."""
        parts = []
        for rows in stretches:
            t2, q, square, weight = self._rows(rows)
            cells = np.isfinite(rows).sum(axis=1).astype(np.float64)
            parts.append(
                (
                    _trailing_mean(t2 * weight, weight, steps),
                    _trailing_mean(q * weight, weight, steps),
                    _trailing_mean(square, cells, steps),
                )
            )
        t2, q, z2_scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        seen = np.isfinite(z2_scores)
        return t2[seen], q[seen], z2_scores[seen]

    def _combine(self, t2: Floats, q: Floats) -> Floats:
        return np.asarray(np.maximum(t2 / self.t2_limit, q / self.q_limit))


def normal_stretches(rows: Readings, normal: Bools, runs: Sequence[slice]) -> list[Readings]:
    """Consecutive normal rows of one recording, none of them across a gap.

    rows: (rows, sensors), standardised. normal: (rows,). runs: of rows that may share a window.
    """
    return [rows[run][first:stop] for run in runs for first, stop in ranges(normal[run])]


def z2(windows: Sequence[Floats]) -> Floats:
    """Mean of the squared standardised readings of each window (steps, sensors), over what was observed.

    NaN when nothing was. Needs no fit.
    """
    rows = np.concatenate(windows)
    seen: Bools = np.isfinite(rows)
    ends = np.cumsum([len(window) for window in windows])
    total = _block_sums(np.where(seen, np.square(rows), 0.0).sum(axis=1), ends)
    count = _block_sums(seen.sum(axis=1).astype(np.float64), ends)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _block_sums(values: Floats, ends: Floats) -> Floats:
    """Sums of consecutive blocks of rows, none of them empty; `ends` exclusive."""
    return np.asarray(np.add.reduceat(values, np.concatenate([[0], ends[:-1]])))


def _block_means(values: Floats, weight: Floats, ends: Floats) -> Floats:
    count = _block_sums(weight, ends)
    return np.asarray(_block_sums(values * weight, ends) / np.where(count > 0, count, np.nan))


def _trailing_mean(totals: Floats, counts: Floats, steps: int) -> Floats:
    """Mean over each `steps` consecutive rows, (rows - steps + 1,); NaN where nothing counts."""
    total, count = (
        np.lib.stride_tricks.sliding_window_view(values, steps).sum(axis=1) for values in (totals, counts)
    )
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _limit(statistic: Floats) -> float:
    return max(float(np.quantile(statistic, LIMIT_QUANTILE)), _TINY) if len(statistic) else 1.0


def _table(scores: Floats) -> Floats:
    """Ascending; thinned evenly to MOST_SCORES."""
    ordered = np.sort(scores)
    if len(ordered) <= MOST_SCORES:
        return ordered
    return np.asarray(np.quantile(ordered, np.linspace(0.0, 1.0, MOST_SCORES)))
