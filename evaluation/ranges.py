"""Alarms and faults as stretches of time, not rows."""

from collections.abc import Sequence

import numpy as np

from detector.windows import Bools

Range = tuple[int, int]


def ranges(marked: Bools) -> list[Range]:
    """Runs of True as (first, one past the last), in order."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def range_f1(truth: Bools, alarms: Bools) -> float | None:
    """Harmonic mean of range-based precision and recall (Tatbul et al. 2018, Precision and Recall for Time
    Series, NeurIPS).

    Recall is the share of each fault under alarm, divided by the number of alarms that share it, averaged
    over faults whatever their length; precision the same of alarms under faults. Flat bias, reciprocal
    cardinality and no reward for mere existence: an alarm that flickers is worth less than one that stands.

    truth, alarms: (rows,), in the order of time. None without a fault.
    """
    faults, raised = ranges(truth), ranges(alarms)
    if not faults:
        return None
    recall, precision = _overlap(faults, raised), _overlap(raised, faults)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _overlap(these: Sequence[Range], others: Sequence[Range]) -> float:
    """Mean over `these` of the share that `others` cover, divided by how many of them do; 0 where none."""
    shares = []
    for first, stop in these:
        covers = [min(stop, end) - max(first, start) for start, end in others if start < stop and end > first]
        shares.append(sum(covers) / (stop - first) / len(covers) if covers else 0.0)
    return float(np.mean(shares)) if shares else 0.0
