"""What the handlers work with, and how they get hold of it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, TypedDict, TypeVar

from fastapi import Depends, Request

from service.assets import Assets
from service.body import BodyBudget, timeout_s
from service.keys import Keyring, Role
from service.metrics import Metrics
from service.models import Models
from service.request_log import facts_of
from service.settings import Settings

T = TypeVar("T")
# Below this size, work on a body is done at once: handing it to a thread would take longer than the work.
SMALL_BODY_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that one running app owns. pool: threads for parsing and encoding what is large."""

    settings: Settings
    models: Models
    assets: Assets
    keyring: Keyring
    metrics: Metrics
    bodies: BodyBudget
    pool: ThreadPoolExecutor
    draining: threading.Event

    async def work(self, size: int, function: Callable[[], T]) -> T:
        """Run a function whose cost grows with `size`, bytes, without holding up other requests."""
        if size <= SMALL_BODY_BYTES:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self.pool, function)


class LifespanState(TypedDict):
    """What the lifespan yields."""

    resources: Resources


async def _resources(request: Request) -> Resources:
    resources: Resources = request.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(_resources)]


async def _deadline(request: Request, resources: ResourcesDep) -> float:
    return time.monotonic() + timeout_s(request, resources.settings.request_timeout_s)


async def _commission_deadline(request: Request, resources: ResourcesDep) -> float:
    return time.monotonic() + timeout_s(request, resources.settings.commission_timeout_s)


Deadline = Annotated[float, Depends(_deadline)]
CommissionDeadline = Annotated[float, Depends(_commission_deadline)]


def allow(*roles: Role) -> Callable[..., Awaitable[None]]:
    """A dependency that lets in keys with one of these roles, and admins."""
    allowed = frozenset(roles)

    async def admit(request: Request, resources: ResourcesDep) -> None:
        key = resources.keyring.admit(request.headers, allowed)
        if key is not None:
            facts_of(request).fields["key"] = key.name

    return admit
