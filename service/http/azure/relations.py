"""Which variables no longer move together as they did in normal operation."""

import numpy as np

from detector import Detector
from detector.windows import Floats

# A pair counts as moving together from this correlation of their levels in normal operation on; and its
# relation as changed when one is this many deviations from where the other puts it.
LEAST_CORRELATION = 0.3
LEAST_DEVIATIONS = 3.0


def changed_relations(detector: Detector, values: Floats) -> dict[str, list[str]]:
    """By sensor, those whose relation to it is another than in normal operation, strangest first.

    values: float64 (steps, sensors), engineering units, NaN missing; judged by the model's own baseline.
    Of each pair the levels (means over the window) are held against their joint normal distribution: how far
    the second is from its mean given the first, in deviations, r being their correlation:
    |b - r a| / sqrt(1 - r²), the conditional distribution of a bivariate normal.
    """
    operation = detector.operation
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    standardised = (values - detector.manifest.center) / detector.manifest.scale
    mean = np.where(seen, standardised, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    covariance = operation.covariance if len(values) >= operation.steps else operation.short_covariance
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(spread, spread)
    away = (mean - operation.level) / spread
    related = np.abs(correlation) >= LEAST_CORRELATION
    np.fill_diagonal(related, False)
    given = away[:, None]
    residual = np.abs(away[None, :] - correlation * given)
    deviations = residual / np.sqrt(np.maximum(1.0 - correlation**2, 1e-9))
    with np.errstate(invalid="ignore"):
        strange = np.where(related & (deviations >= LEAST_DEVIATIONS), deviations, 0.0)
    return {
        name: [
            detector.sensors[other] for other in np.argsort(-row, kind="stable").tolist() if row[other] > 0
        ]
        for name, row in zip(detector.sensors, strange, strict=True)
    }
