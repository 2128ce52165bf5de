"""Files as no plant should export them: read rightly, or refused in words; never half read, never a crash."""

import numpy as np
import pytest

from history.errors import HistoryError
from history.read import read_bytes

ROWS = 40


def table(
    cell: str = "1.5", header: str = "time,Pressure,Flow", rows: int = ROWS, end: str = "\n", every: int = 7
) -> str:
    """A plain file in which every so many-th pressure is `cell`."""
    lines = [header]
    for row in range(rows):
        pressure = cell if row % every == 3 else f"{row / 10}"
        lines.append(f"2026-01-01 00:00:{row:02},{pressure},{row * 7 % 11}")
    return end.join(lines) + end


NASTY: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \n\t\n  \n",
    "zeros": bytes(5000),
    "all bytes": bytes(range(256)) * 20,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
    "an archive": b"PK\x03\x04" + bytes(300),
    "half a parquet file": b"PAR1" + bytes(300),
    "a web page": b"<!doctype html><html><body>login, please</body></html>",
    "JSON": b'{"Pressure": [1, 2, 3]}',
    "only a header": b"time,Pressure\n",
    "only numbers": b"1,2\n3,4\n5,6\n",
    "a name twice": table(header="time,Pressure,Pressure").encode(),
    "no names": table(header=",,").encode(),
    "a quote that never ends": b'time,Pressure\n"2026-01-01 00:00:00,1\n' + b"2026-01-01 00:00:01,2\n" * 500,
    "a cell of a megabyte": table(cell="x" * 1_000_000, every=1000).encode(),
    "a number of a megabyte": table(cell="1" * 1_000_000, every=1000).encode(),
    "a line of ten thousand cells": b"time," + b"a," * 10_000 + b"b\n" + b"1," * 10_001 + b"2\n",
    "zero in the middle": table().replace("Flow", "Fl\x00ow").encode(),
    "zero in a cell": table(cell="1\x00").encode(),
    "carriage returns alone": table(end="\r").encode(),
    "ends of all kinds": b"time,P\r\n2026-01-01 00:00:00,1\n2026-01-01 00:00:01,2\r2026-01-01 00:00:02,3\r\n",
    "UTF-16 without a mark": table().encode("utf-16-le"),
    "UTF-16 cut in a letter": table().encode("utf-16")[:-1],
    "UTF-8 cut in a letter": table(cell="é").encode()[:60] + b"\xc3",
    "a mark in the middle": table(cell="\ufeff1").encode(),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + table().encode(),
    "years beyond": b"time,P\n99999-01-01 00:00:00,1\n0000-00-00 00:00:00,2\n-1-01-01,3\n",
    "times that repeat": b"time,P\n" + b"2026-01-01 00:00:00,1\n" * 50,
    "times backwards": b"time,P\n" + b"".join(b"2026-01-01 00:00:%02d,1\n" % (59 - s) for s in range(50)),
    "times of enormous size": b"time,P\n1e308,1\n1.5e308,2\n1.7e308,3\n",
    "a time of a million digits": b"time,P\n" + b"1" * 1_000_000 + b",1\n",
    "clocks that do not exist": b"time,P\n2026-02-30 25:61:61,1\n2026-13-01 00:00:00,2\n",
    "brackets": table(header="time," + "[" * 5000 + ",Flow").encode(),
    "control letters": table(header="time,Pre\x1b[2Jssure,Flow\u202e").encode(),
    "formulas": table(cell="=cmd|' /C calc'!A0").encode(),
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_file_is_read_whole_or_refused_with_its_place(name: str) -> None:
    try:
        recording = read_bytes(NASTY[name])
    except HistoryError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.place
        assert len(str(refused)) < 2000
        return
    assert recording.values.shape == (len(recording), len(recording.sensors))
    assert not np.isinf(recording.values).any()
    assert all(recording.sensors)
    assert len(set(recording.sensors)) == len(recording.sensors)
    if recording.timestamps is not None:
        assert np.isfinite(recording.timestamps).all()


@pytest.mark.parametrize(
    "cell",
    [
        *("1e999", "-1e999", "inf", "-Infinity", "nan", "1_000", "0x1F", "١٢٣", "1.2.3", "--1", "1e", "e5"),
        *("#DIV/0!", "Bad", "", "  ", '"', "'1'", "1 2", "½", "1;5", "True?", "1" * 400, "-" * 400, "None"),
    ],
    ids=ascii,
)
def test_cell_that_is_no_number_is_a_missing_reading_and_costs_no_other(cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    recording = read_bytes(table(cell=quoted).encode())
    pressure = recording.values[:, recording.sensors.index("Pressure")]
    spoilt = np.arange(ROWS) % 7 == 3
    assert np.isnan(pressure[spoilt]).all()
    np.testing.assert_allclose(pressure[~spoilt], np.arange(ROWS)[~spoilt] / 10)
    flow = recording.values[:, recording.sensors.index("Flow")]
    np.testing.assert_array_equal(flow, np.arange(ROWS) * 7 % 11)


@pytest.mark.parametrize("cell", ["5e-324", "-0", "+1.5", ".5", "5.", "1E+2", "  7 ", "1e308", "00012"])
def test_cell_that_is_an_odd_number_is_that_number(cell: str) -> None:
    recording = read_bytes(table(cell=cell).encode())
    pressure = recording.values[:, recording.sensors.index("Pressure")]
    np.testing.assert_array_equal(pressure[np.arange(ROWS) % 7 == 3], float(cell))
