"""Load from a process of its own, so that neither its work nor its delays are taken for the service's."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from benchmarks.reliability.load import Lines, Tally, at_most, at_rate

_SETTLE_S = 60.0


class Generator:
    """Loads one service. Every method blocks until all is answered, or a minute longer than it sends."""

    def __init__(self, pool: ProcessPoolExecutor, host: str, port: int, requests: list[bytes]) -> None:
        self._pool = pool
        self._to = (host, port, requests)

    async def most(self, callers: int, seconds: float) -> Tally:
        """So many callers, each of which asks again once it is answered."""
        return await self._run(_most, callers, seconds)

    async def at_rate(self, per_s: float, seconds: float) -> Tally:
        """So many requests a second, whatever the answers."""
        return await self._run(_at_rate, per_s, seconds)

    async def _run(self, function: Callable[..., Tally], *arguments: float) -> Tally:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *self._to, *arguments)


@contextmanager
def generating(host: str, port: int, requests: list[bytes], core: int | None = None) -> Iterator[Generator]:
    """A generator whose process has started. core: the only one that it may use."""
    with ProcessPoolExecutor(1, get_context("spawn"), _stay_on, (core,)) as pool:
        pool.submit(os.getpid).result()
        yield Generator(pool, host, port, requests)


def _stay_on(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


def _most(host: str, port: int, requests: list[bytes], callers: int, seconds: float) -> Tally:
    return _alone(host, port, lambda lines: at_most(lines, requests, callers, seconds))


def _at_rate(host: str, port: int, requests: list[bytes], per_s: float, seconds: float) -> Tally:
    return _alone(host, port, lambda lines: at_rate(lines, requests, per_s, seconds))


def _alone(host: str, port: int, load: Callable[[Lines], Coroutine[Any, Any, None]]) -> Tally:
    async def run() -> Tally:
        lines = Lines(host, port)
        await load(lines)
        await lines.settle(_SETTLE_S)
        lines.close()
        return lines.tally

    try:
        import uvloop
    except ImportError:  # where there is none, the generator makes less
        return asyncio.run(run())
    return uvloop.run(run())
