"""`offnormal inspect`: a model's card in the terminal."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out
from cli.model_choice import DEFAULT_MODELS, ModelsOption, VersionOption, model_folder

if TYPE_CHECKING:
    from rich.table import Table

    from detector import Detector
    from detector.manifest import Manifest, NormalOperation


def inspect(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Name of a model in the store, or the folder of one. The only one, if there is just one."
        ),
    ] = None,
    models: ModelsOption = DEFAULT_MODELS,
    version: VersionOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest and the checks as JSON.")
    ] = False,
) -> None:
    """Show a model: sensors, window, calibration, metrics, data, files.

    Every file's hash is checked and the golden windows are replayed first; a model that fails is refused,
    as the service would refuse it.
    """
    from detector import Detector

    detector = Detector.load(model_folder(models, model, version))
    if as_json:
        typer.echo(json.dumps(as_document(detector), indent=2, ensure_ascii=False))
        return
    print_card(detector)


def as_document(detector: "Detector") -> dict[str, Any]:
    """The manifest, what was verified, and the hash that names this version."""
    import msgspec

    document: dict[str, Any] = {
        "folder": str(detector.artefact.folder),
        "sha256": detector.artefact.sha256,
        "verified": {
            "hashes": True,
            "golden_replay": True,
            "runtime": detector.runtime.name,
        },
        "manifest": msgspec.to_builtins(detector.manifest),
    }
    return document


def print_card(detector: "Detector") -> None:
    """Write the card to standard output, as wide as the terminal."""
    from rich.markup import escape
    from rich.padding import Padding

    manifest = detector.manifest
    out.print(f"[bold]{escape(manifest.name)}[/bold] version {manifest.version}", end="")
    out.print(f"  [dim]{escape(str(detector.artefact.folder))}[/dim]")
    out.print(
        f"[green]verified[/green]: {len(manifest.files)} files match their hashes, golden windows replayed "
        f"in {detector.runtime.name} within tolerance"
    )
    for title, facts in sections(detector).items():
        if facts:
            out.print(f"\n[bold]{title}[/bold]")
            out.print(Padding(_facts(facts), (0, 0, 0, 2)))
    out.print(f"\n[bold]Sensors[/bold] ({len(manifest.sensors)})")
    out.print(Padding(sensor_table(manifest), (0, 0, 0, 2)))


def sections(detector: "Detector") -> dict[str, dict[str, object]]:
    """What there is to say of a model apart from its sensors: section -> name -> value."""
    manifest = detector.manifest
    window, calibration, data = manifest.window, manifest.calibration, manifest.training_data
    period = "not evenly sampled" if window.period_s is None else f"one reading every {window.period_s:g} s"
    span = f", {data.start} to {data.end}" if data.start and data.end else ""
    return {
        "Judges": {
            "window": f"{window.steps} steps, at least {window.minimum_steps}; {period}",
            "gaps": f"a silence of more than {window.max_gap_periods:g} periods ends a window",
            "classes": ", ".join(manifest.classes),
            "false-alarm rate": f"{manifest.default_false_alarm_rate:g} unless a request asks for another",
        },
        "Calibration": {
            "normal windows": _support(calibration.model_baseline),
            "of commissioned assets": _support(calibration.asset_baseline),
            "held out": calibration.held_out,
            "probabilities": f"from {calibration.probability.faults} faults, assuming "
            f"{calibration.probability.prior:.0%} anomalous windows",
        },
        "Trained on": {
            "data": f"{data.rows:,} rows of {data.files} files{span}",
            "what": data.description,
            "licence": data.licence,
            "labels": data.labels,
            "SHA-256": data.sha256,
        },
        "Metrics": flat(manifest.metrics),
        "Network": {
            "architecture": f"{manifest.architecture.cell.upper()} {manifest.architecture.units}, "
            f"{manifest.architecture.parameters:,} parameters",
            "created": manifest.created,
            "libraries": ", ".join(f"{name} {version}" for name, version in manifest.libraries.items()),
        },
        "Files, SHA-256": {**manifest.files, "manifest.json": detector.artefact.sha256},
    }


def flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested metrics as one level, names joined by dots; long lists are left to --json."""
    rows: dict[str, object] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            rows[prefix + name] = f"{value:.4g}"
        elif not isinstance(value, list) or len(value) <= 8:
            rows[prefix + name] = value
    return rows


def _support(normal: "NormalOperation | None") -> str | None:
    if normal is None:
        return None
    return (
        f"{len(normal.scores):,} held out, {normal.independent_windows:,} of them independent: false-alarm "
        f"rates from {normal.smallest_false_alarm_rate:.3g} upwards can be promised"
    )


def sensor_table(manifest: "Manifest") -> "Table":
    """One row a sensor, in the model's order; flat: longest run of equal readings in normal operation."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("sensor", overflow="fold")
    table.add_column("unit", overflow="fold")
    for column in ("centre", "scale", "0.1 %", "99.9 %", "drift, sd", "flat, steps"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("judged")
    for sensor in manifest.sensors:
        table.add_row(
            escape(sensor.name),
            escape(sensor.unit or "-"),
            *(f"{x:.4g}" for x in (sensor.center, sensor.scale, sensor.quantiles[0], sensor.quantiles[-1])),
            f"{sensor.drift:.2f}",
            str(sensor.longest_flat),
            "yes" if sensor.scored else "[yellow]no, drifts[/yellow]",
        )
    return table


def _facts(facts: dict[str, object]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in ("", None):
            table.add_row(escape(name), escape(str(value)))
    return table
