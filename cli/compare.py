"""`offnormal compare`: models side by side on the same labelled recordings."""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import err, note, out
from cli.errors import CommandError
from cli.figures import detectors_table, differences_table
from cli.judging import (
    AlarmAfterOption,
    BaselineRowsOption,
    FalseAlarmRateOption,
    StrideOption,
    advise_baseline,
    alarm_after_of,
)
from cli.model_choice import DEFAULT_MODELS, ModelsOption, model_folder
from cli.reading import EventsOption, with_read_options
from cli.recordings import labelled_recordings

if TYPE_CHECKING:
    from detector import Detector
    from evaluation.compare import Comparison
    from history.options import ReadOptions


@with_read_options
def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL[@VERSION] MODEL[@VERSION]... FILES...",
            help="Two models or more, the first being what the others are compared with; then labelled files"
            " and folders that none of them was trained on.",
        ),
    ],
    models: ModelsOption = DEFAULT_MODELS,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of a running service: show how far the live version of the one MODEL and its challenger"
            " agree on the windows that came in. No files then.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="OFFNORMAL_KEY", help="Key of the service, where it asks for one.")
    ] = None,
    baseline_rows: BaselineRowsOption = 0,
    false_alarm_rate: FalseAlarmRateOption = None,
    alarm_after: AlarmAfterOption = None,
    stride: StrideOption = 1,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write everything to this file as one HTML page.")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write all figures to this file.")
    ] = None,
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Compare models on the same labelled files: paired differences, with an interval over files.

    `offnormal compare pump7@1 pump7@2 tests/ --baseline-rows 400 --report pump7.html`
    """
    if url is not None:
        from cli.disagreement import show_disagreement

        if len(what) != 1:
            raise CommandError(f"with --url expected the name of one model, got: {' '.join(what)}")
        show_disagreement(url, key, what[0])
        return
    rule = alarm_after_of(alarm_after)

    from evaluation.compare import Comparison, notes, record
    from evaluation.evaluate import evaluate

    if report is not None:
        # What drawing needs is missed now, not after minutes of judging.
        importlib.import_module("evaluation.compare_report")
    detectors, paths = _split(what, models)
    for detector in detectors.values():
        advise_baseline(detector.manifest, baseline_rows)
    files = labelled_recordings(paths, reading, events)
    evaluations = {}
    for name, detector in detectors.items():
        with err.status(f"Judging with {name}"):
            evaluations[name] = evaluate(detector, files, baseline_rows, false_alarm_rate, stride, rule)
    comparison = Comparison(evaluations)
    out.print(detectors_table(_summaries(comparison), "Detection"))
    if rule is not None:
        title = f"Detection with alarms after {rule} windows"
        out.print(detectors_table(_summaries(comparison, persisted=True), title))
    out.print(differences_table(comparison.differences()))
    for remark in (*notes(comparison), comparison.first.references_from):
        note(remark)
    if json_out is not None:
        json_out.parent.mkdir(parents=True, exist_ok=True)
        json_out.write_text(json.dumps(record(comparison), indent=2) + "\n", encoding="utf-8")
        note(f"wrote {json_out}")
    if report is not None:
        from evaluation.compare_report import write_comparison

        report.parent.mkdir(parents=True, exist_ok=True)
        write_comparison(report, comparison)
        note(f"wrote {report}")


def _summaries(comparison: "Comparison", persisted: bool = False) -> dict[str, dict[str, Any]]:
    from evaluation.judged import summarise

    return {name: summarise(judged) for name, judged in comparison.detectors(persisted).items()}


def _split(what: list[str], store: Path) -> tuple[dict[str, "Detector"], list[Path]]:
    """Models up to the first argument that is none, then files. Raises CommandError, naming the argument."""
    from detector import Detector

    detectors: dict[str, Detector] = {}
    rest = list(what)
    while rest and (folder := _model(rest[0], store)) is not None:
        detector = Detector.load(folder)
        name = f"{detector.manifest.name}@{detector.manifest.version}"
        if name in detectors:
            if detectors[name].artefact.sha256 == detector.artefact.sha256:
                raise CommandError(f"{rest[0]}: {name} is given twice")
            name = f"{name}#{len(detectors) + 1}"
            note(f"{name} is {folder}")
        detectors[name] = detector
        rest.pop(0)
    if len(detectors) < 2:
        place = f"{rest[0]!r} is none" if rest else "no more were given"
        raise CommandError(f"expected two models or more in {store}, then files; {place}")
    if not rest:
        raise CommandError("expected files after the models")
    paths = [Path(name) for name in rest]
    for path in paths:
        if not path.exists():
            raise CommandError(f"{path}: no such file, and no model in {store}")
    return detectors, paths


def _model(text: str, store: Path) -> Path | None:
    """The folder of `NAME`, `NAME@VERSION` or a version's folder; None for what is no model.

    Raises ModelNotFound for a version that a model does not have.
    """
    from detector import ModelStore
    from detector.manifest import MANIFEST_FILE

    if (Path(text) / MANIFEST_FILE).is_file():
        return Path(text)
    name, _, version = text.partition("@")
    if name not in ModelStore(store).names():
        return None
    if version and not version.isdecimal():
        raise CommandError(f"{text}: expected a number after the @, as in {name}@2")
    return model_folder(store, name, int(version) if version else None)
