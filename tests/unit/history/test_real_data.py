"""The public data sets, read without any option. Figures are those of the data's own description."""

from pathlib import Path

import numpy as np

from detector.windows import segments
from history.options import ReadOptions
from history.quality import Grade
from history.read import read_file, read_paths


def test_skab_reads_as_it_is_described(data_folder: Path) -> None:
    recordings = list(read_paths([data_folder / "skab" / f for f in ("valve1", "valve2", "other")]))

    assert len(recordings) == 34
    assert sum(len(r) for r in recordings) == 37_401
    assert sum(r.quality.gaps for r in recordings) == 1_993
    assert max(r.quality.longest_gap_s for r in recordings) == 247
    assert {r.period_s for r in recordings} == {1.0}
    assert {r.sensors for r in recordings} == {
        ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple",
         "Voltage", "Volume Flow RateRMS")
    }  # fmt: skip
    anomalous = sum((r.labels == "anomalous").sum() for r in recordings if r.labels is not None)
    assert round(100 * anomalous / 37_401, 1) == 34.9
    assert not any(r.quality.duplicates or r.quality.backward for r in recordings)
    assert not any(q.missing or q.invalid or q.constant for r in recordings for q in r.quality.sensors)
    assert all("left out 'changepoint': looks like a label" in r.quality.notes for r in recordings)
    assert {r.name for r in recordings} >= {"valve1/0.csv", "valve2/3.csv", "other/14.csv"}


def test_normal_running_of_skab_has_no_labels(data_folder: Path) -> None:
    recording = read_file(data_folder / "skab" / "anomaly-free" / "anomaly-free.csv")

    assert len(recording) == 9_405
    assert recording.labels is None
    assert len(recording.sensors) == 8


def test_tennessee_eastman_has_52_sensors_and_one_dead_valve(data_folder: Path) -> None:
    recordings = {r.name: r for r in read_paths([data_folder / "tennessee_eastman"])}

    assert len(recordings) == 44
    assert {len(r.sensors) for r in recordings.values()} == {52}
    constant = {(name, q.sensor) for name, r in recordings.items() for q in r.quality.sensors if q.constant}
    assert constant == {("train/d21.csv", "XMV(4)")}
    assert all(r.timestamps is None for r in recordings.values())
    assert all("left out 'step': counts the rows" in r.quality.notes for r in recordings.values())
    late = recordings["test/d05_te.csv"]
    assert late.labels is not None
    assert late.labels.tolist() == ["normal"] * 160 + ["anomalous"] * 800


def test_faults_of_tennessee_eastman_are_classes_when_asked_for(data_folder: Path) -> None:
    options = ReadOptions(label_column="fault")
    names = {}
    for file in ("d00", "d01", "d21"):
        recording = read_file(data_folder / "tennessee_eastman" / "train" / f"{file}.csv", options)
        assert recording.labels is not None
        names[file] = set(recording.labels.tolist())

    assert names == {"d00": {"normal"}, "d01": {"fault 1"}, "d21": {"fault 21"}}


def test_hour_that_nab_repeats_is_kept_and_no_window_spans_the_jump(data_folder: Path) -> None:
    folder = data_folder / "nab_machine_temperature"
    recording = read_file(folder / "machine_temperature_system_failure.csv")
    stamps = np.asarray(recording.timestamps)

    assert len(recording) == 22_695
    assert recording.sensors == ("value",)
    assert recording.quality.backward == 1
    assert recording.quality.duplicates == 0
    assert recording.quality.gaps == 0
    assert np.diff(stamps).min() == -3_300
    assert len(stamps) - len(np.unique(stamps)) == 12
    assert recording.labels is not None
    assert round(100 * (recording.labels == "anomalous").mean(), 1) == 10.0
    assert recording.quality.sensors[0].grade is Grade.HIGH
    runs = segments(stamps, len(recording), recording.period_s, 3.0)
    assert [len(stamps[run]) for run in runs] == [
        int(np.argmin(np.diff(stamps))) + 1,
        22_694 - int(np.argmin(np.diff(stamps))),
    ]
