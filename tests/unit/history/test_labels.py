"""Labels from a column and from a file of events."""

from pathlib import Path

import numpy as np
import pytest

from history.errors import BadLabels, HistoryError, NoSuchFile
from history.labels import Event, EventLabels, label_by_events, read_events
from history.options import ReadOptions
from history.read import read_bytes
from history.recording import Recording

HEAD = "start,end,class\n"
MINUTE = "2024-05-01 00:0{}:00"


def labelled(column: str, cells: list[str], label_column: str | None = None) -> Recording:
    rows = "\n".join(f"{1.5 + i % 3},{cell}" for i, cell in enumerate(cells))
    return read_bytes(f"a,{column}\n{rows}\n".encode(), ReadOptions(label_column=label_column))


def ten_minutes(name: str = "pump.csv") -> Recording:
    rows = "".join(f"{MINUTE.format(i)},{1.5 + i % 3}\n" for i in range(10))
    return read_bytes(f"time,a\n{rows}".encode(), name=name)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(["0", "1", "0"], id="0 and 1"),
        pytest.param(["0.0", "1.0", "0.0"], id="0.0 and 1.0"),
        pytest.param(["False", "True", "false"], id="false and true"),
        pytest.param(["normal", "Anomalous", "NORMAL"], id="words"),
        pytest.param(["no", "yes", "No"], id="no and yes"),
    ],
)
def test_yes_no_column_gives_normal_and_anomalous(cells: list[str]) -> None:
    recording = labelled("Anomaly", cells)

    assert recording.sensors == ("a",)
    assert recording.labels is not None
    assert recording.labels.tolist() == ["normal", "anomalous", "normal"]
    assert "labels are taken from 'Anomaly'" in recording.quality.notes


@pytest.mark.parametrize(
    ("column", "cells", "labels"),
    [
        ("fault", ["0", "1", "7"], ["normal", "fault 1", "fault 7"]),
        ("fault", ["1", "1", "1"], ["fault 1"] * 3),
        ("class", ["normal", "leak", "cavitation"], ["normal", "leak", "cavitation"]),
        ("label", ["0", "1", "2"], ["normal", "anomalous", "label 2"]),
        ("label", ["0", "", "1"], ["normal", "", "anomalous"]),
        ("is_anomaly", ["1", "1", "1"], ["anomalous"] * 3),
    ],
)
def test_classes_are_named_alike_in_every_file(column: str, cells: list[str], labels: list[str]) -> None:
    recording = labelled(column, cells)

    assert recording.labels is not None
    assert recording.labels.tolist() == labels


@pytest.mark.parametrize(
    ("column", "cells", "names", "labels"),
    [
        ("class", ["0", "3", "1.0"], {"1": "leak"}, ["normal", "class 3", "leak"]),
        ("class", ["0", "1", "2"], {"0": "cavitation", "2": "Normal"}, ["cavitation", "class 1", "normal"]),
        ("state", ["RUN", "trip", "idle"], {"run": "normal", "idle": ""}, ["normal", "trip", ""]),
    ],
    ids=["one named", "zero is a fault", "words and rows left out"],
)
def test_classes_may_be_given_names(
    column: str, cells: list[str], names: dict[str, str], labels: list[str]
) -> None:
    rows = "\n".join(f"{1.5 + i % 3},{cell}" for i, cell in enumerate(cells))
    options = ReadOptions(label_column=column, label_names=names)
    recording = read_bytes(f"a,{column}\n{rows}\n".encode(), options)

    assert recording.labels is not None
    assert recording.labels.tolist() == labels


def one_hot(header: str, rows: list[str], *columns: str, **names: str) -> Recording:
    content = f"a,{header}\n" + "".join(f"{1.5 + i % 3},{row}\n" for i, row in enumerate(rows))
    return read_bytes(content.encode(), ReadOptions(label_columns=columns, label_names=names), "x.csv")


@pytest.mark.parametrize(
    ("header", "rows", "names", "labels"),
    [
        ("leak,cavitation", ["0,0", "1,0", "0,1"], {}, ["normal", "leak", "cavitation"]),
        ("leak,cavitation", ["0.0,False", "yes,no", ",1.0"], {}, ["normal", "leak", "cavitation"]),
        ("leak,cavitation", ["0,0", ",0", "0,1"], {}, ["normal", "", "cavitation"]),
        ("Normal,leak", ["1,0", "0,1", "0,0"], {}, ["normal", "leak", ""]),
        ("c0,c1", ["1,0", "0,1", "0,0"], {"c0": "normal", "c1": "leak"}, ["normal", "leak", ""]),
    ],
    ids=["two classes", "words and empty cells", "empty without a 1", "normal is a class", "named"],
)
def test_one_column_for_each_class(
    header: str, rows: list[str], names: dict[str, str], labels: list[str]
) -> None:
    recording = one_hot(header, rows, *header.split(","), **names)

    assert recording.sensors == ("a",)
    assert recording.labels is not None
    assert recording.labels.tolist() == labels
    assert any("labels are taken from" in note for note in recording.quality.notes)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            ["0,0", "1,1"],
            ("leak", "wear"),
            "x.csv: row 2 belongs to 'leak' and to 'wear', expected one class",
        ),
        (["0,0", "0,0.5"], ("leak", "wear"), "x.csv: column 'wear', row 2: '0.5' is neither 0 nor 1"),
        (["0,0", "0,1"], ("leak", "tear"), "x.csv: has no column 'tear', named by --label-columns"),
    ],
    ids=["two classes in a row", "no flag", "no such column"],
)
def test_columns_that_are_no_classes_are_refused_by_row(
    rows: list[str], columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(HistoryError) as caught:
        one_hot("leak,wear", rows, *columns)
    assert message in str(caught.value)


def test_best_known_label_column_is_taken_and_the_others_do_not_become_sensors() -> None:
    content = b"a,fault,anomaly,changepoint\n1.5,0,0,0\n2.5,3,1,1\n1.0,3,1,0\n"
    recording = read_bytes(content)

    assert recording.sensors == ("a",)
    assert recording.labels is not None
    assert recording.labels.tolist() == ["normal", "anomalous", "anomalous"]
    by_class = read_bytes(content, ReadOptions(label_column="fault"))
    assert by_class.labels is not None
    assert by_class.labels.tolist() == ["normal", "fault 3", "fault 3"]
    without = read_bytes(content, ReadOptions(label_column=""))
    assert without.labels is None
    assert without.sensors == ("a",)


def test_column_of_readings_is_refused_as_labels() -> None:
    with pytest.raises(BadLabels, match="300 different values, which are no labels"):
        labelled("anomaly", [str(i * 0.37) for i in range(300)])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("start,end,class\n2024-05-01 00:02,2024-05-01 00:04,leak\n", id="CSV"),
        pytest.param("Begin;Stop;Fault\r\n01.05.2024 00:02;01.05.2024 00:04;leak\r\n", id="other names"),
        pytest.param('[{"start": "2024-05-01T00:02", "end": "2024-05-01T00:04", "class": "leak"}]', id="o"),
        pytest.param('[["2024-05-01 00:02", "2024-05-01 00:04", "leak"]]', id="JSON lists"),
        pytest.param("start,end,class\n1714521720,1714521840,leak\n", id="epoch seconds"),
    ],
)  # fmt: skip
def test_events_label_their_rows_both_ends_included(content: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(content)
    recording = label_by_events(ten_minutes(), read_events(path))

    assert recording.labels is not None
    assert recording.labels.tolist() == ["normal"] * 2 + ["leak"] * 3 + ["normal"] * 5


def test_event_without_a_class_is_anomalous(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("start,end\n2024-05-01 00:02,2024-05-01 00:04\n")
    assert [event.klass for event in read_events(path)] == ["anomalous"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(HEAD + "2024-05-01 00:04,2024-05-01 00:02,leak\n", "line 2: ends", id="backwards"),
        pytest.param(
            "start,end,class\n2024-05-01 00:01,2024-05-01 00:02,x\n2024-06-01,2024-06-02,leak\n",
            "line 3: lies outside the time of pump.csv, 2024-05-01T00:00:00 to 2024-05-01T00:09:00",
            id="outside",
        ),
        pytest.param(HEAD + "now,2024-05-01 00:02,leak\n", "'now' is no time stamp", id="no stamp"),
        pytest.param(HEAD + "2024-05-01 00:01\n", "line 2: has too few cells", id="short"),
        pytest.param("from,class\n1,2\n", "line 1: a file of events has the columns", id="no end"),
        pytest.param(
            "start,end,class\n2024-05-01 00:01,2024-05-01 00:03,x\n2024-05-01 00:02,2024-05-01 00:05,y\n",
            "line 3: overlaps the event at events.csv, line 2",
            id="two classes at once",
        ),
        pytest.param("start,end,class\n", "holds no event", id="header only"),
        pytest.param("", "holds no event", id="empty"),
        pytest.param('[{"start": 1}]', "[0]: has no start or no end", id="JSON without end"),
        pytest.param("[1]", "[0]: expected an object", id="JSON of numbers"),
        pytest.param("[" * 100_000, "is not JSON", id="deep JSON"),
        pytest.param('{"a": 1}', "expected a list", id="JSON object"),
    ],
)  # fmt: skip
def test_bad_events_are_refused_by_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(content)
    with pytest.raises(HistoryError) as caught:
        label_by_events(ten_minutes(), read_events(path))

    assert str(caught.value).startswith("events.csv")
    assert message in str(caught.value)


def test_events_of_several_recordings_have_to_lie_in_one_of_them() -> None:
    recording = ten_minutes()
    first = float(np.asarray(recording.timestamps)[0])
    inside, outside = (
        Event(first, first + 60, "leak", "line 2"),
        Event(first - 9e6, first - 8e6, "leak", "line 3"),
    )

    labelling = EventLabels([inside, outside])
    assert labelling.label(recording).labels.tolist().count("leak") == 2  # type: ignore[union-attr]
    with pytest.raises(BadLabels, match="line 3: lies outside the time of every recording"):
        labelling.refuse_unused()


def test_events_need_time_and_a_file() -> None:
    with pytest.raises(BadLabels, match="no time column"):
        label_by_events(read_bytes(b"a\n1.5\n2.5\n"), [Event(0, 1, "leak")])
    with pytest.raises(NoSuchFile, match="cannot be read"):
        read_events(Path("nowhere.csv"))
