"""Probabilities and tables of normal scores, from windows whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from detector.scores import softmax
from training.probability import LEAST_PRIOR, Cases, faults_temperature, fit_probabilities, log_odds


def windows(intercept: float, slope: float, count: int = 60_000):
    """The score of each window, and whether it holds a fault: drawn with these log-odds."""
    rng = np.random.default_rng(0)
    score = rng.normal(0.0, 2.0, count)
    odds = intercept + slope * score
    return score, rng.random(count) < 1.0 / (1.0 + np.exp(-odds))


@pytest.mark.parametrize(
    ("intercept", "slope"),
    [(0.0, 1.0), (-2.0, 1.5), (1.0, 0.0)],
    ids=["as-many", "rare-faults", "score-knows-nothing"],
)
def test_log_odds_that_faults_were_drawn_with_are_found_again(intercept, slope):
    assert log_odds(*windows(intercept, slope)) == pytest.approx((intercept, slope), abs=0.06)


def test_a_score_that_points_the_wrong_way_is_not_believed():
    intercept, slope = log_odds(*windows(0.0, -1.0))
    assert slope == 0.0
    assert np.isfinite(intercept)


def test_windows_that_a_score_divides_wholly_still_give_finite_log_odds():
    score = np.linspace(-5, 5, 200)
    found = log_odds(score, score > 0)
    assert np.isfinite(found).all()
    assert found[1] > 1


@pytest.mark.parametrize("kind", [False, True], ids=["no-faults", "faults-alone"])
def test_windows_of_one_kind_alone_give_finite_log_odds(kind):
    score, _ = windows(0.0, 1.0, count=500)
    assert np.isfinite(log_odds(score, np.full(500, kind))).all()


def test_calibrated_probabilities_come_true():
    score, faulty = windows(-1.0, 1.0)
    intercept, slope = log_odds(score, faulty)
    promised = 1.0 / (1.0 + np.exp(-(intercept + slope * score)))
    for low in np.arange(0.0, 1.0, 0.1):
        among = (promised >= low) & (promised < low + 0.1)
        assert faulty[among].mean() == pytest.approx(promised[among].mean(), abs=0.03)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temperature_that_kinds_of_fault_were_drawn_with_is_found_again(temperature):
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 2.0, (20_000, 3))
    chance = softmax(logits, temperature)
    truth = (rng.random((20_000, 1)) > np.cumsum(chance, axis=1)).sum(axis=1).clip(0, 2)
    assert faults_temperature(logits, truth) == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("shape", [(50, 1), (0, 3)], ids=["one-kind", "no-faults"])
def test_where_kinds_cannot_be_told_apart_the_temperature_is_one(shape):
    assert faults_temperature(np.zeros(shape), np.zeros(shape[0], np.int64)) == 1.0


def cases(intercept: float, *, recorded: bool = True, labelled: int = 1000, faulty: int = 400) -> Cases:
    """Windows of two classes; of the rows that they were cut from, so many are labelled and faulty."""
    score, kinds = windows(intercept, 1.0, count=20_000)
    logits = np.stack([np.zeros(len(score)), score], axis=1)
    recording = np.arange(len(score)) % 20
    return Cases(logits, score, kinds.astype(np.int64), recording, recorded, labelled, faulty)


def test_probabilities_assume_the_share_of_faults_among_labelled_rows():
    whole = cases(0.0)
    as_drawn = fit_probabilities([replace(whole, faulty=round(1000 * whole.klass.mean()))])
    rarer = fit_probabilities([replace(whole, faulty=100)])
    assert as_drawn.prior == pytest.approx(whole.klass.mean(), abs=1e-3)
    assert rarer.prior == 0.1
    # Odds fall as the odds of a fault do; what a score says does not change (Bayes' rule).
    fall = np.log(0.1 / 0.9) - np.log(as_drawn.prior / (1 - as_drawn.prior))
    assert rarer.intercept - as_drawn.intercept == pytest.approx(fall, abs=0.15)
    assert rarer.score_slope == pytest.approx(as_drawn.score_slope, rel=0.1)


def test_recorded_faults_alone_count_where_there_are_any():
    recorded, injected = cases(-1.0), cases(2.0, recorded=False, faulty=0)
    assert fit_probabilities([injected, recorded]) == fit_probabilities([recorded])
    alone = fit_probabilities([injected])
    assert alone.faults == "injected"
    assert alone.prior == pytest.approx(injected.klass.mean())


def test_a_long_recording_that_never_settles_is_one_among_many():
    """Its windows are labelled normal, score like faults, and are as many as those of all others."""
    others = cases(-1.0)
    restless = np.full(len(others.score), 8.0)
    both = replace(
        others,
        logits=np.tile(others.logits, (2, 1)),
        score=np.concatenate([others.score, restless]),
        klass=np.concatenate([others.klass, np.zeros(len(restless), np.int64)]),
        recording=np.concatenate([others.recording, np.full(len(restless), 20)]),
    )
    alone, with_it = fit_probabilities([others]).score_slope, fit_probabilities([both]).score_slope
    # Were its windows to count as many as they are, scores would say next to nothing.
    faulty = both.klass > 0
    weights = np.where(faulty, 0.4 / faulty.mean(), 0.6 / (1 - faulty.mean()))
    _, by_windows = log_odds(both.score, faulty, weights)
    assert alone > with_it > 0.4 * alone > 4 * by_windows


@pytest.mark.parametrize(("faulty", "prior"), [(0, LEAST_PRIOR), (1000, 1 - LEAST_PRIOR)])
def test_no_share_of_faults_makes_certainties(faulty, prior):
    found = fit_probabilities([replace(cases(0.0), faulty=faulty)])
    assert found.prior == pytest.approx(prior)
    assert np.isfinite([found.intercept, found.score_slope]).all()


def test_a_trained_model_has_a_calibration_that_separates(tiny_detector):
    calibration = tiny_detector.manifest.calibration
    probability = calibration.probability
    assert probability.faults == "recorded"
    assert 0.02 < probability.prior < 0.5
    assert probability.score_slope > 0
    assert calibration.classifier_weight == pytest.approx(3 / 4, abs=0.001)
    for by_asset in (False, True):
        scores = calibration.normal_operation(by_asset).scores
        assert scores == sorted(scores)
        assert np.median(scores) == pytest.approx(0.0, abs=0.6)
