"""Figures for each kind of fault."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.detection import EventFigures


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """All events of one class of fault, as one detector saw them.

    recall: share of their rows with an alarm. Delays are medians over the events that were found.
    top_sensors: (sensor, mean share), over the events that were found, largest first.
    """

    klass: str
    files: int
    events: int
    found: int
    rows: int
    recall: float
    median_delay_s: float | None
    median_delay_rows: float | None
    top_sensors: tuple[tuple[str, float], ...]


def by_class(events: Sequence[EventFigures]) -> list[FaultFigures]:
    """In alphabetical order of the classes."""
    kinds: dict[str, list[EventFigures]] = defaultdict(list)
    for event in events:
        kinds[event.klass].append(event)
    return [_figures(klass, kinds[klass]) for klass in sorted(kinds)]


def _figures(klass: str, events: Sequence[EventFigures]) -> FaultFigures:
    found = [event for event in events if event.delay_rows is not None]
    delays = [event.delay_s for event in found if event.delay_s is not None]
    shares: dict[str, float] = defaultdict(float)
    for event in found:
        for sensor, share in event.top_sensors:
            shares[sensor] += share / len(found)
    rows = sum(event.rows for event in events)
    return FaultFigures(
        klass=klass,
        files=len({event.file for event in events}),
        events=len(events),
        found=len(found),
        rows=rows,
        recall=sum(event.alarm_rows for event in events) / rows,
        median_delay_s=float(np.median(delays)) if delays else None,
        median_delay_rows=float(np.median([event.delay_rows for event in found])) if found else None,
        top_sensors=tuple(sorted(shares.items(), key=lambda item: -item[1])),
    )
