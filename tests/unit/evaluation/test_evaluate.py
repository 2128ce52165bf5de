"""A real model evaluated on recordings of the made-up plant, beside plain detectors."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detector import Detector, ModelStore
from detector.artefact import Artefact
from evaluation.compare import Comparison, notes
from evaluation.compare import record as compare_record
from evaluation.errors import EvaluationError
from evaluation.evaluate import evaluate
from evaluation.extracts import expected_course, span, worst_false_alarms, worst_misses
from evaluation.persistence import AlarmAfter
from evaluation.record import record
from evaluation.reference import REFERENCE_FILE, References
from history.recording import Recording
from tests.plant import normal_operation, recording

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """Two with a fault of the pressure, one without."""
    return [
        recording("a.csv", 300, seed=70, fault=(200, 260), size=8.0),
        recording("b.csv", 300, seed=71, fault=(150, 190), sensor=1, size=4.0),
        recording("c.csv", 250, seed=72),
    ]


def without_time(item: Recording) -> Recording:
    return replace(item, timestamps=None)


def timeless(detector: Detector) -> Detector:
    """The same model, without a sampling period."""
    window = msgspec.structs.replace(detector.manifest.window, period_s=None)
    manifest = msgspec.structs.replace(detector.manifest, window=window)
    return Detector(Artefact(detector.artefact.folder, manifest, ""), detector.runtime, detector.operation)


@pytest.fixture
def bare_detector(tiny_detector: Detector, tmp_path: Path) -> Detector:
    """The model `tiny` without references beside it."""
    artefact = Artefact(tmp_path, tiny_detector.manifest, "")
    return Detector(artefact, tiny_detector.runtime, tiny_detector.operation)


def test_plain_detectors_judge_the_rows_that_the_model_judges(bare_detector, recordings):
    result = evaluate(bare_detector, recordings, baseline_rows=100)
    for file in result.files:
        assert list(file.judged) == ["model", "always_on", "pca", "z2"]
        model = [(row.row, row.score is None, row.label) for row in file.rows]
        for judged in file.judged.values():
            assert [(row.row, row.score is None, row.label) for row in judged.rows] == model


def test_always_on_finds_everything_and_knows_nothing(tiny_detector, recordings):
    summaries = evaluate(tiny_detector, recordings, baseline_rows=100).summaries()
    always_on = summaries["always_on"]
    assert (always_on["auc"], always_on["recall"], always_on["false_alarm_rate"]) == (0.5, 1.0, 1.0)
    assert always_on["f1"] == summaries["model"]["always_on_f1"]
    assert always_on["event_recall"] == 1.0


def test_without_references_they_are_fitted_on_the_baseline_of_each_file(bare_detector, recordings):
    result = evaluate(bare_detector, recordings, baseline_rows=100)
    assert "100 baseline rows of each file" in result.references_from
    assert result.summaries()["z2"]["auc"] > 0.7
    assert result.summaries()["pca"]["f1"] > 0.3


def test_without_any_normal_rows_mean_square_ranks_and_decides_nothing(bare_detector, recordings):
    result = evaluate(bare_detector, recordings)
    summaries = result.summaries()
    assert "PCA is left out" in result.references_from
    assert "pca" not in summaries
    assert summaries["z2"]["auc"] > 0.7
    assert "f1" not in summaries["z2"]
    assert not result.contest().complete
    assert {match.reference for match in result.contest().matches} == {"always_on", "z2"}


def test_references_beside_the_model_are_used_with_their_own_thresholds(bare_detector, recordings):
    manifest = bare_detector.manifest
    normal = (normal_operation(3000, seed=5) - manifest.center) / manifest.scale
    References.fit([normal], manifest.window.steps).save(bare_detector.artefact.folder / REFERENCE_FILE)
    result = evaluate(bare_detector, recordings, false_alarm_rate=0.05)
    assert "model's training data" in result.references_from
    for name in ("pca", "z2"):
        assert result.summaries()[name]["false_alarm_rate"] < 0.15
        assert result.summaries()[name]["event_recall"] == 1.0


def test_references_for_other_sensors_are_refused(bare_detector, recordings):
    rows = np.random.default_rng(0).standard_normal((100, 2))
    References.fit([rows], 12).save(bare_detector.artefact.folder / REFERENCE_FILE)
    with pytest.raises(EvaluationError, match="2 sensors, expected 3"):
        evaluate(bare_detector, recordings)


def test_verdict_on_the_model_names_each_plain_detector(bare_detector, recordings):
    contest = evaluate(bare_detector, recordings, baseline_rows=100).contest()
    assert [(match.reference, match.figure) for match in contest.matches] == [
        (name, "auc") for name in ("always_on", "pca", "z2")
    ]
    for match in contest.matches:
        assert match.difference == pytest.approx(match.model - match.other)
        assert len(match.by_file.differences) == 2
    assert contest.beats_all is (len(contest.lost) == 0)


def test_recordings_without_a_fault_decide_nothing(tiny_detector):
    result = evaluate(tiny_detector, [recording("a.csv", 200, seed=70)])
    assert result.contest().beats_all is None


def test_persistence_leaves_ranks_and_raises_fewer_alarms(tiny_detector, recordings):
    result = evaluate(tiny_detector, recordings, false_alarm_rate=0.2, alarm_after=AlarmAfter(3, 3))
    raw, after = result.summaries(), result.summaries(persisted=True)
    assert after["model"]["auc"] == raw["model"]["auc"]
    assert 0 < after["model"]["false_alarms_raised"] < raw["model"]["false_alarms_raised"]
    assert after["model"]["median_delay_rows"] >= raw["model"]["median_delay_rows"]
    assert evaluate(tiny_detector, recordings).summaries(persisted=True) == {}


def test_time_comes_from_the_model_where_the_file_has_none(tiny_detector, recordings):
    stamped = evaluate(tiny_detector, recordings)
    result = evaluate(tiny_detector, [without_time(item) for item in recordings])
    assert result.summary()["normal_hours"] == pytest.approx(stamped.summary()["normal_hours"])
    assert result.summary()["median_delay_s"] == stamped.summary()["median_delay_s"]
    assert any("model's sampling period, 1 s" in note for note in result.notes)
    assert stamped.notes == ()


def test_without_any_time_alarms_and_delays_are_counted_in_rows(tiny_detector, recordings):
    result = evaluate(timeless(tiny_detector), [without_time(item) for item in recordings])
    summary = result.summary()
    assert (summary["normal_hours"], summary["false_alarms_per_hour"], summary["median_delay_s"]) == (
        None,
    ) * 3
    assert summary["false_alarms_per_1000_rows"] == pytest.approx(1000 * summary["false_alarms_raised"] / 750)
    assert summary["median_delay_rows"] is not None
    assert any("1,000 rows" in note for note in result.notes)


def test_judging_every_third_row_counts_the_same_hours(tiny_detector, recordings):
    each, third = (evaluate(tiny_detector, recordings, stride=stride).summary() for stride in (1, 3))
    assert third["judged_rows"] == pytest.approx(each["judged_rows"] / 3, rel=0.05)
    assert third["normal_hours"] == pytest.approx(each["normal_hours"], rel=0.02)


def test_fault_in_a_baseline_is_told(tiny_detector):
    faulty = recording("a.csv", 300, seed=70, fault=(90, 150))
    (note,) = evaluate(tiny_detector, [faulty], baseline_rows=100).notes
    assert note.startswith("a.csv: 10 of the 100 rows")


def test_worst_misses_are_never_found_faults_first_then_by_rows(tiny_detector):
    plain = recording("plain.csv", 300, seed=70, fault=(200, 260), size=8.0)
    small = recording("small.csv", 300, seed=71, fault=(200, 240), size=0.0)
    result = evaluate(tiny_detector, [plain, small], alarm_after=AlarmAfter(5, 5))
    first, *_ = worst_misses(result)
    assert first.result.recording.name == "small.csv"
    assert (first.first_row, first.last_row, first.rows, first.label) == (201, 240, 40, "anomalous")


def test_worst_false_alarm_is_the_longest_one(tiny_detector):
    """The second half of the first file is a shift that is labelled normal."""
    wrong = recording("wrong.csv", 300, seed=70, fault=(150, 300), size=8.0)
    wrong = replace(wrong, labels=np.full(300, "normal", "<U16"))
    fine = recording("fine.csv", 300, seed=72)
    first, *_ = worst_false_alarms(evaluate(tiny_detector, [fine, wrong]))
    assert first.result.recording.name == "wrong.csv"
    assert first.rows > 100
    assert first.sensors[0] == "Pressure"


def test_expected_course_follows_normal_readings_and_leaves_gaps_open(tiny_detector):
    whole = recording("a.csv", 300, seed=70)
    times = whole.timestamps.copy()
    times[150:] += 1000.0
    times[152:] += 1000.0
    (file,) = evaluate(tiny_detector, [replace(whole, timestamps=times)]).files
    course = expected_course(file.passage, tiny_detector, slice(100, 200))
    assert course.shape == (100, 3)
    # Two rows between two gaps are too few for a window.
    assert np.isnan(course).any(axis=1).nonzero()[0].tolist() == [50, 51]
    seen = np.isfinite(course[:, 0])
    assert np.corrcoef(course[seen, 0], whole.values[100:200][seen, 0])[0, 1] > 0.5


def test_drawn_span_holds_the_stretch_and_what_is_around_it(tiny_detector, recordings):
    extract = worst_misses(evaluate(tiny_detector, recordings, baseline_rows=100))[0]
    rows = span(extract)
    assert rows.start == extract.first_row - 1 - 24
    assert rows.stop == extract.last_row + 24


def documented(title: str) -> set[str]:
    """Keys in the first columns of the tables under a heading of docs/evaluation.md."""
    text = (ROOT / "docs" / "evaluation.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key for cell in first for key in cell.replace("`", "").replace(",", " ").split()}


def test_every_key_of_the_json_is_documented_and_there(tiny_detector, recordings):
    content = record(evaluate(tiny_detector, recordings, 100, alarm_after=AlarmAfter(2, 3)))
    json.dumps(content, allow_nan=False)
    assert set(content) | set(content["all"]) == documented("The JSON of `evaluate`")
    assert set(content["files"]["a.csv"]) == set(content["references"]["pca"]["files"]["a.csv"])
    assert set(content["persisted"]) == {"model", *content["references"]}


def test_every_key_of_the_json_of_a_comparison_is_documented_and_there(trained_store, recordings):
    first, second = (Detector.load(ModelStore(trained_store).folder("tiny", version)) for version in (1, 2))
    evaluations = {
        name: evaluate(detector, recordings, 100) for name, detector in (("one", first), ("two", second))
    }
    content = compare_record(Comparison(evaluations))
    json.dumps(content, allow_nan=False)
    assert set(content) == documented("The JSON of `compare`")
    assert list(content["detectors"]) == ["one", "two", "always_on", "pca", "z2"]
    auc = next(item for item in content["differences"] if (item["model"], item["figure"]) == ("two", "auc"))
    by_file = [
        content["detectors"]["two"]["files"][file]["auc"] - content["detectors"]["one"]["files"][file]["auc"]
        for file in ("a.csv", "b.csv")
    ]
    assert auc["differences"] == pytest.approx(by_file)
    assert auc["answer"] == "too few files"


def test_same_model_twice_differs_in_nothing(tiny_detector, recordings):
    result = evaluate(tiny_detector, recordings, 100)
    comparison = Comparison({"one": result, "two": result})
    assert notes(comparison) == ["Fewer than 5 files: no interval is given."]
    for item in comparison.differences()[:7]:
        assert item.paired.mean == 0
        assert (item.better, item.worse) == (0, 0)


def test_models_judged_on_other_files_cannot_be_compared(tiny_detector, recordings):
    one, two = evaluate(tiny_detector, recordings[:1]), evaluate(tiny_detector, recordings[1:])
    with pytest.raises(EvaluationError, match="same files"):
        Comparison({"one": one, "two": two})
    with pytest.raises(EvaluationError, match="two different models"):
        Comparison({"one": one})
