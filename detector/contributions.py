"""Which sensors a window's strangeness comes from."""

import numpy as np

from detector.verdict import Contribution
from detector.windows import Floats


def contributions(evidence: Floats, errors: Floats, names: tuple[str, ...]) -> tuple[Contribution, ...]:
    """Each sensor's share of the evidence, largest first.

    evidence: (sensors,), >= 0 (`Operation.evidence`); NaN for a sensor that was not observed or is left out.
    errors: (sensors,), mean squared reconstruction error, standardised.
    Only sensors with evidence appear; their shares sum to 1.
    """
    parts = shares(evidence)
    seen = np.flatnonzero(np.isfinite(evidence))
    order = seen[np.argsort(-parts[seen], kind="stable")]
    return tuple(Contribution(names[i], float(parts[i]), float(errors[i])) for i in order.tolist())


def shares(evidence: Floats) -> Floats:
    """The shares alone, (sensors,), in the model's order; 0 for a sensor without evidence."""
    seen = np.isfinite(evidence)
    parts = np.where(seen, evidence, 0.0)
    total = parts.sum()
    return np.asarray(parts / total if total > 0 else seen / max(seen.sum(), 1))
