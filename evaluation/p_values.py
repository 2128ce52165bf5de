"""Whether p-values keep their promise: uniform on normal operation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.verdict_row import NORMAL, VerdictRow

PROMISED_RATES = (0.01, 0.05, 0.10)
BINS = 20


@dataclass(frozen=True, slots=True)
class Uniformity:
    """Of the p-values of judged rows that are labelled normal.

    realised: share of them at or below each of PROMISED_RATES, which is what the rate should be.
    distance: largest difference of their distribution from the uniform one (Kolmogorov 1933), 0..1. No test
        is made of it: neighbouring windows share readings.
    shares: of the rows in each of BINS equal bins from 0 to 1; 1 / BINS where uniform.
    """

    rows: int
    realised: tuple[float, ...]
    distance: float
    shares: tuple[float, ...]


def uniformity(rows: Sequence[VerdictRow]) -> Uniformity | None:
    """None without a judged row that is labelled normal."""
    p = np.sort([row.p_value for row in rows if row.p_value is not None and row.label == NORMAL])
    if len(p) == 0:
        return None
    upto = np.arange(1, len(p) + 1) / len(p)
    return Uniformity(
        rows=len(p),
        realised=tuple(float(np.mean(p <= rate)) for rate in PROMISED_RATES),
        distance=float(max(np.max(upto - p), np.max(p - (upto - 1 / len(p))))),
        shares=tuple((np.histogram(p, BINS, (0.0, 1.0))[0] / len(p)).tolist()),
    )


def before_first_fault(rows: Sequence[VerdictRow]) -> list[VerdictRow]:
    """Rows of one recording up to its first labelled fault: machines are often still disturbed after one."""
    first = next((i for i, row in enumerate(rows) if row.label not in ("", NORMAL)), len(rows))
    return list(rows[:first])
