"""Which core serves and which one makes the load."""

import os
from dataclasses import dataclass
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


class TooFewCores(Exception):
    """The benchmark needs one core to serve and another to load it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """siblings: whether both are threads of one physical core, or the system does not say."""

    server: int
    load: int
    siblings: bool | None

    @property
    def both(self) -> list[int]:
        return [self.server, self.load]


def choose() -> Cores:
    """Two of the cores that this process may use, of different physical ones where there are. Raises
    TooFewCores."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise TooFewCores(f"{len(allowed)} core may be used; one is needed to serve and another to load it")
    server = allowed[0]
    together = siblings_of(server)
    apart = [core for core in allowed[1:] if together is None or core not in together]
    load = (apart or allowed)[-1]
    return Cores(server, load, None if together is None else load in together)


def siblings_of(core: int, cpus: Path = _CPUS) -> set[int] | None:
    """Threads of the same physical core, itself among them; None where the system does not say."""
    try:
        text = (cpus / f"cpu{core}" / "topology" / "thread_siblings_list").read_text().strip()
        found: set[int] = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):
        return None
    return found
