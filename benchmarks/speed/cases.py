"""What is promised of Offnormal's speed, and what has to be measured to see whether it is kept.

Every ratio is taken within a round, from measurements minutes apart on the same machine; what counts is the
median over rounds.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.speed.probes import CONNECTIONS, MANY
from benchmarks.speed.results import Run
from benchmarks.speed.servers import (
    BENTOML,
    EMPTY,
    FASTAPI,
    LITSERVE,
    MLSERVER,
    MLSERVER_UNBATCHED,
    OFFNORMAL,
    RAY,
)

# Visits that are not of a server by itself.
BARE, WIDE, PLAIN_WIDE, MEMORY = "bare", "offnormal-wide", "fastapi-wide", "offnormal-memory"
WORKERS_1, WORKERS_2, MANY_VISIT = "workers-1", "workers-2", "offnormal-many"
# Megabytes between 10,000 and 100,000 requests that still are no growth: an allocator's own coming and going.
GROWTH_MB = 2.0
_AT_16 = f"connections-{CONNECTIONS}"

ByRound = dict[int, float]
Figure = Callable[[Run], ByRound]


@dataclass(frozen=True, slots=True)
class Promise:
    """figure: by round, empty where it was not measured. least, most: what is to be reached; neither where it
    is told without a promise."""

    case: str
    words: str
    figure: Figure
    unit: str
    least: float | None = None
    most: float | None = None
    digits: int = 2

    @property
    def reach(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:g}{self.unit}"
        return f"≤ {self.most:.3g}{self.unit}" if self.most is not None else ""

    def outcome(self, values: Iterable[float]) -> str:
        """`met` or `missed` by the median; empty where nothing is promised or measured."""
        known = list(values)
        if not known or (self.least is None and self.most is None):
            return ""
        middle = statistics.median(known)
        met = (self.least is None or middle >= self.least) and (self.most is None or middle <= self.most)
        return "met" if met else "**missed**"


def of(visit: str, probe: str, figure: str) -> Figure:
    return lambda run: run.values(visit, probe, figure)


def ratio(above: Figure, below: Figure) -> Figure:
    """Round by round; rounds in which one of the two is missing are left out."""

    def by_round(run: Run) -> ByRound:
        tops, bottoms = above(run), below(run)
        return {number: tops[number] / bottoms[number] for number in tops if bottoms.get(number)}

    return by_round


def best(choose: Callable[[Iterable[float]], float], *figures: Figure) -> Figure:
    """The least or the most (`min`, `max`) of several in each round, of those that were measured."""

    def by_round(run: Run) -> ByRound:
        found = [figure(run) for figure in figures]
        rounds = sorted({number for values in found for number in values})
        return {number: choose(values[number] for values in found if number in values) for number in rounds}

    return by_round


def difference(one: Figure, other: Figure) -> Figure:
    def by_round(run: Run) -> ByRound:
        first, second = one(run), other(run)
        return {number: first[number] - second[number] for number in first if number in second}

    return by_round


def _rate(server: str) -> Figure:
    return of(server, _AT_16, "rate")


_OWN = _rate(OFFNORMAL)
_SINGLE = f"single JSON windows, {CONNECTIONS} connections, against "
_ONE = "connections-1"
# MLServer with and without batching: compared with is whichever does better.
_MLSERVER = best(max, _rate(MLSERVER), _rate(MLSERVER_UNBATCHED))
_MLSERVER_ALONE = best(min, of(MLSERVER, _ONE, "p50"), of(MLSERVER_UNBATCHED, _ONE, "p50"))
_MANY = f"{MANY} windows in one request, against bare ONNX Runtime: "

PROMISES: tuple[Promise, ...] = (
    Promise("single", _SINGLE + "MLServer", ratio(_OWN, _MLSERVER), " ×", least=3.0),
    Promise("single", _SINGLE + "plain FastAPI", ratio(_OWN, _rate(FASTAPI)), " ×", least=2.2),
    Promise("single", _SINGLE + "an empty FastAPI route", ratio(_OWN, _rate(EMPTY)), " ×", least=0.42),
    Promise("single", _SINGLE + "LitServe", ratio(_OWN, _rate(LITSERVE)), " ×"),
    Promise("single", _SINGLE + "BentoML", ratio(_OWN, _rate(BENTOML)), " ×"),
    Promise("single", _SINGLE + "Ray Serve", ratio(_OWN, _rate(RAY)), " ×"),
    Promise(
        "explain",
        "the same with `explain`, against without",
        ratio(of(OFFNORMAL, "explained", "with"), of(OFFNORMAL, "explained", "without")),
        " ×",
        least=0.90,
    ),
    Promise(
        "one",
        "one connection: median latency, against MLServer's",
        ratio(of(OFFNORMAL, _ONE, "p50"), _MLSERVER_ALONE),
        " ×",
        most=0.5,
    ),
    Promise(
        "tail",
        "at half of the highest load, evenly paced: p99 against the median there",
        ratio(of(OFFNORMAL, "half-load", "p99"), of(OFFNORMAL, "half-load", "p50")),
        " ×",
        most=4.0,
    ),
    Promise(
        "many",
        _MANY + "JSON",
        ratio(of(MANY_VISIT, "many-json", "rate"), of(BARE, "many", "rate")),
        " ×",
        least=0.60,
    ),
    Promise(
        "many",
        _MANY + "`.npy`",
        ratio(of(MANY_VISIT, "many-npy", "rate"), of(BARE, "many", "rate")),
        " ×",
        least=0.90,
    ),
    Promise(
        "wide",
        "300 sensors × 300 steps, JSON: median of plain FastAPI, through pydantic lists, against Offnormal's",
        ratio(of(PLAIN_WIDE, _ONE, "p50"), of(WIDE, _ONE, "p50")),
        " ×",
        least=5.0,
    ),
    Promise(
        "wide",
        "the same, with the network's own time (bare ONNX Runtime) taken off both",
        ratio(
            difference(of(PLAIN_WIDE, _ONE, "p50"), of(BARE, "wide", "ms")),
            difference(of(WIDE, _ONE, "p50"), of(BARE, "wide", "ms")),
        ),
        " ×",
    ),
    Promise("start", "start to ready", of(OFFNORMAL, "start", "s"), " s", most=1.2),
    Promise(
        "start",
        "start to ready, against MLServer",
        ratio(of(OFFNORMAL, "start", "s"), of(MLSERVER, "start", "s")),
        " ×",
        most=1 / 3,
    ),
    Promise("memory", "resident memory when ready", of(MEMORY, "memory", "ready"), " MB", most=150, digits=0),
    Promise(
        "memory",
        "resident memory after 100,000 requests",
        of(MEMORY, "memory", "last"),
        " MB",
        most=150,
        digits=0,
    ),
    Promise(
        "memory",
        "growth between 10,000 and 100,000 requests",
        difference(of(MEMORY, "memory", "last"), of(MEMORY, "memory", "first")),
        " MB",
        most=GROWTH_MB,
        digits=1,
    ),
    Promise(
        "workers",
        "two workers on two cores, against one on one, each core bearing a generator of its own as well",
        ratio(of(WORKERS_2, "shared", "rate"), of(WORKERS_1, "shared", "rate")),
        " ×",
        least=1.8,
    ),
    Promise(
        "workers",
        "windows by which the metrics of two workers are off",
        lambda run: {n: abs(off) for n, off in run.values(WORKERS_2, "shared", "off").items()},
        "",
        most=0,
        digits=0,
    ),
)

CASES = tuple(dict.fromkeys(promise.case for promise in PROMISES))
