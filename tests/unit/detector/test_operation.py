"""Distance from normal operation, and the evidence against each sensor: what must hold for any covariance."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import Detector, ModelStore, inverses
from detector.errors import ArtefactRefused
from detector.operation import DEVIATION_LIMIT, OPERATION_FILE, Operation
from detector.statistics import WindowStatistics
from tests.operations import MINIMUM_STEPS, STEPS, any_operation

seeds = st.integers(0, 2**32 - 1)
OF_ROWS = ("row_covariance", "disagreement", "disagreement_sd")
BY_SENSOR = ("level", "scatter", "scatter_sd", "roughness", "roughness_sd", "log_error", "log_error_sd")
NAMES = ("steps", "minimum_steps", "covariance", "short_covariance", *BY_SENSOR)


def saved(folder: Path, operation: Operation) -> dict[str, np.ndarray]:
    """The arrays of the file that `save` writes."""
    operation.save(folder / OPERATION_FILE)
    with np.load(folder / OPERATION_FILE) as file:
        return dict(file)


def any_windows(rng: np.random.Generator, windows: int, sensors: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Levels, some of them missing, and lengths."""
    level = rng.normal(0, 3, (windows, sensors))
    level[rng.random(level.shape) < 0.3] = np.nan
    return level, rng.integers(1, STEPS + 1, windows).astype(np.int32)


def statistics(level: np.ndarray, rng: np.random.Generator) -> WindowStatistics:
    spread = [np.where(np.isfinite(level), rng.normal(0, 2, level.shape), np.nan) for _ in range(2)]
    return WindowStatistics(level, *spread)


def only_the_level(operation: Operation, level: np.ndarray) -> tuple[object, ...]:
    """Full windows in which everything but the level is as always, as `evidence` takes them."""
    usual = WindowStatistics(
        level,
        np.broadcast_to(operation.scatter, level.shape),
        np.broadcast_to(operation.roughness, level.shape),
    )
    lengths = np.full(len(level), STEPS, np.int32)
    return usual, np.zeros(level.shape), lengths, np.broadcast_to(operation.rows.disagreement, level.shape)


@given(seeds)
def test_distance_is_that_of_a_direct_inverse_with_unseen_sensors_marginalised(seed):
    rng = np.random.default_rng(seed)
    operation = any_operation(rng)
    level, _ = any_windows(rng, 12)
    found = operation.distances(level, np.full(12, STEPS, np.int32))
    for row, distance in zip(level, found, strict=True):
        seen = np.isfinite(row)
        away = (row - operation.level)[seen]
        inverse = np.linalg.inv(operation.covariance[seen][:, seen])
        expected = away @ inverse @ away / seen.sum() if seen.any() else np.nan
        assert distance == pytest.approx(expected, rel=1e-6, nan_ok=True)


@given(seeds)
def test_a_window_is_as_far_alone_as_among_others(seed):
    rng = np.random.default_rng(seed)
    operation = any_operation(rng)
    level, lengths = any_windows(rng, 9)
    together = operation.distances(level, lengths)
    alone = [float(operation.distances(level[i : i + 1], lengths[i : i + 1])[0]) for i in range(9)]
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_normal_operation_is_about_one_away_whatever_is_missing():
    rng = np.random.default_rng(0)
    operation = any_operation(rng)
    level = rng.multivariate_normal(operation.level, operation.covariance, 4000)
    level[rng.random(level.shape) < 0.3] = np.nan
    level = level[np.isfinite(level).any(axis=1)]
    distances = operation.distances(level, np.full(len(level), STEPS, np.int32))
    assert distances.mean() == pytest.approx(1.0, abs=0.1)


def test_correlated_sensors_that_move_against_each_other_are_far_though_each_is_in_range():
    operation = replace(
        any_operation(np.random.default_rng(0), 2),
        level=np.zeros(2),
        covariance=np.array([[1.0, 0.95], [0.95, 1.0]]),
    )
    with_each_other, against_each_other = operation.distances(
        np.array([[1.5, 1.5], [1.5, -1.5]]), np.full(2, STEPS, np.int32)
    )
    assert with_each_other < 2
    assert against_each_other > 20 * with_each_other


def test_nothing_observed_has_no_distance_and_no_evidence():
    operation = any_operation(np.random.default_rng(0))
    level = np.full((2, 4), np.nan)
    level[1] = operation.level
    lengths = np.full(2, STEPS, np.int32)
    assert np.isnan(operation.distances(level, lengths)).tolist() == [True, False]
    evidence = operation.evidence(WindowStatistics(level, level, level), level, lengths, level)
    assert np.isnan(evidence).all(axis=1).tolist() == [True, False]


@given(seeds)
def test_between_two_lengths_the_distance_lies_between_theirs(seed):
    rng = np.random.default_rng(seed)
    operation = any_operation(rng)
    level = np.tile(operation.level + rng.normal(0, 3, 4), (STEPS - MINIMUM_STEPS + 1, 1))
    lengths = np.arange(MINIMUM_STEPS, STEPS + 1, dtype=np.int32)
    distances = operation.distances(level, lengths)
    # Positive definite throughout: only the level itself has no distance from normal operation.
    assert (distances > 0).all()
    # Short windows scatter more, so that the same level says less of them.
    assert (np.diff(distances) >= -1e-9 * distances[1:]).all()


@pytest.mark.parametrize(("length", "as_of"), [(1, MINIMUM_STEPS), (2, MINIMUM_STEPS), (90, STEPS)])
def test_windows_beyond_the_measured_lengths_count_as_the_nearest(length, as_of):
    operation = any_operation(np.random.default_rng(1))
    level = np.ones((1, 4))
    one, other = (operation.distances(level, np.array([n], np.int32)) for n in (length, as_of))
    assert one == pytest.approx(other)


def test_a_model_of_one_length_has_one_covariance():
    operation = replace(any_operation(np.random.default_rng(1)), minimum_steps=STEPS)
    level = np.ones((2, 4))
    short, full = operation.distances(level, np.array([3, STEPS], np.int32))
    assert short == full
    assert full == pytest.approx(
        replace(operation, minimum_steps=MINIMUM_STEPS).distances(level[1:], np.array([STEPS], np.int32))[0]
    )


@given(seeds)
def test_sensors_in_another_order_have_the_same_evidence_in_that_order(seed):
    rng = np.random.default_rng(seed)
    operation = any_operation(rng)
    level, lengths = any_windows(rng, 6)
    told, errors = statistics(level, rng), np.where(np.isfinite(level), rng.exponential(3, (6, 4)), np.nan)
    order = rng.permutation(4)
    reordered = replace(
        operation,
        **{name: getattr(operation, name)[order] for name in BY_SENSOR},
        covariance=operation.covariance[np.ix_(order, order)],
        short_covariance=operation.short_covariance[np.ix_(order, order)],
        rows=replace(
            operation.rows,
            disagreement=operation.rows.disagreement[order],
            disagreement_sd=operation.rows.disagreement_sd[order],
        ),
    )
    moved = WindowStatistics(told.level[:, order], told.scatter[:, order], told.roughness[:, order])
    disagreements = rng.normal(0, 5, (6, 4))
    np.testing.assert_allclose(
        reordered.evidence(moved, errors[:, order], lengths, disagreements[:, order]),
        operation.evidence(told, errors, lengths, disagreements)[:, order],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        reordered.distances(level[:, order], lengths), operation.distances(level, lengths), rtol=1e-6
    )


@given(seeds)
def test_evidence_of_a_level_is_what_the_distance_loses_without_its_sensor(seed):
    rng = np.random.default_rng(seed)
    operation = any_operation(rng)
    level = operation.level + rng.normal(0, 3, (1, 4))
    lengths = np.array([STEPS], np.int32)
    evidence = operation.evidence(*only_the_level(operation, level))[0]
    whole = 4 * operation.distances(level, lengths)[0]
    for sensor in range(4):
        without = level.copy()
        without[0, sensor] = np.nan
        rest = 3 * operation.distances(without, lengths)[0]
        assert evidence[sensor] == pytest.approx(whole - rest, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        ({"scatter": 3.0}, True),
        ({"scatter": -3.0}, True),
        ({"roughness": 3.0}, True),
        ({"roughness": -3.0}, True),
        ({"error": 3.0}, True),
        ({"error": -3.0}, False),
        ({"disagreement": 3.0}, True),
        ({"disagreement": -3.0}, False),
    ],
    ids=[
        "restless",
        "calm",
        "rough",
        "stuck",
        "badly-reconstructed",
        "well-reconstructed",
        "alone-with-what-it-says",
        "as-the-others-say",
    ],
)
def test_each_kind_of_strangeness_is_evidence_against_its_own_sensor(change, grows):
    operation = any_operation(np.random.default_rng(2))
    shape, sensor = (1, 4), 2

    def moved(name: str) -> np.ndarray:
        of = operation.rows if name == "disagreement" else operation
        mean, sd = getattr(of, name), getattr(of, f"{name}_sd")
        values = np.broadcast_to(mean, shape).copy()
        values[0, sensor] += change.get(name.removeprefix("log_"), 0.0) * sd[sensor]
        return values

    told = WindowStatistics(np.broadcast_to(operation.level, shape), moved("scatter"), moved("roughness"))
    errors = np.exp(moved("log_error")) - 1e-3
    (evidence,) = operation.evidence(told, errors, np.array([STEPS], np.int32), moved("disagreement"))
    expected = np.zeros(4)
    expected[sensor] = 9.0 if grows else 0.0
    np.testing.assert_allclose(evidence, expected, atol=1e-9)


def test_no_single_spread_or_error_outweighs_everything():
    operation = any_operation(np.random.default_rng(2))
    wild = np.full((1, 4), 1e6)
    told = WindowStatistics(np.broadcast_to(operation.level, (1, 4)), wild, -wild)
    evidence = operation.evidence(told, np.full((1, 4), 1e300), np.array([STEPS], np.int32), wild)
    np.testing.assert_allclose(evidence, 4 * DEVIATION_LIMIT**2, rtol=1e-6)


def test_answers_do_not_depend_on_what_is_remembered(monkeypatch):
    rng = np.random.default_rng(3)
    operation = any_operation(rng)
    level, lengths = any_windows(rng, 60)
    first = operation.distances(level, lengths)
    monkeypatch.setattr(inverses, "_MOST_BYTES", 300)
    forgetful = replace(operation)
    assert forgetful._inverses is not operation._inverses
    for _ in range(2):
        np.testing.assert_array_equal(forgetful.distances(level, lengths), first)
    assert len(forgetful._inverses._kept) < len(operation._inverses._kept)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    operation = any_operation(np.random.default_rng(4))
    operation.save(tmp_path / OPERATION_FILE)
    loaded = Operation.load(tmp_path, 4)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(operation, name))
    for name in ("level", "covariance", "disagreement", "disagreement_sd"):
        np.testing.assert_array_equal(getattr(loaded.rows, name), getattr(operation.rows, name))


def test_a_model_from_before_rows_were_measured_is_judged_without_them(tmp_path):
    operation = replace(any_operation(np.random.default_rng(4)), rows=None)
    assert not set(OF_ROWS) & set(saved(tmp_path, operation))
    loaded = Operation.load(tmp_path, 4)
    assert loaded.rows is None
    usual, errors, lengths = (WindowStatistics(*np.ones((3, 1, 4))), np.ones((1, 4)), np.array([STEPS]))
    np.testing.assert_array_equal(
        loaded.evidence(usual, errors, lengths), operation.evidence(usual, errors, lengths)
    )


def test_a_model_from_before_gaps_were_measured_is_taken_to_have_missed_nothing(tmp_path):
    arrays = saved(tmp_path, any_operation(np.random.default_rng(4)))
    del arrays["coverage"]
    np.savez(tmp_path / OPERATION_FILE, **arrays)
    assert Operation.load(tmp_path, 4).coverage.tolist() == [1.0] * 4


class Pickled:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def lopsided(matrix: np.ndarray) -> np.ndarray:
    changed = matrix.copy()
    changed[0, 1] += 1.0
    return changed


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("level", lambda a: a[:3], r"level should hold \(4,\) finite numbers"),
        ("level", lambda a: a[None], r"level should hold \(4,\) finite numbers"),
        ("covariance", lambda a: a[:, :3], r"covariance should hold \(4, 4\) finite numbers"),
        ("short_covariance", np.diag, r"short_covariance should hold \(4, 4\) finite numbers"),
        ("row_covariance", np.diag, r"row_covariance should hold \(4, 4\) finite numbers"),
        ("scatter", lambda a: a * np.nan, "scatter should hold"),
        ("covariance", lambda a: a * np.inf, "covariance should hold"),
        ("roughness_sd", np.zeros_like, "spread is not positive"),
        ("log_error_sd", np.negative, "spread is not positive"),
        ("covariance", np.negative, "covariance is not positive definite"),
        ("short_covariance", np.ones_like, "short_covariance is not positive definite"),
        ("covariance", lopsided, "covariance is not symmetric"),
        ("row_covariance", lopsided, "row_covariance is not symmetric"),
        ("disagreement_sd", np.zeros_like, "spread is not positive"),
        ("coverage", np.zeros_like, "coverage should be above 0"),
        ("coverage", lambda a: a * 2, "coverage should be above 0 and at most 1"),
        ("minimum_steps", lambda n: STEPS + 1, "minimum_steps should be 1 to 30"),
        ("minimum_steps", lambda n: 0, "minimum_steps should be 1 to 30"),
        ("steps", lambda n: np.arange(3), "cannot be read"),
        ("steps", lambda n: np.nan, "cannot be read"),
        ("level", lambda a: a.astype(str)[::-1] + "?", "cannot be read"),
    ],
    ids=[
        "a-sensor-short",
        "an-axis-too-many",
        "not-square",
        "a-diagonal-alone",
        "a-diagonal-of-rows",
        "not-a-number",
        "infinite",
        "no-spread",
        "negative-spread",
        "negative-definite",
        "singular",
        "not-symmetric",
        "rows-not-symmetric",
        "no-spread-of-disagreement",
        "never-covered",
        "covered-twice",
        "shortest-longer-than-longest",
        "no-steps",
        "steps-not-one-number",
        "steps-not-a-number",
        "text",
    ],
)
def test_a_file_that_save_would_not_write_is_refused(tmp_path, name, change, reason):
    arrays = saved(tmp_path, any_operation(np.random.default_rng(5)))
    np.savez(tmp_path / OPERATION_FILE, **arrays | {name: change(arrays[name])})
    with pytest.raises(ArtefactRefused, match=reason):
        Operation.load(tmp_path, 4)


def test_a_file_for_other_sensors_is_refused(tmp_path):
    any_operation(np.random.default_rng(5)).save(tmp_path / OPERATION_FILE)
    with pytest.raises(ArtefactRefused, match=r"should hold \(5,\)"):
        Operation.load(tmp_path, 5)


def test_pickled_objects_are_refused_and_never_unpickled(tmp_path):
    arrays, mark = saved(tmp_path, any_operation(np.random.default_rng(5))), tmp_path / "unpickled"
    np.savez(tmp_path / OPERATION_FILE, **arrays | {"level": np.array([Pickled(mark)] * 4, object)})
    with pytest.raises(ArtefactRefused, match="cannot be read"):
        Operation.load(tmp_path, 4)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"not a zip", b"PK\x03\x04 nearly"], ids=["missing", "empty", "text", "torn"]
)
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / OPERATION_FILE).write_bytes(content)
    with pytest.raises(ArtefactRefused, match=OPERATION_FILE):
        Operation.load(tmp_path, 4)


@pytest.mark.parametrize("left_out", [*NAMES, *OF_ROWS])
def test_an_archive_without_one_of_its_arrays_is_refused(tmp_path, left_out):
    arrays = saved(tmp_path, any_operation(np.random.default_rng(5)))
    del arrays[left_out]
    np.savez(tmp_path / OPERATION_FILE, **arrays)
    with pytest.raises(ArtefactRefused, match=left_out):
        Operation.load(tmp_path, 4)


def test_a_model_whose_operation_was_altered_is_refused(tiny_store):
    folder = ModelStore(tiny_store).folder("tiny")
    operation = Operation.load(folder, 3)
    replace(operation, level=operation.level + 0.01).save(folder / OPERATION_FILE)
    with pytest.raises(ArtefactRefused, match=r"operation\.npz was altered"):
        Detector.load(folder)


def test_a_model_whose_manifest_does_not_vouch_for_its_operation_is_refused(tiny_store):
    folder = ModelStore(tiny_store).folder("tiny")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][OPERATION_FILE]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactRefused, match=r"does not list operation\.npz"):
        Detector.load(folder)


def test_a_window_is_worth_the_steps_that_it_has_readings_for():
    operation = any_operation(np.random.default_rng(0))
    mask = np.ones((5, STEPS, 4), np.bool_)
    mask[1, ::2] = False  # every other row
    mask[2, :, 1] = False  # a sensor
    mask[3, 12:] = False  # padding
    mask[4] = False
    lengths = np.array([STEPS, STEPS, STEPS, 12, STEPS], np.int32)
    assert operation.effective_steps(mask, lengths).tolist() == [STEPS, STEPS // 2, STEPS, 12, 1]


def test_a_window_that_misses_no_more_than_usual_is_worth_all_of_its_steps():
    slow = replace(any_operation(np.random.default_rng(0)), coverage=np.array([1.0, 0.5, 1.0, 1.0]))
    mask = np.ones((3, STEPS, 4), np.bool_)
    mask[:2, ::2, 1] = False
    mask[1, : STEPS // 2] = False
    lengths = np.full(3, STEPS, np.int32)
    assert slow.effective_steps(mask, lengths).tolist() == [STEPS, STEPS // 2, STEPS]
