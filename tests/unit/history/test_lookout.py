"""The layouts of Lookout for Equipment: files of one machine as one recording, and its file of labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from history.errors import BadLabels, NoSuchFile, NoSuchSensors
from history.labels import label_by_events, read_events
from history.lookout import component_of
from history.options import ReadOptions
from history.read import read_file, read_paths
from tests.plant import SENSORS, recording

LOOKOUT = ReadOptions(layout="lookout")
RUN = recording("run", 40, seed=4, labelled=False)


def stamp(row: int) -> str:
    return f"{np.datetime64(int(RUN.timestamps[row]), 's')}.000000"


def write(path: Path, sensors: tuple[str, ...], first: int = 0, last: int = 40) -> None:
    """Rows of the run as Lookout's own tools write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [RUN.sensors.index(sensor) for sensor in sensors]
    lines = [
        ",".join([stamp(row), *(repr(float(RUN.values[row, column])) for column in columns)])
        for row in range(first, last)
    ]
    path.write_text("\n".join([",".join(["Timestamp", *sensors]), *lines]) + "\n")


def read(path: Path, options: ReadOptions = LOOKOUT):
    (found,) = read_paths([path], options)
    return found


def test_folder_of_components_is_one_recording_with_their_names_before_the_sensors(tmp_path: Path) -> None:
    write(tmp_path / "dataset" / "pump" / "pump.csv", ("Pressure", "Flow"))
    write(tmp_path / "dataset" / "motor" / "motor.csv", ("Temperature",))
    found = read(tmp_path / "dataset")
    assert found.name == "dataset"
    assert found.sensors == ("motor\\Temperature", "pump\\Pressure", "pump\\Flow")
    np.testing.assert_array_equal(found.values, RUN.values[:, [2, 0, 1]])
    np.testing.assert_array_equal(found.timestamps, RUN.timestamps)


def test_component_may_have_a_file_for_each_sensor(tmp_path: Path) -> None:
    for sensor in SENSORS:
        write(tmp_path / "pump" / f"{sensor}.csv", (sensor,))
    found = read(tmp_path)
    assert set(found.sensors) == {f"pump\\{sensor}" for sensor in SENSORS}
    np.testing.assert_array_equal(found.select([f"pump\\{s}" for s in SENSORS]).values, RUN.values)


def test_component_may_have_a_file_for_each_stretch_of_time(tmp_path: Path) -> None:
    write(tmp_path / "pump" / "may.csv", SENSORS, 20, 40)
    write(tmp_path / "pump" / "april.csv", SENSORS, 0, 25)
    np.testing.assert_array_equal(read(tmp_path).values, RUN.values)


def test_files_to_be_judged_lie_in_one_folder_named_after_component_and_time(tmp_path: Path) -> None:
    write(tmp_path / "pump_20260131120000.csv", ("Pressure", "Flow"), 0, 20)
    write(tmp_path / "pump_20260131120500.csv", ("Pressure", "Flow"), 20, 40)
    write(tmp_path / "motor_20260131120000.csv", ("Temperature",), 0, 20)
    write(tmp_path / "motor_20260131120500.csv", ("Temperature",), 20, 40)
    found = read(tmp_path)
    assert found.sensors == ("motor\\Temperature", "pump\\Pressure", "pump\\Flow")
    np.testing.assert_array_equal(found.values, RUN.values[:, [2, 0, 1]])


def test_one_file_is_one_component(tmp_path: Path) -> None:
    write(tmp_path / "pump.csv", SENSORS)
    assert read(tmp_path / "pump.csv").sensors == tuple(f"pump\\{sensor}" for sensor in SENSORS)


def test_slashed_stamps_of_its_guide_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv"
    path.write_text(
        "Timestamp,Sensor 1,Sensor 2\n2020/1/1 0:00,2,12\n2020/1/1 0:05,3,11\n2020/1/1 0:10,5,10\n"
    )
    found = read(path)
    assert found.sensors == ("pump\\Sensor 1", "pump\\Sensor 2")
    assert found.period_s == 300


def test_sensors_are_chosen_and_left_out_by_their_full_names(tmp_path: Path) -> None:
    write(tmp_path / "pump.csv", SENSORS)
    chosen = read(tmp_path / "pump.csv", replace(LOOKOUT, sensors=("pump\\Flow",)))
    assert chosen.sensors == ("pump\\Flow",)
    left = read(tmp_path / "pump.csv", replace(LOOKOUT, ignore=("pump\\Flow",)))
    assert left.sensors == ("pump\\Pressure", "pump\\Temperature")
    with pytest.raises(NoSuchSensors, match="Flow"):
        read(tmp_path / "pump.csv", replace(LOOKOUT, sensors=("Flow",)))


def test_file_below_a_component_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "site" / "pump" / "pump.csv", SENSORS)
    with pytest.raises(NoSuchFile, match=r"pump.csv: .*folder for each component"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("pump", "pump"),
        ("pump_20260131120000", "pump"),
        ("pump-2026-01-31-12-00-00", "pump"),
        ("unit7_main_202601311200", "unit7_main"),
        ("pump20260131120000", "pump"),
        ("pump7_20260131120000", "pump7"),
        ("pump_7", "pump_7"),
        ("20260131120000", "20260131120000"),
    ],
)
def test_time_behind_a_component_is_not_part_of_its_name(name: str, component: str) -> None:
    assert component_of(name) == component


def test_label_file_has_two_columns_of_stamps_and_no_header(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{stamp(5)},{stamp(9)}\n{stamp(20)},{stamp(20)}\n")
    write(tmp_path / "pump.csv", SENSORS)
    labelled = label_by_events(read_file(tmp_path / "pump.csv"), read_events(labels))
    assert np.flatnonzero(labelled.labels == "anomalous").tolist() == [5, 6, 7, 8, 9, 20]
    assert set(labelled.labels) == {"anomalous", "normal"}


def test_label_file_of_its_guide_is_read(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "1/1/2020 0:00,1/3/2020 0:00\n2/2/2020 0:05,2/7/2020 0:05\n4/11/2020 0:10,4/21/2020 0:10\n"
    )
    days = [(event.end - event.start) / 86_400 for event in read_events(labels)]
    assert days == [2, 5, 10]


def test_third_column_of_a_file_without_header_names_the_class(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{stamp(5)},{stamp(9)},leak\n")
    assert [event.klass for event in read_events(labels)] == ["leak"]


def test_line_of_a_label_file_that_is_no_window_is_named(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{stamp(5)},{stamp(9)}\n{stamp(9)},{stamp(5)}\n")
    with pytest.raises(BadLabels, match="line 2"):
        read_events(labels)
