"""When it is worth to ask again, and after how long."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# Too busy, not ready yet, too late, or a proxy in between that could not reach the service.
PASSING = frozenset({429, 502, 503, 504})
# A pause that the service asks for is lengthened by up to this share: who were refused together should not
# come back together.
_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Retries:
    """How long to go on asking. attempts: at most, the first one included; 1 asks once.

    first_wait_s: doubles with every attempt, up to longest_wait_s, and is shortened at random by up to half.
    longest_asked_s: the longest Retry-After that is waited for; one beyond it ends the attempts.
    give_up_after_s: no further attempt begins later than this after the first.
    """

    attempts: int = 6
    first_wait_s: float = 0.25
    longest_wait_s: float = 10.0
    longest_asked_s: float = 60.0
    give_up_after_s: float = 120.0


@dataclass(slots=True)
class Attempts:
    """The attempts of one call."""

    retries: Retries
    made: int = 0
    _started: float = field(default_factory=time.monotonic)

    def pause_s(self, asked_s: float | None = None) -> float | None:
        """Seconds until the next attempt, after one that failed; None when that was the last.

        asked_s: what the service asked for, if it did.
        """
        self.made += 1
        rules = self.retries
        if asked_s is None:
            longest = min(rules.first_wait_s * 2 ** (self.made - 1), rules.longest_wait_s)
            pause = longest * random.uniform(0.5, 1.0)
        else:
            pause = asked_s * random.uniform(1.0, 1.0 + _SPREAD)
        too_long = asked_s is not None and asked_s > rules.longest_asked_s
        too_late = time.monotonic() - self._started + pause > rules.give_up_after_s
        return None if self.made >= rules.attempts or too_long or too_late else pause


def retry_after_s(response: httpx.Response) -> float | None:
    """How long the service asks to wait, seconds: the header's number, or its date (RFC 9110, 10.2.3)."""
    given = response.headers.get("retry-after")
    if given is None:
        return None
    try:
        return max(float(given), 0.0) if given.strip().isdigit() else _until(given)
    except ValueError:
        return None


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return max((moment.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
