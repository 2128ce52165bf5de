"""`offnormal replay`: a historian file played to a running service, as the plant would have done it."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import note
from cli.judging import AlarmAfterOption, alarm_after_of
from cli.reading import EventsOption, with_read_options
from cli.recordings import recordings
from cli.service_address import DEFAULT_URL, UrlOption
from cli.verdict_file import FormatOption, OutOption, Write, choose_format, verdict_file
from evaluation.detection import Tally

if TYPE_CHECKING:
    from history.options import ReadOptions


@with_read_options
def replay(
    paths: Annotated[
        list[Path], typer.Argument(help="Historian files (CSV, Parquet) and folders of them.", exists=True)
    ],
    url: UrlOption = DEFAULT_URL,
    model: Annotated[
        str | None, typer.Option(help="Model to ask for; the service's default if not given.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Version; the newest if not given.")] = None,
    baseline_rows: Annotated[
        int,
        typer.Option(
            min=0,
            help="Known-normal rows at the beginning of each file: sent first, as the asset's baseline.",
        ),
    ] = 0,
    asset: Annotated[
        str | None, typer.Option(help="Name of the asset; made from the file's name if not given.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Multiple of real time; as fast as the service answers if not given."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Most windows in one request.")] = 64,
    alarm_after: AlarmAfterOption = None,
    out: OutOption = None,
    form: FormatOption = None,
    key: Annotated[
        str | None, typer.Option(envvar="OFFNORMAL_KEY", help="Key of the service, where it asks for one.")
    ] = None,
    events: EventsOption = None,
    *,
    reading: "ReadOptions",
) -> None:
    """Play historian files to a running service and watch its verdicts.

    A window is posted for each row, with its time stamps. Where the files have labels, detection figures are
    printed at the end. Ctrl-C ends it and keeps what there is.

    `offnormal replay pump7.csv --baseline-rows 400 --out verdicts.csv`
    """
    chosen = choose_format(out, form) if out else None
    rule = alarm_after_of(alarm_after)

    from cli.playing import Manner, play
    from cli.replay_view import ReplayView, print_report
    from cli.service_client import ServiceClient

    manner = Manner(asset, baseline_rows, batch, speed)
    tallies: list[Tally] = []
    persisted: list[Tally] = []
    with ServiceClient(url, key) as client:
        served = client.model(model, version)
        note(f"{served.name} {served.version} at {url}")
        try:
            with ExitStack() as stack:
                write: Write | None = None
                if out and chosen:
                    write = stack.enter_context(verdict_file(out, chosen, served.classes))
                view = stack.enter_context(ReplayView())
                for recording in recordings(paths, reading, events):
                    period = recording.period_s or served.period_s
                    tallies.append(Tally(recording.name, period_s=period))
                    if rule is not None:
                        persisted.append(Tally(recording.name, rule, period))
                    view.begin(tallies[-1], len(recording.values))
                    for rows in play(recording, client, served, manner):
                        for tally in (tallies[-1], *persisted[-1:]):
                            tally.add(rows)
                        if write:
                            write(rows)
                        view.add(rows)
                    view.end()
        except KeyboardInterrupt:
            note("stopped")
            raise
        finally:
            # Also after an interrupt or an error of the service: what was measured is not thrown away.
            print_report(tallies)
            if rule is not None:
                print_report(persisted, rule)
            if out and tallies:
                note(f"verdicts are in {out}")
