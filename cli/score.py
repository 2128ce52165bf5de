"""`offnormal score`: files in, verdicts out, no server needed."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import note
from cli.judging import BaselineRowsOption, FalseAlarmRateOption, StrideOption, advise_baseline
from cli.model_choice import DEFAULT_MODELS, ModelOption, ModelsOption, VersionOption, model_folder
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings
from cli.verdict_file import FormatOption, OutOption, choose_format, verdict_file

if TYPE_CHECKING:
    from history.options import ReadOptions


@with_read_options
def score(
    paths: Annotated[
        list[Path], typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True)
    ],
    models: ModelsOption = DEFAULT_MODELS,
    model: ModelOption = None,
    version: VersionOption = None,
    out: OutOption = None,
    form: FormatOption = None,
    baseline_rows: BaselineRowsOption = 0,
    stride: StrideOption = 1,
    false_alarm_rate: FalseAlarmRateOption = None,
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Judge historian files with a model from the store, without a service.

    Each row is judged by the window that ends at it; each file is an asset of its own. Rows with too little
    before them are cannot_judge, and rows of the baseline are marked, so that a file of verdicts has one line
    for each row of the readings.

    `offnormal score pump7/ --baseline-rows 400 --out verdicts.csv`
    """
    chosen = choose_format(out, form)

    from detector import Detector, Options
    from evaluation.scoring import Cut, score_recording

    detector = Detector.load(model_folder(models, model, version))
    advise_baseline(detector.manifest, baseline_rows)
    detector.score_limit(false_alarm_rate, by_asset=baseline_rows > 0)
    options = Options(explain=True, false_alarm_rate=false_alarm_rate)
    counts: Counter[str] = Counter()
    files = 0
    with verdict_file(out, chosen, detector.manifest.classes) as write:
        for recording in recordings(paths, reading, events):
            files += 1
            for rows in score_recording(recording, detector, Cut(baseline_rows, stride), options):
                write(rows)
                counts.update(row.verdict for row in rows)
    summary = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
    manifest = detector.manifest
    named = f"{manifest.name} {manifest.version} ({detector.artefact.sha256[:16]})"
    note(f"{named}: {files} file(s), {sum(counts.values()):,} rows: {summary}")
