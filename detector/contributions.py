"""Which sensors a window's strangeness comes from."""

from operator import attrgetter

import numpy as np
from msgspec.structs import replace

from detector.verdict import Contribution, Ruling, Verdict
from detector.windows import Floats

_by_share = attrgetter("share")


def contributions(evidence: Floats, errors: Floats, names: tuple[str, ...]) -> list[tuple[Contribution, ...]]:
    """Of each window, its sensors' shares of the evidence, largest first.

    evidence: (windows, sensors), >= 0 (`Operation.evidence`); NaN for a sensor that was not observed or is
        left out.
    errors: (windows, sensors), mean squared reconstruction error, standardised.
    Only sensors with evidence appear; their shares sum to 1.
    """
    found = []
    for seen, parts, of_window in zip(
        np.isfinite(evidence).tolist(), shares(evidence).tolist(), errors.tolist(), strict=True
    ):
        told = [
            Contribution(name, share, error)
            for known, name, share, error in zip(seen, names, parts, of_window, strict=True)
            if known
        ]
        told.sort(key=_by_share, reverse=True)
        found.append(tuple(told))
    return found


def shares(evidence: Floats) -> Floats:
    """The shares alone, (windows, sensors), in the model's order; 0 for a sensor without evidence."""
    seen = np.isfinite(evidence)
    parts = np.where(seen, evidence, 0.0)
    total = parts.sum(axis=1, keepdims=True)
    alike = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.where(total > 0, parts / np.where(total > 0, total, 1.0), alike))


def explain(verdict: Verdict, told: tuple[Contribution, ...]) -> Verdict:
    """A verdict with each sensor's contribution, unless there is none to explain."""
    return verdict if verdict.ruling is Ruling.CANNOT_JUDGE else replace(verdict, contributions=told)
