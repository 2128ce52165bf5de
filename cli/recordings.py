"""The recordings that a command is about, with their labels, one at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import warn
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


def _overlaps(event: "Event", recording: "Recording") -> bool:
    times = recording.timestamps
    return times is not None and event.end >= float(times.min()) and event.start <= float(times.max())
