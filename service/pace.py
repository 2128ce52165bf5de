"""How fast something goes now, from what it took lately."""


class Pace:
    """Mean time that one thing takes. kept: weight, at each new report, of all those before it.

    It counts by number, so that many things done together say more than a single one that was held up.
    """

    def __init__(self, kept: float) -> None:
        self._kept = kept
        self._count, self._seconds = 1.0, 0.001

    @property
    def each_s(self) -> float:
        """Seconds."""
        return self._seconds / self._count

    def took(self, count: int, seconds: float) -> None:
        self._count = self._kept * self._count + count
        self._seconds = self._kept * self._seconds + seconds
