"""What is measured at a server that is up, or beside it. Each measurement becomes samples by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.speed import load
from benchmarks.speed.cores import Cores
from benchmarks.speed.load import Load, Question, Told
from benchmarks.speed.processes import Running
from benchmarks.speed.servers import Server, explained_body, npy_body, windows_body
from detector.windows import Floats

CONNECTIONS = 16
# Along these the picture is drawn: throughput against latency.
CURVE = (1, 4, CONNECTIONS, 32)
MANY = 256
# Two, so that one request is on its way while the other is answered.
MANY_CONNECTIONS = 2
MEMORY_REQUESTS = (10_000, 100_000)
# From each generator, to see whether metrics count exactly.
EXACT_REQUESTS = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """How long loads take, seconds: short ones for curves, and those that figures are made of."""

    short: float
    long: float
    memory_requests: tuple[int, int]


FULL = Pace(short=1.5, long=3.0, memory_requests=MEMORY_REQUESTS)
QUICK = Pace(short=0.5, long=0.5, memory_requests=(100, 1000))


@dataclass(frozen=True, slots=True)
class Site:
    """What a probe has to work with. windows: (count, steps, sensors)."""

    server: Server
    running: Running
    cores: Cores
    windows: Floats
    pace: Pace

    def load(self, question: Question, order: Load) -> Told:
        return load.run(self.running.port, question, order, [self.cores.load])

    @property
    def question(self) -> Question:
        return self.server.question(list(self.windows))


Figures = Mapping[str, float]
Probe = Callable[[Site], Figures]


def _figures(told: Told) -> Figures:
    return {
        "rate": told.rate,
        "p50": told.p50,
        "p90": told.p90,
        "p99": told.p99,
        "longest": told.longest,
        "busy": told.busy,
    }


def closed(connections: int, site: Site) -> Figures:
    """So many connections, each sends as soon as it is answered."""
    seconds = site.pace.long if connections in (1, CONNECTIONS) else site.pace.short
    return _figures(site.load(site.question, Load(connections, seconds)))


def explained(site: Site) -> Figures:
    """With and without `explain` in turns, so that both see the same moments of the machine."""
    with_it = Question(site.server.path, [explained_body(window) for window in site.windows])
    order = Load(CONNECTIONS, site.pace.long / 2)
    turns = [(site.load(site.question, order), site.load(with_it, order)) for _ in range(2)]
    return {
        "without": sum(without.rate for without, _ in turns) / len(turns),
        "with": sum(told.rate for _, told in turns) / len(turns),
    }


def half_load(site: Site) -> Figures:
    """At even intervals, at half of the rate that this server reached a moment ago."""
    highest = site.load(site.question, Load(CONNECTIONS, site.pace.short)).rate
    told = site.load(site.question, Load(CONNECTIONS, site.pace.long, rate=highest / 2))
    return {**_figures(told), "asked": highest / 2}


def many(form: str, site: Site) -> Figures:
    """Many windows in one request; rate is of windows."""
    if form == "npy":
        question = Question(site.server.path, [npy_body(site.windows)], "application/x-npy")
    else:
        question = Question(site.server.path, [windows_body(site.windows)])
    told = site.load(question, Load(MANY_CONNECTIONS, site.pace.long))
    return {**_figures(told), "rate": told.rate * len(site.windows)}


def memory(site: Site) -> Figures:
    """Resident memory when ready, and after requests; megabytes."""
    found = {"ready": site.running.memory_mb()}
    first, last = site.pace.memory_requests
    for name, count in (("first", first), ("last", last - first)):
        site.load(site.question, Load(CONNECTIONS, 0.0, count=count))
        found[name] = site.running.memory_mb()
    return found


def shared(workers: int, site: Site) -> Figures:
    """As many generators as workers, each bound to a core of its own, with connections of its own.

    The workers are bound to the same cores, so that each core bears one worker's share of the service and of
    the load. off: what /metrics counted less what was answered, for so many requests after that.
    """
    cores = [[core] for core in site.cores.both[:workers]]

    def together(order: Load) -> list[Told]:
        return load.run_together(site.running.port, site.question, order, cores)

    rate = sum(told.rate for told in together(Load(CONNECTIONS, site.pace.long)))
    before = judged(site.running.get("/metrics").decode())
    answered = sum(told.requests for told in together(Load(CONNECTIONS, 0.0, count=EXACT_REQUESTS)))
    return {"rate": rate, "off": judged(site.running.get("/metrics").decode()) - before - answered}


def judged(exposition: str) -> float:
    """The sum of offnormal_verdicts_total over all its series."""
    lines = [line for line in exposition.splitlines() if line.startswith("offnormal_verdicts_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def curve() -> dict[str, Probe]:
    return {f"connections-{count}": partial(closed, count) for count in CURVE}
