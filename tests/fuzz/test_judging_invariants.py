"""What must hold of every verdict, whatever the readings: found by search, not by example."""

import json
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import arrays

from detector import Detector, Options, Ruling, Verdict, Window
from detector.baseline import LARGEST_READING, commission
from detector.errors import BaselineRefused
from detector.quality import LEAST_OBSERVED
from detector.scores import p_values, probabilities
from detector.windows import stack
from service.http.readings import from_sensors
from tests.fuzz import amount
from tests.plant import CENTER, SCALE, normal_operation
from tests.plant import SENSORS as NAMES

STEPS, MINIMUM_STEPS, SENSORS = 12, 4, 3
EVERYTHING = Options(explain=True, reconstruct=True)
# Two batches differ in the last bits of float32.
CLOSE = 1e-4


def searched(count: int) -> Any:
    return settings(
        max_examples=amount.cases(count),
        deadline=None,
        derandomize=amount.TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# Ordinary, denormal, enormous, a billion times off, and missing.
READINGS = st.one_of(
    st.floats(-1e3, 1e3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.2e-308, 1e308, -1e308, 1.7976931348623157e308, 1e9, -4e9]),
    st.just(math.nan),
)


@st.composite
def windows(draw: st.DrawFn, readings: st.SearchStrategy[float] = READINGS) -> np.ndarray:
    """(steps, sensors): wild throughout, or normal operation of which a part is wild."""
    steps = draw(st.integers(MINIMUM_STEPS, STEPS))
    wild = draw(arrays(np.float64, (steps, SENSORS), elements=readings, fill=st.nothing()))
    if draw(st.booleans()):
        return wild
    where = draw(arrays(np.bool_, (steps, SENSORS)))
    return np.where(where, wild, normal_operation(steps, draw(st.integers(0, 50))))


def verdicts(detector: Detector, *given: np.ndarray) -> list[Verdict]:
    return detector.judge([Window(values) for values in given], EVERYTHING)


def check(verdict: Verdict) -> None:
    """Nothing that is no number, and nothing beyond its range."""
    if verdict.ruling is Ruling.CANNOT_JUDGE:
        rest = (verdict.decided_by, verdict.probabilities, verdict.reconstruction_error, verdict.p_value)
        assert rest == (None, None, None, None)
        return
    assert verdict.probabilities is not None
    assert all(0.0 <= p <= 1.0 for p in verdict.probabilities)
    assert abs(sum(verdict.probabilities) - 1.0) <= 1e-6
    assert verdict.reconstruction_error is not None
    assert 0.0 <= verdict.reconstruction_error < math.inf
    assert verdict.p_value is not None
    assert 0.0 < verdict.p_value <= 1.0
    assert verdict.contributions is not None
    assert abs(sum(item.share for item in verdict.contributions) - 1.0) <= 1e-6
    assert all(0.0 <= item.share <= 1.0 and 0.0 <= item.error < math.inf for item in verdict.contributions)
    assert verdict.expected is not None
    assert not np.isinf(verdict.expected).any()


@searched(300)
@given(values=windows())
def test_no_verdict_holds_anything_that_is_no_number(tiny_detector: Detector, values: np.ndarray) -> None:
    (verdict,) = verdicts(tiny_detector, values)
    check(verdict)


@searched(200)
@given(values=windows(), factor=st.sampled_from([1e9, -1e9, 1e-9, 1e100, 1e300]))
def test_ranges_a_billion_times_off_are_never_normal(
    tiny_detector: Detector, values: np.ndarray, factor: float
) -> None:
    ordinary = normal_operation(len(values), 3)
    with np.errstate(over="ignore"):
        off = np.clip(ordinary * factor, -1e308, 1e308)
    (verdict,) = verdicts(tiny_detector, np.where(np.isnan(values), np.nan, off))
    check(verdict)
    assert verdict.ruling is not Ruling.NORMAL


@searched(200)
@given(values=windows(), constant=READINGS.filter(math.isfinite))
def test_constant_sensors_are_never_normal(
    tiny_detector: Detector, values: np.ndarray, constant: float
) -> None:
    full = np.full((STEPS, SENSORS), constant)
    (verdict,) = verdicts(tiny_detector, np.where(np.isnan(values[:1]), CENTER, full))
    check(verdict)
    assert verdict.ruling is not Ruling.NORMAL


@searched(200)
@given(values=windows(), keep=st.integers(0, STEPS * SENSORS - 1), count=st.integers(0, 1))
def test_window_with_one_reading_or_none_cannot_be_judged(
    tiny_detector: Detector, values: np.ndarray, keep: int, count: int
) -> None:
    lone = np.full(values.shape, np.nan)
    if count:
        lone.flat[keep % lone.size] = np.nan_to_num(values.flat[keep % lone.size])
    (verdict,) = verdicts(tiny_detector, lone)
    assert verdict.ruling is Ruling.CANNOT_JUDGE


@searched(200)
@given(values=windows())
def test_window_that_is_mostly_missing_is_never_normal(tiny_detector: Detector, values: np.ndarray) -> None:
    if np.isfinite(values).mean() < LEAST_OBSERVED:
        (verdict,) = verdicts(tiny_detector, values)
        assert verdict.ruling is not Ruling.NORMAL


@searched(200)
@given(values=windows(), others=st.lists(windows(), max_size=6))
def test_other_windows_and_padding_never_change_an_answer(
    tiny_detector: Detector, values: np.ndarray, others: list[np.ndarray]
) -> None:
    (alone,) = verdicts(tiny_detector, values)
    longest = normal_operation(STEPS, 1)
    *_, among = verdicts(tiny_detector, *others, longest, values)
    same(alone, among)


def same(one: Verdict, other: Verdict) -> None:
    """But for rounding: two batches differ in the last bits."""
    if one.ruling is not other.ruling:
        # Only where the score lies on the limit itself.
        assert one.score is not None
        assert other.score is not None
        assert math.isclose(one.score, other.score, rel_tol=1e-3, abs_tol=1e-3)
        return
    assert one.quality == other.quality
    if one.probabilities is not None:
        assert other.probabilities is not None
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-3)
        np.testing.assert_allclose(
            one.reconstruction_error, other.reconstruction_error, rtol=1e-3, atol=CLOSE
        )


@searched(150)
@given(values=windows(), filler=READINGS)
def test_value_of_a_missing_or_padded_reading_is_never_used(
    tiny_detector: Detector, values: np.ndarray, filler: float
) -> None:
    batch = stack(
        [values, normal_operation(STEPS, 1)], tiny_detector.manifest.center, tiny_detector.manifest.scale
    )
    plain = tiny_detector.runtime.run(batch)
    batch.readings[~batch.observed] = np.nan_to_num(filler)
    filled = tiny_detector.runtime.run(batch)
    for name in ("standardised", "reconstruction", "logits"):
        steps = slice(None) if name == "logits" else slice(0, len(values))
        np.testing.assert_array_equal(getattr(plain, name)[0, steps], getattr(filled, name)[0, steps])


@searched(200)
@given(values=windows(), order=st.permutations(range(SENSORS)), left_out=st.integers(0, SENSORS))
def test_sensors_may_be_named_in_any_order(values: np.ndarray, order: list[int], left_out: int) -> None:
    columns = [[None if math.isnan(x) else x for x in column] for column in values.T.tolist()]
    named = {NAMES[k]: columns[k] for k in order if k != left_out}
    read = from_sensors(json.dumps(named).encode(), NAMES, STEPS, "readings")
    expected = values.copy()
    if left_out < SENSORS:
        expected[:, left_out] = np.nan
    np.testing.assert_array_equal(read, expected)


@searched(300)
@given(
    logits=arrays(np.float32, (5, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    of_each=arrays(np.float64, (2, 5), elements=st.floats(-2.0, 50.0)),
)
def test_probabilities_sum_to_one_for_any_logits(
    tiny_detector: Detector, logits: np.ndarray, of_each: np.ndarray
) -> None:
    given_ = probabilities(logits, *of_each, tiny_detector.manifest.calibration.probability)
    assert ((given_ >= 0.0) & (given_ <= 1.0)).all()
    np.testing.assert_allclose(given_.sum(axis=1), 1.0, atol=1e-6)


@searched(300)
@given(
    normal=st.lists(st.floats(-10, 10), min_size=1, max_size=50),
    scores=st.lists(st.floats(-60, 60), min_size=1, max_size=20),
)
def test_p_value_falls_as_the_score_rises_and_is_never_zero(normal: list[float], scores: list[float]) -> None:
    values = p_values(np.array(sorted(scores)), np.array(sorted(normal)))
    assert ((values > 0) & (values <= 1)).all()
    assert (np.diff(values) <= 0).all()


@searched(200)
@given(
    values=arrays(np.float64, (40, SENSORS), elements=READINGS, fill=st.nothing()),
    ordinary=st.integers(0, 40),
)
def test_baseline_is_of_numbers_or_refused(values: np.ndarray, ordinary: int) -> None:
    values[:ordinary] = normal_operation(40, 2)[:ordinary]
    try:
        baseline = commission(values, CENTER, SCALE)
    except BaselineRefused:
        return
    assert np.nanmax(np.abs(values)) <= LARGEST_READING
    for part in (baseline.center, baseline.scale, baseline.drift):
        assert np.isfinite(part).all()
    assert (baseline.scale > 0).all()


@searched(40)
@given(values=windows(), seed=st.integers(0, 20), off=st.sampled_from([1e9, 1e30, 1e100]))
def test_asset_is_judged_in_numbers_by_whatever_baseline_it_was_given(
    tiny_detector: Detector, values: np.ndarray, seed: int, off: float
) -> None:
    baseline = tiny_detector.commission(normal_operation(60, seed) * off)
    (verdict,) = tiny_detector.judge([Window(values, baseline)], EVERYTHING)
    check(verdict)
    (usual,) = tiny_detector.judge([Window(normal_operation(STEPS, seed), baseline)], EVERYTHING)
    assert usual.ruling is not Ruling.NORMAL
