"""Whether probabilities can be taken at their word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.windows import Bools, Floats
from evaluation.verdict_row import NORMAL, VerdictRow

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose probability of a fault lies in [low, high), the last bin including 1.

    probability: their mean; faulty: the share of them that is. None where there are no rows.
    """

    low: float
    high: float
    rows: int
    probability: float | None
    faulty: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of the probability of any fault, over judged and labelled rows.

    brier: mean squared difference from 0 or 1 (Brier 1950); 0 is perfect, lower is better.
    brier_of_base_rate: what always saying the share of faulty rows would score.
    ece: expected calibration error (Naeini, Cooper and Hauskrecht 2015): mean distance of probability and
        frequency over bins, weighted by rows.
    """

    rows: int
    faulty: float
    brier: float
    brier_of_base_rate: float
    ece: float
    bins: tuple[Bin, ...]


def reliability(rows: Sequence[VerdictRow]) -> Reliability | None:
    """None without a judged and labelled row."""
    used = [row for row in rows if row.label and row.probabilities is not None]
    if not used:
        return None
    probability = np.array([1.0 - row.probabilities[0] for row in used if row.probabilities])
    return measure(probability, np.array([row.label != NORMAL for row in used]))


def measure(probability: Floats, truth: Bools) -> Reliability:
    """probability: (rows,), of a fault. truth: (rows,), whether there was one."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    bins, ece = [], 0.0
    for index in range(BINS):
        inside = place == index
        count = int(inside.sum())
        said = float(probability[inside].mean()) if count else None
        was = float(truth[inside].mean()) if count else None
        bins.append(Bin(index / BINS, (index + 1) / BINS, count, said, was))
        if said is not None and was is not None:
            ece += abs(said - was) * count / len(truth)
    base = float(truth.mean())
    return Reliability(
        rows=len(truth),
        faulty=base,
        brier=float(np.mean(np.square(probability - truth))),
        brier_of_base_rate=base * (1.0 - base),
        ece=ece,
        bins=tuple(bins),
    )
