"""From a network's outputs to numbers that mean something: errors, probabilities, scores, p-values."""

import math

import numpy as np
from numpy.typing import NDArray

from detector.errors import ShapeMismatch
from detector.manifest import ProbabilityCalibration, RatioScale
from detector.statistics import mean_over_steps, sum_over_steps
from detector.windows import Bools, Floats, Singles

# The classifier's confidence in `normal` must not hide a fault that only the reconstruction sees, and far
# from normal operation a few deviations more say nothing.
STANDARD_SCORE_RANGE = (-2.0, 50.0)
# In the weighted mean no score counts for more than this: otherwise a recording that never settles, whose
# reconstruction is tens of deviations off, outvotes a head that knows the fault (docs/decisions/0026).
VOTE_LIMIT = 20.0
# By so many deviations the reconstruction must exceed an alarm limit to carry it alone.
ALONE_MARGIN = 10.0
# Of the error in the reconstruction score; either distance has twice as much (docs/decisions/0038).
ERROR_WEIGHT = 0.2
_TINY = 1e-12
# Signs of the exponent in the logistic function, for `normal` and for any fault; larger ones would overflow.
_EITHER = np.array([1.0, -1.0])
_MOST_EXPONENT = 700.0


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Probabilities (windows, classes), summing to 1; the largest logit is subtracted, so none overflows."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sensor_errors(observed_values: Singles, expected: Singles, mask: Bools | None) -> Floats:
    """Mean squared error of each sensor, over its observed readings.

    observed_values, expected: float32 (windows, steps, sensors), standardised.
    mask: bool, same shape; False marks a missing or padded reading. None where there is none.
    Returns float64 (windows, sensors), >= 0; larger is stranger. NaN where a sensor was never observed.
    Raises ShapeMismatch.
    """
    shapes = [each.shape for each in (observed_values, expected, mask) if each is not None]
    if shapes.count(shapes[0]) < len(shapes):
        raise ShapeMismatch(f"{', '.join(map(str, shapes))} should be equal")
    squared = observed_values - expected
    np.square(squared, out=squared)
    if mask is None:
        return mean_over_steps(squared)
    count = sum_over_steps(mask)
    return np.asarray(sum_over_steps(np.where(mask, squared, 0.0)) / np.where(count, count, np.nan))


def reconstruction_error(errors: Floats, mask: Bools | None) -> Floats:
    """Mean squared error per window, over observed readings, from `sensor_errors` and its mask.

    Returns float64 (windows,), >= 0; larger is stranger. A window with nothing observed gives NaN.
    """
    if mask is None:
        return np.asarray(np.add.reduce(errors, axis=1) / errors.shape[1])
    count = sum_over_steps(mask)
    total = count.sum(axis=1)
    weighted = np.where(count > 0, errors * count, 0.0).sum(axis=1)
    return np.asarray(weighted / np.where(total, total, np.nan))


def classifier_score(logits: NDArray[np.floating]) -> Floats:
    """Log-odds of any fault against `normal` (class 0), float64 (windows,); larger is stranger."""
    if logits.shape[1] == 2:
        return np.asarray(np.subtract(logits[:, 1], logits[:, 0], dtype=np.float64))
    logits = logits.astype(np.float64)
    faults = logits[:, 1:]
    peak = faults.max(axis=1)
    log_sum = peak + np.log(np.exp(faults - peak[:, None]).sum(axis=1))
    return np.asarray(log_sum - logits[:, 0])


def reconstruction_score(
    errors: Floats,
    typical: Floats,
    distances: Floats,
    row_distances: Floats | None = None,
    *,
    scale: RatioScale = "log1p",
) -> Floats:
    """How far a window is from what the model expects of normal operation; larger is stranger.

    errors: (windows, sensors), NaN where not observed. typical: (sensors,), > 0, on normal windows.
    distances: (windows,), of the window's level (detector/operation.py). row_distances: (windows,), of its
    rows (detector/rows.py); None in models from before they were measured.
    Of ratios that are about 1 in normal operation: the mean error relative to each sensor's typical one, so
    that a noisy sensor cannot drown the others, and both distances. The first sees what the course of the
    readings betrays, the second what only their means together do, the third what only the readings of one
    step together do (docs/decisions/0012 and 0038).
    scale: `log1p`, the mean of the logarithms of 1 plus each ratio, the error's with half of a distance's
    weight where there are two; `log`, the log of their geometric mean, as older models have it
    (docs/decisions/0027). Logarithms, so that normal windows are roughly Gaussian and a mean and a deviation
    describe them. NaN when nothing was observed.
    """
    mean = errors @ (1.0 / (len(typical) * typical))
    if not _all_finite(mean):  # of some sensors that were not observed
        relative = errors / typical
        seen = np.isfinite(relative)
        count = seen.sum(axis=1)
        mean = np.where(seen, relative, 0.0).sum(axis=1) / np.where(count, count, np.nan)
    if scale == "log":
        return np.asarray(0.5 * (np.log(mean + _TINY) + np.log(distances + _TINY)))
    if row_distances is None:
        return np.asarray(0.5 * (np.log1p(mean) + np.log1p(distances)))
    of_distances = np.log1p(distances) + np.log1p(row_distances)
    return np.asarray(ERROR_WEIGHT * np.log1p(mean) + 0.5 * (1.0 - ERROR_WEIGHT) * of_distances)


def standardise_score(score: Floats, mean: Floats, sd: Floats) -> Floats:
    """A raw score in deviations from its level on normal windows, cut to STANDARD_SCORE_RANGE."""
    least, most = STANDARD_SCORE_RANGE
    return np.asarray(np.minimum(np.maximum((score - mean) / sd, least), most))


def combine(classifier: Floats, reconstruction: Floats, classifier_weight: float) -> Floats:
    """The alarm score from the two standardised scores, so that each sees what the other misses.

    Their weighted mean, each up to VOTE_LIMIT; or, where that is more, the reconstruction less ALONE_MARGIN:
    a kind of fault that the head has never seen, and takes for normal, is found all the same.
    """
    voted = classifier_weight * np.minimum(classifier, VOTE_LIMIT)
    voted += (1.0 - classifier_weight) * np.minimum(reconstruction, VOTE_LIMIT)
    return np.maximum(voted, reconstruction - ALONE_MARGIN)


def probabilities(
    logits: NDArray[np.floating],
    reconstruction: Floats,
    combined: Floats,
    calibration: ProbabilityCalibration,
) -> Floats:
    """Calibrated probabilities (windows, classes), summing to 1.

    reconstruction, combined: (windows,), the standardised score and the alarm score; NaN gives NaN.
    The log-odds of any fault rise with the alarm score (logistic calibration: Platt 1999, Probabilistic
    Outputs for Support Vector Machines), in older models with the scores that it is made of; the head divides
    the probability of a fault among the faults by a softmax with a temperature.
    """
    odds = calibration.intercept + calibration.score_slope * combined
    if calibration.classifier_slope:
        odds += calibration.classifier_slope * classifier_score(logits)
    if calibration.reconstruction_slope:
        odds += calibration.reconstruction_slope * reconstruction
    either = 1.0 / (1.0 + np.exp(np.minimum(odds[:, None] * _EITHER, _MOST_EXPONENT)))
    if logits.shape[1] == 2:
        return np.asarray(either)
    return np.hstack([either[:, :1], either[:, 1:] * softmax(logits[:, 1:], calibration.temperature)])


def p_values(scores: Floats, normal_scores: Floats) -> Floats:
    """Conformal p-value: share of held-out normal windows that scored at least as high.

    p = (1 + #{normal >= score}) / (n + 1)  (Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a
    Random World, 2.2), so never 0. normal_scores ascending. NaN scores give NaN.
    """
    most = len(normal_scores) + 1.0
    values = (most - normal_scores.searchsorted(scores, side="left")) / most
    return np.asarray(values) if _all_finite(scores) else np.where(np.isnan(scores), np.nan, values)


def threshold(normal_scores: Floats, false_alarm_rate: float) -> float:
    """The smallest score whose p-value is at most `false_alarm_rate`; infinity when none is."""
    allowed = int(np.floor(false_alarm_rate * (len(normal_scores) + 1) + 1e-9)) - 1
    if allowed < 0:
        return float("inf")
    if allowed >= len(normal_scores):
        return float("-inf")
    return float(np.nextafter(normal_scores[len(normal_scores) - 1 - allowed], np.inf))


def _all_finite(values: Floats) -> bool:
    """False also where they are finite, but too large for their sum to be."""
    return math.isfinite(np.add.reduce(values))
