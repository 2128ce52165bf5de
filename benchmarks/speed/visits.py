"""Who is visited in a round, and what is measured there."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.speed import answers, bare, cases, probes, processes, servers
from benchmarks.speed.cores import Cores
from benchmarks.speed.load import LoadFailed
from benchmarks.speed.models import WIDE, WINDOW, Subject, windows_of
from benchmarks.speed.probes import MANY, Pace, Probe, Site
from benchmarks.speed.processes import ServerFailed
from benchmarks.speed.results import Sample
from benchmarks.speed.servers import SERVERS, Server

# Windows that are posted in turn, and of them those that are compared with the model's own answers.
BODIES, CHECKED = 32, 8


@dataclass(frozen=True, slots=True)
class Visit:
    """A server that is started, checked, measured and stopped. probes: by name.

    cases: which need it. both_cores: whether it may use the load's core as well. once: not in every round.
    """

    name: str
    server: Server
    cases: Collection[str]
    probes: dict[str, Probe] = field(default_factory=dict)
    subject: Subject = WINDOW
    bodies: int = BODIES
    both_cores: bool = False
    once: bool = False


def plan(wanted: Collection[str], ray: bool) -> list[Visit]:
    """The visits that the wanted cases need, with no more probes than they need."""
    own = SERVERS[servers.OFFNORMAL]
    curve = probes.curve()
    alone = {"connections-1": curve["connections-1"]}
    mine: dict[str, Probe] = {}
    for case, more in (
        ("single", curve),
        ("one", alone),
        ("explain", {"explained": probes.explained}),
        ("tail", {"half-load": probes.half_load}),
    ):
        if case in wanted:
            mine |= more
    theirs = curve if "single" in wanted else alone if "one" in wanted else {}
    peers = [
        servers.LITSERVE,
        servers.BENTOML,
        servers.FASTAPI,
        servers.EMPTY,
        *([servers.RAY] if ray else []),
    ]
    everything = [
        Visit(own.name, own, ["single", "one", "explain", "tail", "start"], mine),
        Visit(servers.MLSERVER, SERVERS[servers.MLSERVER], ["single", "one", "start"], theirs),
        Visit(servers.MLSERVER_UNBATCHED, SERVERS[servers.MLSERVER_UNBATCHED], ["single", "one"], theirs),
        *(Visit(peer, SERVERS[peer], ["single"], curve) for peer in peers),
        Visit(
            cases.MANY_VISIT,
            own,
            ["many"],
            {f"many-{form}": partial(probes.many, form) for form in ("json", "npy")},
            bodies=MANY,
        ),
        Visit(cases.WIDE, own, ["wide"], alone, WIDE, bodies=4),
        Visit(cases.PLAIN_WIDE, SERVERS[servers.FASTAPI], ["wide"], alone, WIDE, bodies=4),
        *(
            Visit(
                name,
                replace(own, command=servers.offnormal(workers)),
                ["workers"],
                {"shared": partial(probes.shared, workers)},
                both_cores=workers == 2,
            )
            for workers, name in ((1, cases.WORKERS_1), (2, cases.WORKERS_2))
        ),
        Visit(cases.MEMORY, own, ["memory"], {"memory": probes.memory}, once=True),
    ]
    return [visit for visit in everything if set(visit.cases) & set(wanted)]


def make(
    visit: Visit, number: int, cores: Cores, pace: Pace, models: Path, folder_of: Callable[[Subject], Path]
) -> Iterator[Sample]:
    """Start the server, check its answers, measure. Raises ServerFailed, WrongAnswer, LoadFailed."""
    model = folder_of(visit.subject)
    windows = windows_of(visit.subject, models, visit.bodies, seed=1)
    folder = Path(tempfile.mkdtemp(prefix="bench-server-"))
    try:
        command = visit.server.command(model, folder)
        own = cores.both if visit.both_cores else [cores.server]
        with processes.running(command, own) as running:
            figures = {"s": running.start_s, "mb": running.memory_mb()}
            # Before anything else: memory is that of a server that was just started.
            if visit.name != cases.MEMORY:
                answers.check(visit.server, running, model, windows[:CHECKED])
            yield Sample(number, visit.name, "start", figures)
            site = Site(visit.server, running, cores, windows, pace)
            for name, probe in visit.probes.items():
                try:
                    yield Sample(number, visit.name, name, probe(site))
                except LoadFailed as error:
                    raise LoadFailed(f"{name}: {error}") from None
    except OSError as error:
        raise ServerFailed(str(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_bare(
    number: int, cores: Cores, pace: Pace, wanted: Collection[str], folder_of: Callable[[Subject], Path]
) -> Iterator[Sample]:
    """ONNX Runtime without a server, on the servers' core."""
    shapes: Sequence[tuple[str, Subject, int]] = (("many", WINDOW, MANY), ("wide", WIDE, 1))
    for case, subject, count in shapes:
        if case in wanted:
            shape = (count, subject.steps, subject.sensors)
            rate = bare.measure(cores.server, folder_of(subject), shape, pace.short)
            yield Sample(number, cases.BARE, case, {"rate": rate, "ms": 1e3 * count / rate})
