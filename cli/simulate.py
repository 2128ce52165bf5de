"""`offnormal simulate`: a plant that runs, with faults, for demonstrations and for tests."""

import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import note, out
from cli.errors import CommandError
from cli.example import FaultName
from cli.model_choice import DEFAULT_MODELS, ModelOption, ModelsOption, VersionOption, model_folder
from cli.service_address import DEFAULT_URL, UrlOption

if TYPE_CHECKING:
    from detector.manifest import Manifest
    from history.plant import Machine, MachineType
    from history.schedule import Episode, Schedule, Timing
    from history.twin import Twin

# Defaults in windows of the model, so that they suit any sampling period.
FIRST_FAULT_WINDOWS, FAULT_WINDOWS, REST_WINDOWS, SEASON_WINDOWS = 2, 3, 3, 40
# Readings from which a machine is commissioned: with the embedded model, a whole wave of the load. Fewer give
# more false alarms (measured in docs/simulator.md).
BASELINE_ROWS = 1200
# More threads and connections than this are another test.
MOST_ASSETS = 100
_FAULT = re.compile(
    r"(?P<kind>\w+):(?P<sensors>.+):(?P<size>[\d.]+)@(?P<asset>.+)\+(?P<start>[\d.]+)/(?P<length>[\d.]+)"
)
FAULT_FORM = "KIND:SENSOR[,SENSOR]:SIZE@ASSET+START/LENGTH, e.g. ramp:Current:6@P-101+120/90"


def simulate(
    models: ModelsOption = DEFAULT_MODELS,
    model: ModelOption = None,
    version: VersionOption = None,
    asset: Annotated[
        list[str] | None,
        typer.Option(help="Name of a machine; repeat for more. P-101, P-102, … if not given."),
    ] = None,
    assets: Annotated[
        int | None, typer.Option(min=1, max=MOST_ASSETS, help="How many machines, where none is named: 3.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same plant.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Plant's time to run. Without an end if not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="The same in steps.")] = None,
    out_path: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write labelled CSV instead of streaming: a file for one machine, a folder for several.",
        ),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    key: Annotated[
        str | None, typer.Option(envvar="OFFNORMAL_KEY", help="Key of the service, where it asks for one.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Multiple of real time.")] = 1.0,
    stride: Annotated[int, typer.Option(min=1, help="Steps from one window to the next.")] = 1,
    baseline_rows: Annotated[
        int,
        typer.Option(min=30, help="Rows of normal operation before the start, sent as an asset's baseline."),
    ] = BASELINE_ROWS,
    recommission: Annotated[
        bool, typer.Option("--recommission", help="Replace baselines that the service has already.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT",
            help=f"A fault of your choice, and no others: {FAULT_FORM}; size in standard deviations, seconds "
            "of plant's time. Repeat for more.",
        ),
    ] = None,
    kind: Annotated[
        list[FaultName] | None,
        typer.Option(help="Kinds of fault that occur; repeat for more. All if not given."),
    ] = None,
    no_faults: Annotated[bool, typer.Option("--no-faults", help="Normal operation only.")] = False,
    first_fault: Annotated[
        float | None, typer.Option(min=0, help="Seconds before the first fault; two windows if not given.")
    ] = None,
    fault_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="About how long a fault lasts; three windows if not given."),
    ] = None,
    rest_seconds: Annotated[
        float | None, typer.Option(min=0, help="About how long until the next; three windows if not given.")
    ] = None,
    season_minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="Period of the slow wave of the load; forty windows if not given, 0 for none."
        ),
    ] = None,
    season_size: Annotated[
        float, typer.Option(min=0, help="Crest of that wave, in standard deviations of each sensor.")
    ] = 0.15,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port for Prometheus; none if not given, 0 a free one."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address for Prometheus.")] = "127.0.0.1",
) -> None:
    """Run a made-up plant: several machines, a slow load, and faults now and then.

    The machines behave as the model's own twin. Their windows are posted to a running service as a plant does
    it, and what is really wrong is shown beside the verdicts, here and to Prometheus. All machines but the
    last have faults in turn. When it ends (--minutes, Ctrl-C), it shows how truth and verdicts agree.

    `offnormal simulate --speed 10`

    `offnormal simulate --out plant/ --minutes 60`
    """
    with _ending_on_sigterm():
        from detector.artefact import TWIN_FILE, open_artefact
        from history.plant import Machine, Season
        from history.twin import Twin

        folder = model_folder(models, model, version)
        manifest = open_artefact(folder).manifest
        if TWIN_FILE not in manifest.files:
            raise CommandError(f"{folder}: this model has no twin ({TWIN_FILE}) to make a plant of")
        names = _asset_names(asset, assets)
        period_s = manifest.window.period_s or 1.0
        if minutes is not None and steps is not None:
            raise typer.BadParameter("give --minutes or --steps, not both")
        if minutes is not None:
            steps = max(1, round(minutes * 60 / period_s))
        if baseline_rows < manifest.window.steps:
            raise typer.BadParameter(f"--baseline-rows: the model's window has {manifest.window.steps} steps")

        timing = _timing(manifest, period_s, first_fault, fault_seconds, rest_seconds)
        schedule = _schedule(manifest, names, fault or [], kind, no_faults, timing, seed, period_s)
        if season_minutes is None:
            season_steps = float(SEASON_WINDOWS * manifest.window.steps)
        else:
            season_steps = season_minutes * 60 / period_s
        machine_type = _machine_type(manifest, Twin.load(folder / TWIN_FILE))
        season = Season(season_steps, season_size)
        machines = [
            Machine(machine_type, name, seed, baseline_rows, schedule.of(name), season) for name in names
        ]
        if out_path is not None:
            if steps is None:
                raise typer.BadParameter("--out needs an end: give --minutes or --steps")
            _write(out_path, machines, manifest.sensor_names, period_s, steps)
            return
        from cli.simulator.metrics import PlantMetrics
        from cli.simulator.stream import Manner, PlantStream
        from cli.simulator.tally import PlantTally
        from cli.simulator.view import PlantView

        metrics = PlantMetrics(names, schedule.kinds)
        if metrics_port is not None:
            _, port = metrics.serve(metrics_host, metrics_port)
            note(f"metrics: http://{metrics_host}:{port}/metrics")
        manner = Manner(
            url, key, manifest.name, version, manifest.sensor_names, manifest.window.steps, period_s, speed,
            stride, steps, recommission,
        )  # fmt: skip
        tally = PlantTally(manifest.sensor_names, period_s)
        try:
            with PlantView(names, manifest.sensor_names) as view:
                PlantStream(machines, manner, metrics, view, tally).run()
        finally:
            if tally.windows:
                out.print(tally.table())


def _asset_names(named: Sequence[str] | None, count: int | None) -> list[str]:
    if named and count is not None:
        raise typer.BadParameter("give --asset or --assets, not both")
    names = list(named or [f"P-{101 + index}" for index in range(count or 3)])
    if len(set(names)) < len(names):
        raise typer.BadParameter("two machines have the same name", param_hint="--asset")
    if len(names) > MOST_ASSETS:
        raise typer.BadParameter(f"at most {MOST_ASSETS} machines", param_hint="--asset")
    for name in names:
        if not name or name != name.strip() or not name.isprintable() or len(name) > 128:
            raise typer.BadParameter(f"{name!r}: 1 to 128 printable characters", param_hint="--asset")
    return names


def _timing(
    manifest: "Manifest", period_s: float, first: float | None, fault: float | None, rest: float | None
) -> "Timing":
    from history.schedule import Timing

    def in_steps(seconds: float | None, windows: int) -> int:
        return windows * manifest.window.steps if seconds is None else round(seconds / period_s)

    return Timing(
        in_steps(first, FIRST_FAULT_WINDOWS),
        max(1, in_steps(fault, FAULT_WINDOWS)),
        in_steps(rest, REST_WINDOWS),
    )


def _schedule(
    manifest: "Manifest",
    assets: Sequence[str],
    faults: Sequence[str],
    kinds: Sequence[FaultName] | None,
    no_faults: bool,
    timing: "Timing",
    seed: int,
    period_s: float,
) -> "Schedule":
    from history.faults import FAULTS
    from history.schedule import Fixed, Rounds

    if sum(map(bool, (faults, kinds, no_faults))) > 1:
        raise typer.BadParameter("give only one of --fault, --kind and --no-faults")
    if faults or no_faults:
        return Fixed([read_fault(text, manifest.sensor_names, assets, period_s) for text in faults])
    # One machine is always normal, to see beside the others what normal looks like.
    faulty = assets[:-1] if len(assets) > 1 else assets
    judged = [index for index, sensor in enumerate(manifest.sensors) if sensor.scored]
    return Rounds(faulty, judged, [kind.value for kind in kinds or ()] or list(FAULTS), timing, seed)


def read_fault(text: str, sensors: Sequence[str], assets: Sequence[str], period_s: float) -> "Episode":
    """A fault as somebody writes it: FAULT_FORM, start and length in seconds. Raises typer.BadParameter."""
    from history.schedule import Episode

    def refuse(why: str) -> typer.BadParameter:
        return typer.BadParameter(f"{text!r}: {why}", param_hint="--fault")

    match = _FAULT.fullmatch(text)
    if match is None:
        raise refuse(f"expected {FAULT_FORM}")
    if match["kind"] not in list(FaultName):
        raise refuse(f"no kind {match['kind']!r}; there are: {', '.join(FaultName)}")
    names = match["sensors"].split(",")
    unknown = [name for name in names if name not in sensors]
    if unknown or len(set(names)) < len(names):
        raise refuse(f"no sensor {unknown[0]!r}" if unknown else "a sensor is named twice")
    if match["asset"] not in assets:
        raise refuse(f"no machine {match['asset']!r}; there are: {', '.join(assets)}")
    try:
        size, start, length = (float(match[part]) for part in ("size", "start", "length"))
    except ValueError:
        raise refuse(f"expected {FAULT_FORM}") from None
    if size <= 0 or length < period_s:
        raise refuse(f"size above 0 and length of at least one reading, {period_s:g} s, expected")
    hit = tuple(sensors.index(name) for name in names)
    return Episode(
        match["asset"], match["kind"], hit, size, round(start / period_s), round(length / period_s)
    )


def _machine_type(manifest: "Manifest", twin: "Twin") -> "MachineType":
    """Machines like those that the model was trained on, and in the range of their operating points."""
    import numpy as np

    from history.plant import MachineType

    quantiles = np.array([sensor.quantiles for sensor in manifest.sensors])
    scale = manifest.asset_scale
    # From 1 % to 99 % of all readings, less what a machine's own scatter adds.
    low, median, high = quantiles[:, 1] + 2.3 * scale, quantiles[:, 2], quantiles[:, 3] - 2.3 * scale
    wide = low < high
    return MachineType(twin, scale, np.where(wide, low, median), np.where(wide, high, median))


def _write(
    path: Path, machines: Sequence["Machine"], sensors: tuple[str, ...], period_s: float, steps: int
) -> None:
    """One CSV per machine: its baseline's rows, then the stream's."""
    from cli.simulator.file import write_machine

    if path.suffix.lower() == ".csv" and not path.is_dir():
        if len(machines) > 1:
            raise typer.BadParameter(f"{len(machines)} machines need a folder, e.g. --out {path.stem}/")
        files = [path]
    else:
        path.mkdir(parents=True, exist_ok=True)
        files = [path / (re.sub(r"[^\w.-]+", "-", machine.asset) + ".csv") for machine in machines]
        if len(set(files)) < len(files):
            raise CommandError("names of machines are too alike to name files by them")
    for file, machine in zip(files, machines, strict=True):
        counts = write_machine(file, machine, sensors, period_s, steps)
        note(f"wrote {file}: " + ", ".join(f"{count:,} rows {label}" for label, count in counts.items()))
    note(f"the first {len(machines[0].lead):,} rows of each are normal operation before the stream begins")


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as if it were done: exit code 0."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
