"""How many requests one caller may make: a bucket of tokens for each, which fills at a steady rate."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from service.errors import RateExceeded

# Callers that are remembered; whoever was not heard of for longest is forgotten, and begins anew.
MOST_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class Rates:
    """Limits of all callers of one process. Used by the event loop alone.

    per_s: requests per second in the long run, None for no limit. burst_s: so many seconds' worth may come
    at once. clock: seconds, never going back.
    """

    def __init__(
        self, per_s: float | None, burst_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst_s = burst_s
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, own_per_s: float | None = None) -> None:
        """Count a request of this caller. own_per_s: a limit that stands in place of the common one.

        Raises RateExceeded, saying when the next one will be let through.
        """
        per_s = self._per_s if own_per_s is None else own_per_s
        if per_s is None:
            return
        most = max(1.0, per_s * self._burst_s)
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(most, now)
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
            bucket.tokens = min(most, bucket.tokens + (now - bucket.filled) * per_s)
            bucket.filled = now
        if bucket.tokens < 1.0:
            raise RateExceeded(
                f"more than {per_s:g} requests per second",
                retry_after_s=max(1, math.ceil((1.0 - bucket.tokens) / per_s)),
            )
        bucket.tokens -= 1.0
