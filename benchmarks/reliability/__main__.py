"""python -m benchmarks.reliability: overload, then a soak; the figures go to docs/reliability.md."""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from benchmarks.reliability.load import post
from benchmarks.reliability.overload import Overload, overload
from benchmarks.reliability.page import about, draw, fill, growths, overload_table, soak_table
from benchmarks.reliability.soak import Run, Soak
from detector import ModelStore
from detector.artefact import TWIN_FILE
from history.twin import Twin
from tests.e2e.server import serving

console = Console(stderr=True, highlight=False)
_MODEL = "pump-loop"
# Windows of a request, and the share of the time. Five times the capacity is more single windows than a
# generator in Python makes beside the service; so many in one request, it does make.
_OVERLOADS = {16: 1.0, 1: 1 / 3}


def main(
    minutes: Annotated[float, typer.Option(min=0.0, help="Length of the soak; 0 leaves it out.")] = 60.0,
    overload_s: Annotated[
        float,
        typer.Option(
            min=0.0, help="Length of the overload by batches, seconds; by single windows, a third. 0: none."
        ),
    ] = 60.0,
    per_s: Annotated[float, typer.Option(help="Requests a second of the soak.")] = 50.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the service that is soaked.")] = 2,
    models: Annotated[Path, typer.Option(help="The model store.")] = Path("models"),
    page: Annotated[bool, typer.Option(help="Write docs/reliability.md.")] = True,
) -> None:
    """Start the service on this machine, overload it, soak it, and say whether it bore it. Ends by itself."""
    load = os.getloadavg()
    window = _window(models)
    command = f"make soak MINUTES={minutes:g} OVERLOAD_S={overload_s:g}"
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        if overload_s:
            console.print(f"Overload for {overload_s:g} s")
            hurt = {
                f"requests of {count} window{'s' if count > 1 else ''}": _overload(
                    models, Path(folder) / f"of-{count}", [window] * count, overload_s * share
                )
                for count, share in _OVERLOADS.items()
            }
            table = overload_table(hurt)
            console.print(table)
            if page:
                fill({"overload": f"{table}\n\n{about(command, load)}"})
            if lost := sum(each.tally.unanswered for each in hurt.values()):
                wrong.append(f"{lost} requests of the overload without an answer")
        if minutes:
            console.print(f"Soak for {minutes:g} minutes")
            soaked = _soak(models, Path(folder) / "many", window, per_s, workers, minutes * 60)
            found = growths(soaked)
            table = soak_table(soaked, found)
            console.print(table)
            if page:
                fill({"soak": f"{table}\n\n{about(command, load)}"})
                draw(soaked)
            wrong += [f"{name} grew" for name, each in found.items() if each.grew]
            if soaked.failures:
                wrong.append(f"{len(soaked.failures)} failures")
    if wrong:
        console.print(f"error: {'; '.join(wrong)}", style="bold red")
        raise typer.Exit(1)


def _window(models: Path) -> list[list[float]]:
    """A window of the model's simulated normal operation."""
    folder = ModelStore(models).folder(_MODEL)
    steps = json.loads((folder / "manifest.json").read_text())["window"]["steps"]
    rng = np.random.default_rng(0)
    rows = Twin.load(folder / TWIN_FILE).simulate(steps, rng)
    return [[round(float(value), 4) for value in row] for row in rows]


def _overload(models: Path, state: Path, windows: list[list[list[float]]], seconds: float) -> Overload:
    request = post("/classify", json.dumps({"windows": [{"values": each} for each in windows]}).encode())
    with serving(models, state, OFFNORMAL_LOG_LEVEL="warning", OFFNORMAL_DEFAULT_MODEL=_MODEL) as server:
        port = int(server.url.rpartition(":")[2])
        return asyncio.run(
            overload("127.0.0.1", port, server.process.pid, [request], seconds, core=_last_core())
        )


def _last_core() -> int | None:
    """For the generator alone as far as it can be; None where there is but one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores[-1] if len(cores) > 1 else None


def _soak(
    models: Path, state: Path, window: list[list[float]], per_s: float, workers: int, seconds: float
) -> Soak:
    variables = {
        "OFFNORMAL_LOG_LEVEL": "warning",
        "OFFNORMAL_DEFAULT_MODEL": _MODEL,
        "OFFNORMAL_WORKERS": str(workers),
        "OFFNORMAL_HEAD_TIMEOUT_S": "3",
    }
    with serving(models, state, **variables) as server:
        return asyncio.run(Run(server.url, server.process.pid, window, per_s).run(seconds))


if __name__ == "__main__":
    typer.run(main)
