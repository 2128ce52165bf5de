"""How the scores of a short window compare with those of a full one."""

import numpy as np

from detector.manifest import Level, NormalOperation
from detector.windows import Floats, Ints

Levels = tuple[Floats, Floats]


class ShorterLevels:
    """What is usual of windows with fewer steps than a full one, from one kind of baseline.

    A mean over fewer steps scatters more, and so do the scores that are made of such means: judged as a full
    window's, they would exceed an alarm budget several times as often (docs/decisions/0040).
    """

    def __init__(self, normal: NormalOperation, steps: int) -> None:
        """normal: what was measured. steps: of a full window."""
        measured, full = normal.shorter, Level(0.0, 1.0)
        self.measured = bool(measured)
        self._log_steps = np.log([*(each.steps for each in measured), steps])
        self._classifier = _table([*(each.classifier for each in measured), full])
        self._reconstruction = _table([*(each.reconstruction for each in measured), full])

    def of(self, steps: Ints, classifier: Levels, reconstruction: Levels) -> tuple[Levels, Levels]:
        """Levels of both raw scores for windows of so many steps, each (windows,), from those of full ones.

        steps: (windows,), of how many each window is worth (`Operation.effective_steps`). classifier,
        reconstruction: mean and deviation, each (1 or windows,). Between two lengths that were measured it is
        interpolated, along the logarithm of the steps; below the least of them its own holds.
        """
        places = np.log(steps)
        return (
            self._moved(places, self._classifier, classifier),
            self._moved(places, self._reconstruction, reconstruction),
        )

    def _moved(self, places: Floats, table: Levels, of_full: Levels) -> Levels:
        mean, sd = of_full
        offset, ratio = (np.interp(places, self._log_steps, column) for column in table)
        return mean + offset * sd, ratio * sd


def _table(levels: list[Level]) -> Levels:
    return np.array([each.mean for each in levels]), np.array([each.sd for each in levels])
