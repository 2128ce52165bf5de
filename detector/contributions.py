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
    seen = np.flatnonzero(np.isfinite(errors))
    relative = errors[seen] / typical[seen]
    total = relative.sum()
    shares = relative / total if total > 0 else np.full(len(seen), 1.0 / max(len(seen), 1))
    order = np.argsort(-shares, kind="stable")
    return tuple(
        Contribution(names[seen[i]], float(shares[i]), float(errors[seen[i]])) for i in order.tolist()
    )
