"""The recordings that a command is about, with their labels, one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import note, warn
from cli.errors import CommandError

if TYPE_CHECKING:
    from history.labels import Event
    from history.options import ReadOptions
    from history.recording import Recording


def recordings(paths: Sequence[Path], reading: "ReadOptions", events: Path | None) -> Iterator["Recording"]:
    """Files and folders in order, only one in memory. events: file of labelled intervals, in place of labels.

    Raises HistoryError at the first file that cannot be used.
    """
    from history.labels import label_by_events, read_events
    from history.read import read_paths

    if events is None:
        yield from read_paths(paths, reading)
        return
    intervals = read_events(events)
    unplaced = list(intervals)
    for recording in read_paths(paths, reading):
        inside = [event for event in intervals if _overlaps(event, recording)]
        unplaced = [event for event in unplaced if event not in inside]
        yield label_by_events(recording, inside)
    if unplaced:
        warn(f"{events}: {len(unplaced)} events lie in none of the files, the first at {unplaced[0].place}")


def labelled_recordings(
    paths: Sequence[Path], reading: "ReadOptions", events: Path | None
) -> list["Recording"]:
    """As `recordings`, all in memory. Raises CommandError when none of them has labels."""
    found = list(recordings(paths, reading, events))
    if all(recording.labels is None for recording in found):
        raise CommandError("no file has labels: name their column with --label-column, or give --events")
    return found


@contextmanager
def recordings_to_learn_from(
    paths: Sequence[Path], test: Sequence[Path], reading: "ReadOptions", events: Path | None
) -> Iterator[tuple[list["Recording"], list["Recording"]]]:
    """Recordings to train on, and those that are not trained on; a file that is both is not.

    Within the block they lie in mapped files, and so does what is made of them (docs/decisions/0033).
    Raises CommandError for a file that nothing can be learnt from, HistoryError for one that cannot be read.
    """
    from cli.console import err
    from history.files import find_files
    from history.spool import spooling

    held_out = {file.path for file in find_files(test, reading.layout)} if test else set()
    training: list[Recording] = []
    reported: list[Recording] = []
    everything = [*paths, *test]
    with spooling():
        with err.status("Reading files"):
            for file, recording in zip(
                find_files(everything, reading.layout), recordings(everything, reading, events), strict=True
            ):
                (reported if file.path in held_out else training).append(recording)
                if not recording.quality.usable:
                    raise CommandError(
                        f"{recording.name}: no sensor has readings that change; see offnormal check"
                    )
        rows = f"{sum(map(len, training)):,} rows"
        note(f"{len(training)} files, {rows} to train and calibrate on; {len(reported)} files to report on")
        yield training, reported


def _overlaps(event: "Event", recording: "Recording") -> bool:
    times = recording.timestamps
    return times is not None and event.end >= float(times.min()) and event.start <= float(times.max())
