"""What the handlers work with, and how they get hold of it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict, TypeVar

from fastapi import Depends, Request

from service.assets import Assets
from service.http.body import BodyBudget, timeout_s
from service.http.gate import Gate
from service.http.keys import Key, Keyring, Role
from service.http.rates import Rates
from service.http.request_log import Facts, facts_of
from service.jobs import Jobs
from service.measuring.metrics import Metrics
from service.models import Models
from service.models.shadow import Shadow
from service.models.watching import Watcher
from service.settings import Settings

if TYPE_CHECKING:
    from service.http.admission import Brief

T = TypeVar("T")
# Up to this size, work on a body is done at once: handing it to a thread would take longer than the work.
SMALL_BODY_BYTES = 100_000
# The same where the work is quick, about as long as the event loop waits for a batch. A thread would keep the
# interpreter from it all the same, and get its memory from the system anew each time (docs/decisions/0015).
QUICK_BODY_BYTES = 2_500_000


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that one running app owns. pool: threads for parsing and encoding what is large.

    gate: who is let in when more comes than can be answered. brief: how the server refuses the others by
    itself; None where every answer has to pass through the whole app.
    starting: set while other workers of the service are not ready yet. draining: set once it is to stop.
    """

    settings: Settings
    models: Models
    watcher: Watcher
    shadow: Shadow
    assets: Assets
    keyring: Keyring
    rates: Rates
    metrics: Metrics
    bodies: BodyBudget
    pool: ThreadPoolExecutor
    jobs: Jobs
    gate: Gate
    brief: "Brief | None"
    starting: threading.Event
    draining: threading.Event

    def count_caller(self, key: Key | None, address: str, facts: Facts) -> None:
        """Note whose request it is, and take it from what the key, or without one the address, may ask for.

        Raises RateExceeded.
        """
        if key is None:
            self.rates.take(address)
        else:
            facts.fields["key"] = key.name
            self.rates.take(key.name, key.requests_per_s)

    def took(self, facts: Facts, stage: str, seconds: float, before_s: float = 0.0) -> None:
        """Count a stage of a request that took so long and ended so long ago, and note it for its trace."""
        self.metrics.stage_seconds[stage].observe(seconds)
        if facts.trace is not None:
            facts.trace.add(stage, seconds, before_s)

    async def work(self, size: int, function: Callable[[], T], at_once: int = SMALL_BODY_BYTES) -> T:
        """Run a function whose cost grows with `size`, bytes, without holding up other requests.

        at_once: up to which size it holds up nobody for long.
        """
        if size <= at_once:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self.pool, function)


class LifespanState(TypedDict):
    """What the lifespan yields."""

    resources: Resources


def resources_of(request: Request) -> Resources:
    """For routes that are open to everybody; the others get theirs by `allow`."""
    resources: Resources = request.scope["state"]["resources"]
    return resources


async def _open(request: Request) -> Resources:
    return resources_of(request)


OpenResources = Annotated[Resources, Depends(_open)]


def allow(*roles: Role) -> Callable[[Request], Awaitable[Resources]]:
    """A dependency that gives the resources to keys with one of these roles, and to admins.

    One dependency, not two: each costs every request some 50 microseconds.
    """
    allowed = frozenset(roles)

    async def admit(request: Request) -> Resources:
        resources = resources_of(request)
        key = resources.keyring.admit(request.headers, allowed)
        client = request.scope.get("client")
        resources.count_caller(key, client[0] if client else "", facts_of(request))
        return resources

    return admit


ForClassifying = Annotated[Resources, Depends(allow(Role.CLASSIFY))]
ForReading = Annotated[Resources, Depends(allow(Role.READ))]
ForAdmins = Annotated[Resources, Depends(allow(Role.ADMIN))]
ForCallers = Annotated[Resources, Depends(allow(Role.CLASSIFY, Role.READ))]


def deadline_of(request: Request, limit_s: float) -> float:
    """Until when the answer is wanted, time.monotonic seconds. Raises WrongContent."""
    return time.monotonic() + timeout_s(request, limit_s)
