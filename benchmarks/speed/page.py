"""docs/benchmarks.md: tables of a run between the page's markers; `not measured yet` where there is none."""

import re
import statistics
from collections.abc import Iterable, Mapping

from benchmarks.quality.page import fill
from benchmarks.quality.tables import DASH, table
from benchmarks.speed.cases import MEMORY, PROMISES, Promise
from benchmarks.speed.environments import versions
from benchmarks.speed.probes import CONNECTIONS
from benchmarks.speed.results import Run
from benchmarks.speed.servers import EMPTY, SERVERS

NOT_YET = "not measured yet"
_PICTURE = "![Throughput against median latency, a line for each server](images/speed.png)"
PROMISED, COMPARED, SETUPS, RUN = "promises", "servers", "setups", "run"


def spread(values: Iterable[float], digits: int, unit: str = "") -> str:
    """Median, and least to most where there are several."""
    known = sorted(values)
    if not known:
        return NOT_YET
    middle = f"{statistics.median(known):,.{digits}f}{unit}"
    if len(known) == 1:
        return middle
    return f"{middle} ({known[0]:,.{digits}f}–{known[-1]:,.{digits}f})"


def sections(run: Run | None) -> Mapping[str, str]:
    """The text of each marked place. None: nothing was measured."""
    return {
        PROMISED: promises(run),
        COMPARED: compared(run),
        SETUPS: setups(run),
        RUN: about(run) if run else f"The full run is {NOT_YET}.",
    }


def write(page: str, run: Run | None) -> str:
    """The page with its marked places filled. Raises BadPage."""
    return fill(page, sections(run))


def promises(run: Run | None) -> str:
    return table(["case", "measured", "reach", ""], [_row(promise, run) for promise in PROMISES])


def _row(promise: Promise, run: Run | None) -> list[str]:
    values = list(promise.figure(run).values()) if run else []
    return [
        promise.words,
        spread(values, promise.digits, promise.unit),
        promise.reach,
        promise.outcome(values),
    ]


def compared(run: Run | None) -> str:
    """Throughput and latency of every server, and the figures of its process."""
    head = [
        "server",
        f"requests/s, {CONNECTIONS} connections",
        "median, p99 there, ms",
        "one connection: median, p99, ms",
        "start to ready, s",
        "memory when ready, MB",
    ]
    text = table(head, [[server.title, *_cells(server.name, run)] for server in SERVERS.values()])
    return text if run is None else f"{text}\n\n{_PICTURE}"


def _cells(name: str, run: Run | None) -> list[str]:
    if run is None:
        return [NOT_YET] * 5
    if name in run.failures and not any(sample.visit == name for sample in run.samples):
        return [f"could not be measured: {_one_line(run.failures[name])}", *[DASH] * 4]

    def cell(probe: str, figure: str, digits: int) -> str:
        values = run.values(name, probe, figure).values()
        return spread(values, digits) if values else DASH

    at_16 = f"connections-{CONNECTIONS}"
    return [
        cell(at_16, "rate", 0),
        f"{cell(at_16, 'p50', 2)}, {cell(at_16, 'p99', 2)}",
        f"{cell('connections-1', 'p50', 2)}, {cell('connections-1', 'p99', 2)}",
        cell("start", "s", 2),
        cell("start", "mb", 0),
    ]


def setups(run: Run | None) -> str:
    """Versions and setup of every server."""
    rows = []
    for server in SERVERS.values():
        found = versions(server.peer) if server.peer else (run.versions.get("offnormal", {}) if run else {})
        rows.append(
            [server.title, ", ".join(f"{name} {version}" for name, version in found.items()), server.setup]
        )
    return table(["server", "versions", "how it is set up"], rows)


def about(run: Run) -> str:
    """Where, when, with what; and how far the load generator was from being what is measured."""
    lines = [
        f"Measured on {run.began} on {run.machine}; {run.rounds} rounds in {run.seconds / 60:.0f} minutes.",
        " ".join(run.models.values()),
    ]
    busy = [
        sample.figures["busy"]
        for sample in run.samples
        if sample.visit == EMPTY and sample.probe == f"connections-{CONNECTIONS}"
    ]
    if busy:
        lines.append(
            f"Against the empty route, the fastest server, the load generator used {max(busy):.0%} of its "
            "own core at most."
        )
    paced = run.values("offnormal", "half-load", "rate"), run.values("offnormal", "half-load", "asked")
    if all(paced):
        lines.append(
            f"At half load {spread(paced[0].values(), 0)} requests/s were answered of "
            f"{spread(paced[1].values(), 0)} that were due."
        )
    memory = [
        spread(run.values(MEMORY, "memory", name).values(), 0, " MB") for name in ("ready", "first", "last")
    ]
    if NOT_YET not in memory:
        lines.append(
            f"Memory of Offnormal when ready, after 10,000 and after 100,000 requests: {', '.join(memory)}."
        )
    lines += [
        f"Not everything could be measured of {SERVERS[name].title if name in SERVERS else f'`{name}`'}: "
        f"{_one_line(reason)}."
        for name, reason in run.failures.items()
    ]
    return "\n\n".join(lines)


def _one_line(text: str, most: int = 200) -> str:
    found = re.sub(r"\s+", " ", text).replace("|", "/").strip().rstrip(".")
    return found if len(found) <= most else "… " + found[-most:]
