"""Which sensors a window's error comes from."""

import numpy as np

from detector.verdict import Contribution
from detector.windows import Floats


def contributions(errors: Floats, typical: Floats, names: tuple[str, ...]) -> tuple[Contribution, ...]:
    """Each sensor's share of the error in units of its typical error, largest first.

    errors: (sensors,), mean squared, standardised; NaN for a sensor that was not observed or is left out.
    typical: (sensors,), > 0, the same on held-out normal windows.
    Only sensors with an error appear; their shares sum to 1.
    """
    parts = shares(errors, typical)
    seen = np.flatnonzero(np.isfinite(errors))
    order = seen[np.argsort(-parts[seen], kind="stable")]
    return tuple(Contribution(names[i], float(parts[i]), float(errors[i])) for i in order.tolist())


def shares(errors: Floats, typical: Floats) -> Floats:
    """The shares alone, (sensors,), in the model's order; 0 for a sensor without an error."""
    seen = np.isfinite(errors)
    relative = np.where(seen, errors / typical, 0.0)
    total = relative.sum()
    return np.asarray(relative / total if total > 0 else seen / max(seen.sum(), 1))
