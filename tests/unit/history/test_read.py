"""Plant files as they come: every dialect reads the same, what is doubtful is said, the rest refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from history.errors import (
    BadTimestamps,
    DuplicateColumns,
    HistoryError,
    LongFormat,
    NoNumbers,
    NoSuchColumn,
    NoSuchFile,
    NoSuchSensors,
    RaggedRows,
    TooFewRows,
    UnreadableFile,
)
from history.files import find_files
from history.options import ReadOptions
from history.quality import Grade
from history.read import CHUNK_ROWS, read_bytes, read_file, read_paths
from history.recording import Recording

PLAIN = """\
time,Pressure,Flow
2024-05-01 00:00:00,1.5,30.25
2024-05-01 00:00:01,-2.5,31.5
2024-05-01 00:00:02,0.125,29.0
"""
SECOND_0 = 1714521600.0
VALUES = [[1.5, 30.25], [-2.5, 31.5], [0.125, 29.0]]


def read(text: str, **options: object) -> Recording:
    return read_bytes(text.encode(), ReadOptions(**options))  # type: ignore[arg-type]


def said(recording: Recording) -> str:
    return "; ".join(recording.quality.notes)


def with_delimiter(mark: str, decimal: str = ".") -> str:
    return PLAIN.replace(",", "\0").replace(".", decimal).replace("\0", mark)


QUOTED = re.sub(r"[^,\n]+", lambda cell: f'"{cell[0]}"', PLAIN)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PLAIN.encode(), id="comma"),
        pytest.param(with_delimiter(";").encode(), id="semicolon"),
        pytest.param(with_delimiter("\t").encode(), id="tab"),
        pytest.param(with_delimiter("|").encode(), id="pipe"),
        pytest.param(with_delimiter(";", ",").encode(), id="semicolon and decimal comma"),
        pytest.param(with_delimiter("\t", ",").encode(), id="tab and decimal comma"),
        pytest.param(with_delimiter(" ; ", ",").encode(), id="blanks round the delimiter"),
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(PLAIN.rstrip("\n").encode(), id="no newline at the end"),
        pytest.param((PLAIN + "\n\n\n").encode(), id="empty lines at the end"),
        pytest.param(PLAIN.replace("\n", "\n\n").encode(), id="empty lines between"),
        pytest.param(PLAIN.encode("utf-8-sig"), id="UTF-8 byte-order mark"),
        pytest.param(PLAIN.encode("utf-16"), id="UTF-16 with mark"),
        pytest.param(PLAIN.encode("utf-16-be"), id="UTF-16 big-endian without mark"),
        pytest.param(PLAIN.encode("utf-16-le"), id="UTF-16 little-endian without mark"),
        pytest.param(QUOTED.encode(), id="quoted cells"),
        pytest.param(QUOTED.replace(".", ",").encode(), id="quoted decimal comma"),
        pytest.param(PLAIN.replace("\n", ",\n").encode(), id="delimiter at line ends"),
        pytest.param(
            "\n".join(row + "," * bool(i) for i, row in enumerate(PLAIN.splitlines())).encode(),
            id="delimiter at the ends of rows only",
        ),
        pytest.param(("# exported by hand\n# twice\n" + PLAIN).encode(), id="comments before the header"),
        pytest.param(("Site;North\n\nReport\n" + PLAIN).encode(), id="preamble before the header"),
        pytest.param(("Unit,pump 7,all sensors\n" + PLAIN).encode(), id="preamble as wide as the table"),
        pytest.param(("#" + PLAIN).encode(), id="header behind a hash sign"),
        pytest.param(PLAIN.replace("Flow\n", "Flow\ns,bar,l/min\n").encode(), id="line of units"),
        pytest.param(PLAIN.replace(" 00:", "T00:").encode(), id="ISO with T"),
        pytest.param(PLAIN.replace(":00,", ":00Z,").replace(":01,", ":01Z,").encode(), id="zone on some"),
        pytest.param(
            PLAIN.replace("2024-05-01 00", "2024-05-01 02")
            .replace("0:00,", "0:00+02:00,")
            .replace("0:01,", "0:01+02:00,")
            .replace("0:02,", "0:02 +0200,")
            .encode(),
            id="offset from UTC",
        ),
        pytest.param(PLAIN.replace("2024-05-01", "01.05.2024").encode(), id="day, point, month"),
        pytest.param(PLAIN.replace("2024-05-01", "01.05.24").encode(), id="year of two digits"),
        pytest.param(PLAIN.replace("2024-05-01", "2024/05/01").encode(), id="year first with slashes"),
        pytest.param(PLAIN.replace("2024-05-01 00:00:0", "171452160").encode(), id="epoch seconds"),
        pytest.param(
            PLAIN.replace("2024-05-01 00:00:0", "171452160").replace(",1.5", "000,1.5")
            .replace(",-2.5", "000,-2.5").replace(",0.125", "000,0.125").encode(),
            id="epoch milliseconds",
        ),
        pytest.param(
            PLAIN.replace("time,", "date,clock,").replace("2024-05-01 ", "2024-05-01,").encode(),
            id="date and time of day apart",
        ),
        pytest.param(
            PLAIN.replace("time,", "id,stamp,").replace("2024", "7,2024", 1).replace("\n2024", "\n8,2024", 1)
            .replace("\n2024", "\n9,2024", 1).encode(),
            id="row counter and a time column of another name",
        ),
        pytest.param(
            PLAIN.replace("time,", ",time,").replace("2024", "0,2024", 1).replace("\n2024", "\n1,2024", 1)
            .replace("\n2024", "\n2,2024", 1).encode(),
            id="unnamed index",
        ),
    ],
)  # fmt: skip
def test_every_dialect_gives_the_same_recording(content: bytes) -> None:
    recording = read_bytes(content)

    assert recording.sensors == ("Pressure", "Flow")
    np.testing.assert_array_equal(recording.values, VALUES)
    np.testing.assert_array_equal(recording.timestamps, SECOND_0 + np.arange(3))
    np.testing.assert_array_equal(recording.row_numbers, [1, 2, 3])
    assert recording.labels is None
    assert recording.period_s == 1.0


def test_letters_outside_ascii_are_read_in_utf_8_and_latin_1() -> None:
    text = PLAIN.replace("Pressure", "Durchfluß °C")
    for encoding in ("utf-8", "latin-1"):
        assert read_bytes(text.encode(encoding)).sensors[0] == "Durchfluß °C"


def test_first_latin_1_letter_far_down_in_the_file_is_no_error() -> None:
    rows = [f"2024-05-01 {i // 3600:02}:{i // 60 % 60:02}:{i % 60:02},{i % 7}.5,ok" for i in range(20_000)]
    content = "\n".join(["time,P,remark", *rows]).encode() + "\n2024-05-02 00:00:00,1.5,höher\n".encode(
        "latin-1"
    )

    assert len(read_bytes(content)) == 20_001


def test_file_without_header_numbers_its_columns_and_says_so() -> None:
    recording = read("1.5,2\n2.5,2\n1.5,3\n")

    assert recording.sensors == ("column 1", "column 2")
    assert len(recording) == 3
    assert "no header" in said(recording)


def test_names_that_are_numbers_are_a_header_when_the_caller_says_so() -> None:
    recording = read("101,102\n1.5,2\n2.5,4\n", header=True)

    assert recording.sensors == ("101", "102")
    assert len(recording) == 2


def test_first_row_with_a_bad_cell_is_not_taken_for_a_header() -> None:
    assert len(read("oops,2.5,1.5\n1.0,2.5,1.5\n2.0,3.5,1.0\n")) == 3


def test_single_column_with_decimal_comma_is_one_sensor() -> None:
    np.testing.assert_array_equal(read("Pressure\n1,5\n2,5\n0,25\n").values[:, 0], [1.5, 2.5, 0.25])


def test_decimal_comma_that_appears_late_is_understood() -> None:
    rows = "\n".join(f"{i % 3};{i % 5}" for i in range(CHUNK_ROWS + 50))
    recording = read(f"a;b\n{rows}\n1,5;2,25\n")

    np.testing.assert_array_equal(recording.values[-1], [1.5, 2.25])


def test_point_under_a_decimal_comma_is_not_guessed_at() -> None:
    recording = read("a;b\n1,5;1,0\n2,5;1.234\n3,5;1.234,5\n")

    np.testing.assert_array_equal(recording.values[:, 1], [1.0, np.nan, 1234.5])
    assert recording.quality.sensors[1].invalid == 1


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "null", "-", " ", "#N/A", "None"])
def test_cell_that_says_nothing_is_missing(cell: str) -> None:
    recording = read(PLAIN.replace("-2.5", cell))

    assert np.isnan(recording.values[1, 0])
    assert recording.quality.sensors[0].missing == 1
    assert recording.quality.sensors[0].invalid == 0


@pytest.mark.parametrize(
    "cell",
    [
        "#VALUE!",
        "Bad",
        "I/O Timeout",
        "some text",
        "inf",
        "-Infinity",
        "1e400",
        "1_000",
        "1.2.3",
        "0x10",
        "12 bar",
    ],
)
def test_cell_that_is_no_number_is_invalid(cell: str) -> None:
    recording = read(PLAIN.replace("-2.5", cell))

    assert np.isnan(recording.values[1, 0])
    assert recording.quality.sensors[0].missing == 0
    assert recording.quality.sensors[0].invalid == 1
    assert recording.quality.sensors[0].grade is not Grade.HIGH


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1e3", 1000.0), ("+4", 4.0), (".5", 0.5), ("5.", 5.0), ("-1.5E-2", -0.015), ('"1,234.5"', 1234.5)],
)
def test_numbers_in_other_forms_are_numbers(cell: str, number: float) -> None:
    assert read(PLAIN.replace("-2.5", cell)).values[1, 0] == number


def test_column_without_any_number_is_kept_as_a_dead_sensor_when_it_only_says_bad() -> None:
    recording = read("a,b,c\n1.5,Bad,\n2.5,Bad,\n2.0,,\n")

    assert recording.sensors == ("a", "b", "c")
    assert [sensor.dead for sensor in recording.quality.sensors] == [False, True, True]
    assert recording.quality.sensors[1].grade is Grade.LOW
    assert recording.quality.usable


def test_column_of_remarks_is_left_out_and_named() -> None:
    recording = read("a,remark\n1.5,pump started\n2.5,\n2.0,noise from gear 3\n")

    assert recording.sensors == ("a",)
    assert "'remark': holds text" in said(recording)


@pytest.mark.parametrize("name", ["step", "Index", "row", "No."])
def test_row_counter_is_left_out_and_named(name: str) -> None:
    recording = read(f"{name},a\n5,1.5\n6,2.5\n7,2.0\n")

    assert recording.sensors == ("a",)
    assert f"'{name}': counts the rows" in said(recording)


def test_column_that_counts_under_another_name_needs_ten_rows_to_be_left_out() -> None:
    short = "\n".join(f"{i},{i % 3}" for i in range(9))
    assert read(f"x,a\n{short}\n").sensors == ("x", "a")
    assert read(f"x,a\n{short}\n9,1\n").sensors == ("a",)
    assert read(f"x,a\n{short}\n9,1\n", sensors=("x", "a")).sensors == ("x", "a")


def test_repeated_stamps_keep_the_last_row_and_are_counted() -> None:
    recording = read(
        "time,a\n2024-05-01 00:00:00,1\n2024-05-01 00:00:01,2\n2024-05-01 00:00:01,3\n"
        "2024-05-01 00:00:01,4\n2024-05-01 00:00:02,5\n"
    )

    np.testing.assert_array_equal(recording.values[:, 0], [1, 4, 5])
    np.testing.assert_array_equal(recording.row_numbers, [1, 4, 5])
    assert recording.quality.duplicates == 2


def test_clock_that_jumps_back_keeps_all_rows_in_order_and_is_counted() -> None:
    minutes = [0, 1, 2, 3, 1, 2, 3, 4]
    recording = read("time,a\n" + "".join(f"2024-10-27 02:0{m}:00,{i}\n" for i, m in enumerate(minutes)))

    np.testing.assert_array_equal(recording.values[:, 0], range(8))
    assert recording.quality.backward == 1
    assert recording.quality.duplicates == 0


def test_newest_rows_first_are_turned_round() -> None:
    header, *rows = PLAIN.splitlines()
    recording = read("\n".join([header, *reversed(rows)]))

    np.testing.assert_array_equal(recording.values, VALUES)
    np.testing.assert_array_equal(recording.row_numbers, [3, 2, 1])
    assert recording.quality.backward == 0
    assert "turned round" in said(recording)


def test_gaps_are_counted_with_the_longest() -> None:
    seconds = [0, 1, 2, 5, 6, 7, 47, 48, 49]
    recording = read("time,a\n" + "".join(f"{1714521600 + s},{s % 2}\n" for s in seconds))

    assert recording.quality.period_s == 1.0
    assert recording.quality.gaps == 2
    assert recording.quality.longest_gap_s == 40.0


def test_few_unreadable_stamps_cost_their_rows_and_are_named() -> None:
    rows = [f"2024-05-01 00:00:{i:02},{i % 4}.5" for i in range(40)]
    rows[6] = "soon,1.5"
    recording = read("\n".join(["time,a", *rows]))

    assert len(recording) == 39
    assert 7 not in recording.row_numbers
    assert "'soon' in data row 7" in said(recording)


def test_many_unreadable_stamps_are_refused() -> None:
    rows = [f"2024-05-01 00:00:{i:02},{i % 4}.5" if i % 3 else f"x{i},1.5" for i in range(40)]
    with pytest.raises(BadTimestamps, match=r"14 of 40 time stamps cannot be read, e.g. 'x0' in data row 1"):
        read("\n".join(["time,a", *rows]), time_column="time")


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        pytest.param(["12/05/2024", "13/05/2024"], [12 + 30 + 90, 13 + 30 + 90], id="a 13th day in front"),
        pytest.param(["05/12/2024", "05/13/2024"], [12 + 30 + 90, 13 + 30 + 90], id="a 13th day behind"),
    ],
)
def test_day_and_month_are_told_apart_by_the_whole_column(dates: list[str], expected: list[int]) -> None:
    recording = read("time,a\n" + "".join(f"{date} 06:00,{i}\n" for i, date in enumerate(dates)))

    # 1 January 2024 is day 0; 2024 has 31 + 29 + 31 + 30 days before May.
    days = (np.asarray(recording.timestamps) - 1704067200) / 86400
    np.testing.assert_allclose(days, np.array(expected) + 0.25)


def test_day_and_month_that_cannot_be_told_apart_are_refused_until_named() -> None:
    text = "time,a\n03/04/2024 00:00,1\n03/04/2024 00:01,2\n"

    with pytest.raises(BadTimestamps, match=r"'03/04/2024' may be day first or month first; .*--time-format"):
        read(text)
    day = np.asarray(read(text, time_format="day-first").timestamps)[0]
    month = np.asarray(read(text, time_format="month-first").timestamps)[0]
    pattern = np.asarray(read(text, time_format="%d/%m/%Y %H:%M").timestamps)[0]
    assert (day - month) / 86400 == 30  # from 4 March to 3 April
    assert pattern == day


def test_time_of_day_may_be_am_or_pm() -> None:
    stamps = np.asarray(read("time,a\n5/13/2024 11:59:59 PM,1\n5/14/2024 12:00:00 AM,2\n").timestamps)
    assert np.diff(stamps) == 1.0


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        pytest.param(b"", TooFewRows, "is empty", id="nothing"),
        pytest.param(b"\n \n;;\n", TooFewRows, "is empty", id="white space"),
        pytest.param(b"\xef\xbb\xbf", TooFewRows, "is empty", id="only a byte-order mark"),
        pytest.param(b"time,a\n", TooFewRows, "no data rows", id="only a header"),
        pytest.param(b"time,a\n2024-05-01 00:00:00,1\n", TooFewRows, "1 data row, expected", id="one row"),
        pytest.param(b"a,b\nx,y\nz,w\n", NoNumbers, "no column of numbers", id="words"),
        pytest.param(
            b"time,a\n2024-05-01,x\n2024-05-02,y\n", NoNumbers, "no column of numbers", id="time only"
        ),
        pytest.param(b"hello world\n", HistoryError, "", id="a greeting"),
        pytest.param(bytes(range(256)) * 20, UnreadableFile, "is not text", id="all bytes"),
        pytest.param(b"\x00" * 4000, UnreadableFile, "is not text", id="zeros"),
        pytest.param(b"PK\x03\x04rest", UnreadableFile, "Excel", id="workbook"),
        pytest.param(b"\x1f\x8b\x08rest", UnreadableFile, "compressed", id="gzip"),
        pytest.param(
            b"a,a\n1,2\n3,4\n", DuplicateColumns, "columns 1 and 2 are both named 'a'", id="same names"
        ),
        pytest.param(b"a,b\n1,2\n3,4,5\n6,7\n", RaggedRows, "line 3: has 3 cells, expected 2", id="long row"),
        pytest.param(b"a,b\n1,2\n3\n6,7\n", RaggedRows, "line 3: has 1 cell, expected 2", id="short row"),
        pytest.param(
            b"a,b\n1,2,3\n3,4,5\n6,7,8\n", RaggedRows, "2 names, the rows have 3", id="short header"
        ),
        pytest.param(b"a,b,c,d\n1,2\n3,4\n6,7\n", RaggedRows, "4 names, the rows have 2", id="long header"),
        pytest.param(
            b'a,b\n1,2\n"3,4\n5,6\n7,8\n',
            RaggedRows,
            "line 3: begins a quoted cell",
            id="quote without an end",
        ),
        pytest.param(b'a,b\n1,2\n"' + b"x" * 200_000, HistoryError, "line 3", id="endless cell"),
    ],
)
def test_content_that_cannot_be_used_is_refused_with_the_reason(
    content: bytes, error: type[HistoryError], message: str
) -> None:
    with pytest.raises(error) as caught:
        read_bytes(content, name="pump.csv")

    assert str(caught.value).startswith("pump.csv")
    assert message in str(caught.value)


def test_last_line_that_was_cut_off_is_left_out_with_a_note() -> None:
    recording = read(PLAIN + "2024-05-01 00:00:03,1.")

    assert len(recording) == 3
    assert "last line, which was cut off" in said(recording)


def test_ragged_row_far_down_is_named_by_its_line() -> None:
    rows = ["1,2"] * (3 * CHUNK_ROWS)
    rows[2 * CHUNK_ROWS + 10] = "1,2,3"
    with pytest.raises(RaggedRows, match=f"line {2 * CHUNK_ROWS + 12}:"):
        read("\n".join(["a,b", *rows]))


def test_true_and_false_are_1_and_0() -> None:
    np.testing.assert_array_equal(read("a,on\n1.5,TRUE\n2.5,false\n").values[:, 1], [1, 0])


def test_blanks_between_numbers_are_a_delimiter() -> None:
    np.testing.assert_array_equal(
        read("  1.5  2\n 2.5 30 \n-1.0  4\n").values, [[1.5, 2], [2.5, 30], [-1, 4]]
    )


def test_thousands_that_may_be_decimals_are_refused_until_named() -> None:
    text = 'a,b\n"1,234",5\n"1,999",7\n'

    with pytest.raises(UnreadableFile, match="say --decimal comma or point"):
        read(text)
    assert read(text, decimal=".").values[0, 0] == 1234
    assert read(text, decimal=",").values[0, 0] == 1.234


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("05-Mar-24 10:00:00", "05-Mar-24 10:00:01", id="month by name"),
        pytest.param("05-mar-2024 10:00:00", "05-MAR-2024 10:00:01", id="month by name, year in full"),
        pytest.param("20240305100000", "20240305100001", id="digits"),
        pytest.param("20240305T100000", "20240305T100001", id="compact ISO"),
        pytest.param("1709632800000000000", "1709632801000000000", id="epoch nanoseconds"),
    ],
)
def test_stamps_in_rarer_forms_are_understood(first: str, second: str) -> None:
    recording = read(f"Timestamp,a\n{first},1.5\n{second},2.5\n")
    np.testing.assert_array_equal(recording.timestamps, [1709632800, 1709632801])


def test_days_written_as_digits_are_days() -> None:
    assert read("date,a\n20240229,1.5\n20240301,2.5\n").period_s == 86_400


def test_column_named_time_that_cannot_be_read_is_refused_until_its_format_is_named() -> None:
    text = "time,a\n10h00m05,1.5\n10h00m07,2.5\n"

    with pytest.raises(
        BadTimestamps, match=r"column 'time' is named like time, but '10h00m05' .*--time-format"
    ):
        read(text)
    assert read(text, time_format="%Hh%Mm%S").period_s == 2
    assert read(text, time_column="").timestamps is None


@pytest.mark.parametrize("header", ["time,tag,value", "time,which,value"])
def test_table_with_one_reading_a_row_is_refused(header: str) -> None:
    rows = "".join(f"2024-05-01 00:00:0{i // 2},{'PT'[i % 2]}-101,{i}.5\n" for i in range(10))
    with pytest.raises(LongFormat, match="one column for each sensor"):
        read(f"{header}\n{rows}")


def test_column_that_always_names_the_same_tag_does_no_harm() -> None:
    rows = "".join(f"2024-05-01 00:00:0{i},P-101,{i % 3}.5\n" for i in range(9))
    assert read(f"time,tag,value\n{rows}").sensors == ("value",)


@pytest.mark.parametrize("option", ["time_column", "label_column"])
def test_option_that_names_no_column_is_refused_with_those_there_are(option: str) -> None:
    with pytest.raises(NoSuchColumn, match=r"no column 'Speed'.* it has time, Pressure, Flow"):
        read(PLAIN, **{option: "Speed"})


def test_chosen_sensors_come_in_the_order_asked_for_and_absent_ones_are_empty() -> None:
    recording = read(PLAIN, sensors=("Flow", "Speed", "Pressure"))

    assert recording.sensors == ("Flow", "Speed", "Pressure")
    np.testing.assert_array_equal(recording.values[:, 2], [1.5, -2.5, 0.125])
    assert np.isnan(recording.values[:, 1]).all()
    assert "no sensor 'Speed'" in said(recording)
    with pytest.raises(NoSuchSensors, match="none of the sensors Speed"):
        read(PLAIN, sensors=("Speed",))


def test_ignored_columns_are_left_out() -> None:
    assert read(PLAIN, ignore=("Flow",)).sensors == ("Pressure",)


def test_column_of_times_can_be_refused() -> None:
    recording = read("time,a\n" + "".join(f"{1714521600 + i},{i % 3}\n" for i in range(5)), time_column="")

    assert recording.timestamps is None
    assert recording.sensors == ("time", "a")


def test_numbers_named_time_that_do_not_rise_are_a_sensor() -> None:
    recording = read("time,a\n5,1\n3,2\n9,3\n1,2\n8,1\n2,2\n")

    assert recording.timestamps is None
    assert recording.sensors == ("time", "a")


def test_folder_is_read_recursively_and_in_order_and_experiments_stay_apart(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a/1.csv", "a/1.CSV", "b/notes.md", ".hidden/3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PLAIN)

    assert [r.name for r in read_paths([tmp_path], ReadOptions())] == ["a/1.CSV", "a/1.csv", "b/2.csv"]
    assert [f.name for f in find_files([tmp_path / "b", tmp_path / "a" / "1.csv"])] == ["b/2.csv", "a/1.csv"]
    assert [f.name for f in find_files([tmp_path / "a" / "1.csv", tmp_path / "a" / "1.csv"])] == ["1.csv"]


def test_folder_without_files_and_path_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match="holds no file named"):
        find_files([tmp_path])
    with pytest.raises(NoSuchFile, match="does not exist"):
        find_files([tmp_path / "x.csv"])
    with pytest.raises(NoSuchFile, match="No such file"):
        read_file(tmp_path / "x.csv")
    with pytest.raises(UnreadableFile, match="directory"):
        read_file(tmp_path)


def test_select_orders_sensors_and_fills_absent_ones() -> None:
    selected = read(PLAIN).select(("Flow", "Speed"))

    assert selected.sensors == ("Flow", "Speed")
    assert [q.sensor for q in selected.quality.sensors] == ["Flow", "Speed"]
    assert selected.quality.sensors[1].dead
    np.testing.assert_array_equal(selected.values[:, 0], [30.25, 31.5, 29.0])
    with pytest.raises(NoSuchSensors, match="it has 'Pressure', 'Flow'"):
        read(PLAIN).select(("Speed",))
