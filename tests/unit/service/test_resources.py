"""Which work on a body is done at once, and which in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from service.resources import QUICK_BODY_BYTES, SMALL_BODY_BYTES, Resources


@pytest.fixture
def resources() -> Iterator[Any]:
    with ThreadPoolExecutor(1) as pool:
        yield SimpleNamespace(pool=pool)


@pytest.mark.parametrize("at_once", [SMALL_BODY_BYTES, QUICK_BODY_BYTES])
def test_work_on_a_body_is_done_at_once_up_to_its_size(resources: Any, at_once: int) -> None:
    async def thread_of(size: int) -> int:
        return await Resources.work(resources, size, threading.get_ident, at_once)

    assert asyncio.run(thread_of(at_once)) == threading.get_ident()
    assert asyncio.run(thread_of(at_once + 1)) != threading.get_ident()


def test_unless_it_is_known_to_be_quick_only_a_small_body_is_worked_on_at_once(resources: Any) -> None:
    async def thread() -> int:
        return await Resources.work(resources, SMALL_BODY_BYTES + 1, threading.get_ident)

    assert asyncio.run(thread()) != threading.get_ident()
