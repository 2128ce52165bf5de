"""Which sensors a window's strangeness comes from."""

from operator import attrgetter

import numpy as np

from detector.verdict import Contribution
from detector.windows import Floats


def contributions(evidence: Floats, errors: Floats, names: tuple[str, ...]) -> tuple[Contribution, ...]:
    """Each sensor's share of the evidence, largest first.

    evidence: (sensors,), >= 0 (`Operation.evidence`); NaN for a sensor that was not observed or is left out.
    errors: (sensors,), mean squared reconstruction error, standardised.
    Only sensors with evidence appear; their shares sum to 1.
    """
    seen = np.isfinite(evidence).tolist()
    told = [
        Contribution(name, share, error)
        for name, share, error, known in zip(
            names, shares(evidence).tolist(), errors.tolist(), seen, strict=True
        )
        if known
    ]
    told.sort(key=attrgetter("share"), reverse=True)
    return tuple(told)


def shares(evidence: Floats) -> Floats:
    """The shares alone, (sensors,), in the model's order; 0 for a sensor without evidence."""
    seen = np.isfinite(evidence)
    parts = np.where(seen, evidence, 0.0)
    total = parts.sum()
    return np.asarray(parts / total if total > 0 else seen / max(seen.sum(), 1))
