"""`offnormal example`: a request that can be posted as it is."""

import json
import math
import shlex
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CommandError
from cli.model_choice import DEFAULT_MODELS, ModelOption, ModelsOption, VersionOption, model_folder
from cli.service_address import DEFAULT_URL, UrlOption

if TYPE_CHECKING:
    import numpy as np

    from detector.manifest import Manifest
    from detector.windows import Floats

# Made-up readings carry made-up times, the same at every run.
FIRST_STEP = datetime(2026, 1, 1, tzinfo=UTC)
# A fault begins after this share of the window, so that the model sees it set in.
FAULT_STARTS_AT = 0.25


class FaultName(StrEnum):
    """The kinds of fault that can be injected; those of history.faults, known without loading it."""

    SHIFT = "shift"
    RAMP = "ramp"
    SPIKE = "spike"
    STUCK = "stuck"
    NOISE = "noise"
    SWAP = "swap"
    SCALE = "scale"
    MODE = "mode"


def example(
    models: ModelsOption = DEFAULT_MODELS,
    model: ModelOption = None,
    version: VersionOption = None,
    fault: Annotated[
        FaultName | None, typer.Option(help="Inject this fault; without it the window is normal.")
    ] = None,
    size: Annotated[
        float, typer.Option(min=0.0, help="Size of the fault, in standard deviations of the sensor.")
    ] = 5.0,
    sensor: Annotated[
        list[str] | None,
        typer.Option(help="Sensor with the fault; repeat for several. One of them if not given."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the window; the model's if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same window.")] = 0,
    curl: Annotated[bool, typer.Option("--curl", help="Print a whole curl command.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Print a ready-to-post request, normal or with a fault.

    The readings are simulated by the model's own twin: nobody's data, but the same behaviour.

    `offnormal example --fault shift --sensor Pressure --curl | sh`
    """
    import numpy as np

    from detector.artefact import TWIN_FILE, open_artefact
    from history.twin import Twin

    folder = model_folder(models, model, version)
    artefact = open_artefact(folder)
    if TWIN_FILE not in artefact.manifest.files:
        raise CommandError(f"{folder}: this model has no twin ({TWIN_FILE}) to make an example with")
    rng = np.random.default_rng(seed)
    values = Twin.load(folder / TWIN_FILE).simulate(steps or artefact.manifest.window.steps, rng)
    if fault is not None:
        values = with_fault(values, artefact.manifest, fault, size, sensor or [], rng)
    elif sensor:
        raise typer.BadParameter("--sensor needs --fault")
    body = request_body(values, artefact.manifest, "normal" if fault is None else fault.value)
    if curl:
        url = shlex.quote(url.rstrip("/") + "/classify")
        body = f"curl -s {url} -H 'content-type: application/json' -d {shlex.quote(body)}"
    typer.echo(body)


def with_fault(
    values: "Floats",
    manifest: "Manifest",
    fault: FaultName,
    size: float,
    names: list[str],
    rng: "np.random.Generator",
) -> "Floats":
    """The window with a fault in the sensors named, or in one that the model judges.

    values: (steps, sensors), engineering units. size: standard deviations. Raises typer.BadParameter.
    """
    import numpy as np

    from history.faults import FAULTS

    unknown = [name for name in names if name not in manifest.sensor_names]
    if unknown:
        raise typer.BadParameter(f"no sensor {unknown[0]!r}; there are: {', '.join(manifest.sensor_names)}")
    if names:
        faulty = np.array([manifest.sensor_names.index(name) for name in names])
    else:
        faulty = rng.choice(np.flatnonzero([sensor.scored for sensor in manifest.sensors]), 1)
    standardised = (values - manifest.center) / manifest.scale
    FAULTS[fault].inject(standardised, int(len(values) * FAULT_STARTS_AT), faulty, size, rng)
    return np.asarray(standardised * manifest.scale + manifest.center)


def request_body(values: "Floats", manifest: "Manifest", window_id: str) -> str:
    """JSON for POST /classify, one sensor a line. values: (steps, sensors), engineering units."""
    lines = ",\n".join(
        f"    {_json(sensor.name)}: {_json(_rounded(readings, sensor.asset_scale))}"
        for sensor, readings in zip(manifest.sensors, values.T.tolist(), strict=True)
    )
    step = timedelta(seconds=manifest.window.period_s or 0)
    times = [(FIRST_STEP + i * step).isoformat().replace("+00:00", "Z") for i in range(len(values))]
    timestamps = f',\n   "timestamps": {json.dumps(times)}' if step else ""
    return (
        f'{{"model": "{manifest.name}", "explain": true, "windows": [\n'
        f'  {{"id": "{window_id}", "readings": {{\n{lines}}}{timestamps}}}]}}'
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rounded(readings: list[float], scale: float) -> list[float]:
    """Readings to a thousandth of their standard deviation: short to post, and nothing is lost."""
    digits = 3 - math.floor(math.log10(scale))
    return [round(reading, digits) for reading in readings]
