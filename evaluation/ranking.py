"""How well scores put faulty rows above normal ones, whatever the threshold."""

import numpy as np
from numpy.typing import NDArray

from detector.windows import Bools, Floats
from evaluation.ranges import ranges


def roc_auc(truth: Bools, scores: Floats) -> float:
    """Probability that a faulty row scores above a normal one, ties counting half (Mann and Whitney 1947).

    truth: (rows,), True for faulty; both kinds must be there. scores: (rows,), larger is stranger.
    """
    ordered = np.sort(scores[~truth])
    below = np.searchsorted(ordered, scores[truth], side="left")
    upto = np.searchsorted(ordered, scores[truth], side="right")
    return float((below + upto).mean() / (2 * len(ordered)))


def pr_auc(truth: Bools, scores: Floats) -> float:
    """Average precision: precision at each threshold, weighted by the recall that it adds; no interpolation
    (Davis and Goadrich 2006, The Relationship Between Precision-Recall and ROC Curves).

    Same arguments as `roc_auc`. A score that knows nothing gets the share of faulty rows.
    """
    order = np.argsort(-scores, kind="stable")
    last = _last_of_ties(scores[order])
    hits = np.cumsum(truth[order])[last]
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * hits / (last + 1)))


def vus_pr(truth: Bools, scores: Floats, longest_buffer: int) -> float:
    """Volume under the precision-recall surface, over buffers of 0..longest_buffer rows around each fault.

    (Paparrizos et al. 2022, Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
    Anomaly Detection, PVLDB 15:2774.) Near a fault a label falls off as the square root of the distance, over
    half the buffer to each side, so that an alarm a little early or late is not held against a detector.
    Every distinct score is a threshold.

    Same arguments as `roc_auc`, rows in the order of time.
    """
    order = np.argsort(-scores, kind="stable")
    last = _last_of_ties(scores[order])
    areas = [_range_pr_auc(truth, scores, buffer, order, last) for buffer in range(longest_buffer + 1)]
    return float(np.mean(areas))


def soft_labels(truth: Bools, buffer: int) -> Floats:
    """1 in a fault, falling to both sides as sqrt(1 - distance / buffer) for half a buffer, 0 elsewhere.

    Where two faults' slopes meet they add up, to 1 at most.
    """
    soft = truth.astype(np.float64)
    slope = np.sqrt(1.0 - np.arange(1, buffer // 2 + 1) / max(buffer, 1))
    for start, stop in ranges(truth):
        after, before = soft[stop : stop + len(slope)], soft[max(start - len(slope), 0) : start][::-1]
        after += slope[: len(after)]
        before += slope[: len(before)]
    return np.asarray(np.minimum(soft, 1.0))


def _range_pr_auc(
    truth: Bools, scores: Floats, buffer: int, order: NDArray[np.intp], last: NDArray[np.intp]
) -> float:
    """Average precision with soft labels. Recall counts a fault's rows only in the share of the faults of
    which anything was found at all."""
    soft = soft_labels(truth, buffer)
    hits = np.cumsum(soft[order])[last]
    widened = ranges(soft > 0)
    peaks = np.sort([scores[first:stop].max() for first, stop in widened])
    found = (len(peaks) - np.searchsorted(peaks, scores[order][last], side="left")) / len(peaks)
    faulty = (truth.sum() + soft.sum()) / 2
    recall = np.minimum(hits / faulty, 1.0) * found
    precision = hits / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _last_of_ties(ordered: Floats) -> NDArray[np.intp]:
    """Index of the last of each run of equal scores."""
    return np.flatnonzero(np.diff(ordered, append=np.nan) != 0)
