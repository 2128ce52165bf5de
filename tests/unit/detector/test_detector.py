"""A loaded model: what must hold whatever the readings."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from detector import DecidedBy, Detector, Options, Ruling, Window
from detector.errors import BaselineRefused, UnsupportedBudget
from detector.quality import Issue
from detector.windows import Batch
from tests.plant import CENTER, SCALE, normal_operation


def outputs(detector: Detector, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    scores = detector.score([Window(window) for window in windows])
    return scores.probabilities, scores.error


@pytest.mark.parametrize("filler", [0.0, 1e300, -1e300, np.nan, np.inf, 123.4], ids=str)
def test_the_value_of_a_missing_reading_has_no_influence(tiny_detector, filler):
    window = normal_operation(12, 7)
    holes = np.random.default_rng(1).random(window.shape) < 0.3
    windows = [Window(np.where(holes, np.nan, window))]
    reference, one = tiny_detector.run(windows)
    readings = reference.readings.copy()
    readings[~reference.observed] = filler
    filled = Batch(readings, reference.observed, reference.lengths, reference.center, reference.scale)
    other = tiny_detector.runtime.run(filled)
    assert np.abs(one.logits - other.logits).max() < 1e-6
    assert np.abs(one.reconstruction - other.reconstruction).max() < 1e-6
    assert np.abs(one.standardised - other.standardised).max() < 1e-6
    clean, dirty = (
        tiny_detector.interpret(windows, batch, outputs)
        for batch, outputs in ((reference, one), (filled, other))
    )
    assert dirty.combined[0] == pytest.approx(clean.combined[0], abs=1e-6)
    assert tiny_detector.evidence(dirty, [0]) == pytest.approx(tiny_detector.evidence(clean, [0]), rel=1e-5)


@pytest.mark.parametrize("padding", [0.0, 1e300, np.nan], ids=str)
def test_the_value_of_padding_has_no_influence(tiny_detector, padding):
    batch = tiny_detector._stack([Window(normal_operation(12, 1)), Window(normal_operation(5, 2))])
    readings = batch.readings.copy()
    readings[1, 5:] = padding
    padded = Batch(readings, batch.observed, batch.lengths, batch.center, batch.scale)
    one, other = tiny_detector.runtime.run(batch), tiny_detector.runtime.run(padded)
    assert np.abs(one.logits - other.logits).max() < 1e-6
    assert np.abs(one.reconstruction[1, :5] - other.reconstruction[1, :5]).max() < 1e-6


def test_a_window_answers_the_same_alone_and_padded_in_a_batch(tiny_detector):
    windows = [normal_operation(length, length) for length in range(4, 13)]
    together = outputs(tiny_detector, windows)
    for index, window in enumerate(windows):
        alone = outputs(tiny_detector, [window])
        assert np.abs(alone[0][0] - together[0][index]).max() < 1e-6
        assert alone[1][0] == pytest.approx(together[1][index], abs=1e-6)


@pytest.mark.parametrize(
    "cut",
    [
        lambda window, _: window[-4:],
        lambda window, rng: np.where(rng.random(window.shape) < 0.5, np.nan, window),
    ],
    ids=["a-third-of-the-steps", "half-of-the-readings"],
)
def test_windows_that_hold_less_exceed_a_budget_hardly_more_often(tiny_detector, cut):
    rng = np.random.default_rng(0)
    windows = [Window(cut(normal_operation(12, 100 + seed), rng)) for seed in range(600)]
    alarms = [
        verdict.ruling is Ruling.ANOMALOUS
        for verdict in tiny_detector.judge(windows, Options(false_alarm_rate=0.1))
    ]
    assert np.mean(alarms) < 1.6 * 0.1


@pytest.mark.parametrize(
    "readings",
    [
        np.full((12, 3), 1e300),
        np.full((12, 3), -1e308),
        np.full((12, 3), 5e-324),
        CENTER + SCALE * 1e9,
        np.tile([1e300, 0.0, -1e300], (12, 1)),
    ],
    ids=["huge", "hugely-negative", "denormal", "a-billion-deviations", "mixed-extremes"],
)
def test_extreme_readings_give_finite_answers_and_no_false_normal(tiny_detector, readings):
    readings = np.broadcast_to(readings, (12, 3)).astype(np.float64)
    # Alternate in the last digits, so that the sensors count as alive.
    readings = readings * np.where(np.arange(12) % 2, 1.0, 0.9)[:, None]
    verdict = tiny_detector.judge([Window(readings)], Options(explain=True))[0]
    assert verdict.ruling is not Ruling.NORMAL
    if verdict.probabilities is not None:
        assert np.isfinite(verdict.probabilities).all()
        assert abs(sum(verdict.probabilities) - 1) < 1e-6
        assert np.isfinite(verdict.reconstruction_error)
        assert np.isfinite([c.share for c in verdict.contributions]).all()


@pytest.mark.parametrize(
    "window",
    [
        np.full((12, 3), np.nan),
        np.where(np.arange(36).reshape(12, 3) == 35, 4.0, np.nan),
        np.where(np.arange(3) == 0, normal_operation(12, 3), np.nan),
        np.tile(CENTER, (12, 1)),
    ],
    ids=["nothing-observed", "one-reading", "one-sensor-of-three", "all-frozen"],
)
def test_dead_inputs_are_never_called_normal(tiny_detector, window):
    verdict = tiny_detector.judge([Window(window)])[0]
    assert verdict.ruling is Ruling.CANNOT_JUDGE
    assert verdict.probabilities is None
    assert verdict.p_value is None
    assert not verdict.quality.judgeable


@pytest.mark.parametrize(
    ("deviations", "ruling"),
    [(0.0, Ruling.CANNOT_JUDGE), (15.0, Ruling.ANOMALOUS)],
    ids=["calm", "far-off"],
)
def test_with_most_sensors_frozen_only_an_alarm_is_a_verdict(tiny_detector, deviations, ruling):
    window = normal_operation(12, 5)
    window[:, :2] = CENTER[:2]
    window[:, 2] += deviations * SCALE[2]
    verdict = tiny_detector.judge([Window(window)])[0]
    assert verdict.ruling is ruling
    assert {issue.sensor for issue in verdict.quality.issues if issue.issue == "flatline"} == {
        "Pressure",
        "Flow",
    }


def test_normal_operation_is_mostly_called_normal(tiny_detector):
    series = normal_operation(600, 1234)
    windows = [Window(series[end - 12 : end]) for end in range(12, 600)]
    rulings = [verdict.ruling for verdict in tiny_detector.judge(windows)]
    assert np.mean([ruling is Ruling.NORMAL for ruling in rulings]) > 0.9


@pytest.mark.parametrize("sensor", [0, 1, 2], ids=["Pressure", "Flow", "Temperature"])
def test_a_shifted_sensor_is_anomalous_and_blamed_first(tiny_detector, sensor):
    series = normal_operation(200, 77)
    series[:, sensor] += 6 * SCALE[sensor]
    windows = [Window(series[end - 12 : end]) for end in range(12, 200)]
    verdicts = tiny_detector.judge(windows, Options(explain=True))
    assert np.mean([verdict.ruling is Ruling.ANOMALOUS for verdict in verdicts]) > 0.95
    blamed = [verdict.contributions[0].sensor == tiny_detector.sensors[sensor] for verdict in verdicts]
    assert np.mean(blamed) > 0.8
    assert sum(c.share for c in verdicts[0].contributions) == pytest.approx(1.0)


def test_expected_readings_come_in_engineering_units(tiny_detector):
    window = normal_operation(12, 5)
    verdict = tiny_detector.judge([Window(window)], Options(reconstruct=True))[0]
    assert verdict.expected.shape == (12, 3)
    assert (np.abs(verdict.expected - window) < 5 * SCALE).all()


def test_another_operating_point_is_normal_once_its_asset_is_commissioned(tiny_detector):
    moved = normal_operation(700, 9) + 12 * SCALE
    baseline = tiny_detector.commission(moved[:400])
    windows = [moved[end - 12 : end] for end in range(412, 700)]
    without = tiny_detector.judge([Window(w) for w in windows])
    commissioned = tiny_detector.judge([Window(w, baseline) for w in windows])
    assert np.mean([v.ruling is Ruling.ANOMALOUS for v in without]) > 0.95
    assert np.mean([v.ruling is Ruling.NORMAL for v in commissioned]) > 0.85
    assert commissioned[0].by_asset_baseline
    assert not without[0].by_asset_baseline


def test_a_fault_on_a_commissioned_asset_is_still_found(tiny_detector):
    moved = normal_operation(700, 9) + 12 * SCALE
    baseline = tiny_detector.commission(moved[:400])
    moved[500:, 1] += 6 * SCALE[1]
    verdicts = tiny_detector.judge([Window(moved[end - 12 : end], baseline) for end in range(512, 700)])
    assert np.mean([v.ruling is Ruling.ANOMALOUS for v in verdicts]) > 0.95


def test_windows_of_different_baselines_do_not_disturb_each_other(tiny_detector):
    moved = normal_operation(500, 9) + 12 * SCALE
    baseline = tiny_detector.commission(moved[:400])
    mixed = [Window(normal_operation(12, 3)), Window(moved[420:432], baseline)]
    together = tiny_detector.score(mixed)
    for index, window in enumerate(mixed):
        alone = tiny_detector.score([window])
        assert alone.combined[0] == pytest.approx(together.combined[index], abs=1e-5)
        assert alone.p_value[0] == together.p_value[index]


def test_a_baseline_of_too_few_rows_is_refused(tiny_detector):
    with pytest.raises(BaselineRefused, match="expected at least"):
        tiny_detector.commission(normal_operation(20, 0))


def test_a_baseline_without_a_full_window_between_gaps_is_refused(tiny_detector):
    rows = normal_operation(60, 0)
    timestamps = np.arange(60.0) + 100 * (np.arange(60) // 6)
    with pytest.raises(BaselineRefused, match="consecutive rows"):
        tiny_detector.commission(rows, timestamps)


def test_a_budget_that_the_calibration_cannot_promise_is_refused(tiny_detector):
    smallest = tiny_detector.manifest.calibration.model_baseline.smallest_false_alarm_rate
    with pytest.raises(UnsupportedBudget) as caught:
        tiny_detector.judge([Window(normal_operation(12, 0))], Options(false_alarm_rate=smallest / 2))
    assert caught.value.smallest == smallest


def test_a_larger_budget_never_turns_an_alarm_into_normal(tiny_detector):
    series = normal_operation(300, 5)
    windows = [Window(series[end - 12 : end]) for end in range(12, 300)]
    tight = tiny_detector.judge(windows, Options(false_alarm_rate=0.05))
    loose = tiny_detector.judge(windows, Options(false_alarm_rate=0.3))
    for one, other in zip(tight, loose, strict=True):
        assert one.ruling is not Ruling.ANOMALOUS or other.ruling is Ruling.ANOMALOUS
    assert sum(v.ruling is Ruling.ANOMALOUS for v in loose) > sum(v.ruling is Ruling.ANOMALOUS for v in tight)


def test_evidence_of_a_window_is_the_same_alone_and_among_others(tiny_detector):
    windows = [Window(normal_operation(length, length)) for length in range(4, 13)]
    scores = tiny_detector.score(windows)
    together = tiny_detector.evidence(scores, range(len(windows)))
    assert tiny_detector.evidence(scores, [5, 2]) == pytest.approx(together[[5, 2]])
    for index, window in enumerate(windows):
        alone = tiny_detector.evidence(tiny_detector.score([window]), [0])
        assert alone[0] == pytest.approx(together[index], rel=1e-3)


def test_sensors_that_part_from_each_other_are_anomalous_though_each_is_in_range(tiny_detector):
    """Pressure and Flow move together; here one stands high and the other low."""
    together, apart = normal_operation(400, 31), normal_operation(400, 31)
    together[:, :2] += SCALE[:2] * [1.5, 1.5]
    apart[:, :2] += SCALE[:2] * [1.5, -1.5]
    alarms = []
    for series in (together, apart):
        verdicts = tiny_detector.judge([Window(series[end - 12 : end]) for end in range(12, 400)])
        assert not any(issue.issue == "out_of_range" for v in verdicts for issue in v.quality.issues)
        alarms.append(np.mean([v.ruling is Ruling.ANOMALOUS for v in verdicts]))
    assert alarms[1] > 0.9
    assert alarms[0] < 0.6 * alarms[1]


def frozen(seed: int, steps: int = 9) -> Window:
    """Normal operation in which Flow repeats an ordinary reading at the end."""
    window = normal_operation(12, seed)
    window[-steps:, 1] = CENTER[1]
    return Window(window)


def test_a_frozen_sensor_at_a_normal_level_is_anomalous_whatever_the_scores_say(tiny_detector):
    windows = [frozen(seed) for seed in range(60)]
    smallest = Options(
        explain=True,
        false_alarm_rate=tiny_detector.manifest.calibration.model_baseline.smallest_false_alarm_rate,
    )
    limit = tiny_detector.score_limit(smallest.false_alarm_rate)
    verdicts = tiny_detector.judge(windows, smallest)
    assert all(verdict.ruling is Ruling.ANOMALOUS for verdict in verdicts)
    by_rule = [verdict for verdict in verdicts if verdict.decided_by is DecidedBy.STUCK_SENSOR]
    assert by_rule
    for verdict in verdicts:
        assert (verdict in by_rule) == (verdict.score < limit)
        assert Issue("Flow", "flatline") in verdict.quality.issues
        assert sum(item.share for item in verdict.contributions) == pytest.approx(1.0)
    # Where it decides, it is the frozen sensor that is blamed.
    first = [verdict.contributions[0].sensor for verdict in by_rule]
    assert np.mean([sensor == "Flow" for sensor in first]) > 0.7


def test_a_sensor_that_moves_is_not_stuck(tiny_detector):
    verdicts = tiny_detector.judge([Window(normal_operation(12, seed)) for seed in range(60)])
    assert not any(verdict.quality.stuck for verdict in verdicts)
    assert not any(verdict.decided_by is DecidedBy.STUCK_SENSOR for verdict in verdicts)


def test_a_frozen_sensor_that_is_left_out_decides_nothing(tiny_detector):
    series = normal_operation(700, 9)
    series[:400, 1] += np.linspace(0, 60, 400) * SCALE[1]
    baseline = tiny_detector.commission(series[:400])
    assert baseline.left_out.tolist() == [False, True, False]
    window = series[500:512].copy()
    window[:, 1] = window[0, 1]
    (verdict,) = tiny_detector.judge([Window(window, baseline)])
    assert not verdict.quality.stuck
    assert verdict.decided_by is not DecidedBy.STUCK_SENSOR


def test_a_sensor_that_was_always_flat_in_training_is_not_stuck(tiny_detector):
    """As a set point is, that nobody touched while the training data was recorded."""
    manifest = tiny_detector.manifest
    pressure, flow, temperature = manifest.sensors
    flow = msgspec.structs.replace(flow, noise=0.0, longest_flat=700)
    manifest = msgspec.structs.replace(manifest, sensors=[pressure, flow, temperature])
    artefact = replace(tiny_detector.artefact, manifest=manifest)
    detector = Detector(artefact, tiny_detector.runtime, tiny_detector.operation)
    options = Options(false_alarm_rate=manifest.calibration.model_baseline.smallest_false_alarm_rate)
    for window in map(frozen, range(60)):
        (verdict,) = detector.judge([window], options)
        (before,) = tiny_detector.judge([window], options)
        assert before.quality.stuck
        assert not verdict.quality.stuck
        assert verdict.score == before.score
        assert (verdict.ruling is Ruling.NORMAL) == (before.decided_by is DecidedBy.STUCK_SENSOR)


def test_the_budget_decides_which_score_is_said_to_have_carried_it(tiny_detector):
    series = normal_operation(200, 77)
    series[:, 0] += np.linspace(0, 8, 200) * SCALE[0]
    windows = [Window(series[end - 12 : end]) for end in range(12, 200)]
    limit = tiny_detector.score_limit()
    scores = tiny_detector.score(windows)
    for index, verdict in enumerate(tiny_detector.judge(windows)):
        above = scores.classifier[index] >= limit, scores.reconstruction[index] >= limit
        expected = {(True, False): DecidedBy.CLASSIFIER, (False, True): DecidedBy.RECONSTRUCTION}
        assert verdict.decided_by is expected.get(above, DecidedBy.BOTH)
