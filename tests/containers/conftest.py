"""The demo, started once for all tests of this folder, and removed with its volumes at the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import engine
from tests.containers.engine import Demo

HERE = Path(__file__).parent
# From the start of the last container until the last one is healthy.
HEALTHY_S = 60.0
# Plant's traffic before dashboards are looked at.
TRAFFIC_S = 70.0

_why_none = pytest.StashKey[str]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Allow the time that building images takes, and skip where no container can be run."""
    mine = [
        item for item in items if HERE in item.path.parents and "demo" in getattr(item, "fixturenames", ())
    ]
    reason = engine.why_none() if mine and not engine.starters() else None
    if reason is not None:
        config.stash[_why_none] = reason
    for item in mine:
        item.add_marker(pytest.mark.timeout(900) if reason is None else pytest.mark.skip(reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash.get(_why_none, None)
    if reason is not None:
        terminalreporter.write_line(f"CONTAINERS WERE NOT TESTED: {reason}", red=True, bold=True)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """Everything that `docker compose up` starts, healthy."""
    engine.start()
    demo = Demo()
    try:
        demo.up("--build", within_s=HEALTHY_S)
        yield demo
    finally:
        demo.down()


@pytest.fixture
def watched(demo: Demo) -> Demo:
    """The demo after about a minute of plant's traffic."""
    time.sleep(max(0.0, demo.healthy_since + TRAFFIC_S - time.monotonic()))
    return demo
