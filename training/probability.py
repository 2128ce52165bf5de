"""From scores to probabilities: what is fitted on windows with and without faults."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from detector.baseline import Baseline
from detector.detector import Detector, Window, in_batches
from detector.manifest import ProbabilityCalibration
from detector.windows import Bools, Floats
from training.dataset import NORMAL
from training.held_out import HeldOut
from training.sampling import inject

# A share of faults beyond these is nothing to build probabilities on.
LEAST_PRIOR = 0.01
# Keeps the slope finite where the calibration windows happen to be separable.
RIDGE = 1e-4
# Enough windows of one network.
MOST_CASES = 6000


@dataclass(frozen=True, slots=True)
class Cases:
    """Windows with and without faults, as the probabilities are fitted on them.

    logits: (windows, classes). score: (windows,), the alarm score. klass: (windows,). recording: (windows,),
    number of the one that each is from.
    recorded: whether the faults are; else they are injected. labelled, faulty: as in HeldOut.
    """

    logits: Floats
    score: Floats
    klass: NDArray[np.int64]
    recording: NDArray[np.int64]
    recorded: bool
    labelled: int
    faulty: int


def gather(
    detector: Detector, cuts: Sequence[HeldOut], fault_size: tuple[float, float], rng: np.random.Generator
) -> Cases:
    """Recorded faults at the share in which they occur, else one injected fault for each normal window."""
    recorded = any((cut.state > NORMAL).any() for cut in cuts)
    injected = None if recorded else fault_size
    # Drawn twice, so that windows that are not picked need not be kept.
    again = deepcopy(rng)
    told = np.array([(klass, number) for _, klass, number in _cases(detector, cuts, injected, rng)])
    picked = rng.permutation(len(told))[:MOST_CASES].tolist()
    wanted = set(picked)
    windows = {
        index: window
        for index, (window, _, _) in enumerate(_cases(detector, cuts, injected, again))
        if index in wanted
    }
    scores = [detector.score(part) for part in in_batches([windows[index] for index in picked])]
    return Cases(
        np.concatenate([part.outputs.logits for part in scores]).astype(np.float64),
        np.concatenate([part.combined for part in scores]),
        told[picked, 0],
        told[picked, 1],
        recorded,
        sum(cut.labelled for cut in cuts),
        sum(cut.faulty for cut in cuts),
    )


def _cases(
    detector: Detector,
    cuts: Sequence[HeldOut],
    fault_size: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Iterator[tuple[Window, int, int]]:
    """Windows, their classes and the number of their recording; behind each one a copy with a fault of this
    size, if one is given."""
    for number, cut in enumerate(cuts):
        for values, state in zip(cut.windows, cut.state.tolist(), strict=True):
            yield Window(values, cut.baseline), max(state, NORMAL), number
            if fault_size is not None:
                faulty = _with_fault(detector, values, cut.baseline, fault_size, rng)
                yield Window(faulty, cut.baseline), len(detector.manifest.classes) - 1, number


def fit_probabilities(cases: Sequence[Cases]) -> ProbabilityCalibration:
    """Log-odds and temperature that minimise the log loss.

    Windows weigh so that faults have the share that they have of the labelled rows in the recordings: which
    windows are cut, and how many, is no sign of it. Injected faults have half. Among windows with faults, and
    among those without, every recording counts alike, as in the tables of normal scores: a long one that
    never settles is one recording.
    """
    # Injected faults stand in for recorded ones only where there are none at all.
    recorded = any(case.recorded for case in cases)
    cases = [case for case in cases if case.recorded == recorded]
    logits = np.concatenate([case.logits for case in cases])
    score = np.concatenate([case.score for case in cases])
    truth = np.concatenate([case.klass for case in cases])
    faulty = truth != NORMAL
    prior = float(faulty.mean())
    if recorded:
        prior = sum(case.faulty for case in cases) / max(sum(case.labelled for case in cases), 1)
        prior = min(max(prior, LEAST_PRIOR), 1.0 - LEAST_PRIOR)
    weights = np.concatenate([_alike(case) for case in cases])
    if faulty.all() or not faulty.any():
        weights *= len(truth) / weights.sum()
    else:
        for which, share in ((faulty, prior), (~faulty, 1.0 - prior)):
            weights[which] *= share * len(truth) / weights[which].sum()
    intercept, slope = log_odds(score, faulty, weights)
    return ProbabilityCalibration(
        intercept=intercept,
        classifier_slope=0.0,
        reconstruction_slope=0.0,
        temperature=faults_temperature(logits[faulty, 1:], truth[faulty] - 1),
        faults="recorded" if recorded else "injected",
        prior=prior,
        score_slope=slope,
    )


def _alike(case: Cases) -> Floats:
    """Weights (windows,) by which every recording counts alike among windows with faults, and without."""
    groups = np.stack([case.recording, case.klass != NORMAL])
    _, which, count = np.unique(groups, axis=1, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[which.reshape(-1)])


def log_odds(score: Floats, faulty: Bools, weights: Floats | float = 1.0) -> tuple[float, float]:
    """Intercept and slope (>= 0) of a logistic regression on the score, (windows,).

    weights: (windows,), of mean 1."""
    sign = np.where(faulty, 1.0, -1.0)

    def loss(line: Floats) -> tuple[float, Floats]:
        intercept, slope = line
        margin = sign * (intercept + slope * score)
        pull = -weights * sign / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        gradient = np.array([pull.mean(), (score * pull).mean() + 2.0 * RIDGE * slope])
        return float((weights * np.logaddexp(0.0, -margin)).mean() + RIDGE * slope**2), gradient

    bounds = [(None, None), (0.0, None)]
    best = minimize(loss, np.array([0.0, 0.5]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(best[0]), float(best[1])


def faults_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Temperature of the softmax among faults, from windows with faults; 1 where there is one kind alone."""
    if logits.shape[1] < 2 or len(truth) == 0:
        return 1.0

    def log_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        peak = scaled.max(axis=1, keepdims=True)
        log_sum = peak[:, 0] + np.log(np.exp(scaled - peak).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(truth)), truth]).mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def _with_fault(
    detector: Detector,
    values: Floats,
    baseline: Baseline | None,
    size: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """A window in engineering units with one random fault put into it, in the asset's own deviations."""
    center = detector.manifest.center if baseline is None else baseline.center
    scale = detector.manifest.scale if baseline is None else baseline.scale
    standardised = ((values - center) / scale).astype(np.float32)
    observed = np.isfinite(standardised)
    judged = np.array([sensor.scored for sensor in detector.manifest.sensors])
    if baseline is not None:
        judged &= ~baseline.left_out
    standardised[~observed] = 0.0
    inject(standardised, observed & judged, size, rng)
    return np.where(observed, standardised * scale + center, np.nan)
