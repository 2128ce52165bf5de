"""Whatever table is written in whatever dialect, the reader gives it back."""

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from history.errors import HistoryError
from history.read import read_bytes
from history.recording import Recording

NAMES = st.lists(
    st.text("abcXYZ°µ ()/_[]#'\"", min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda name: name and not name.startswith("#") and name.strip("-[]()")),
    min_size=1,
    max_size=6,
    unique_by=str.lower,
)
# 0.5 more than a whole number, so that no column counts rows.
READINGS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x) + 0.5)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], np.ndarray, list[datetime] | None]:
    names = [f"s {name}" for name in draw(NAMES)]
    rows = draw(st.integers(2, 30))
    cells = draw(
        st.lists(
            st.lists(st.one_of(READINGS, st.just(np.nan)), min_size=len(names), max_size=len(names)),
            min_size=rows,
            max_size=rows,
        )
    )
    values = np.array(cells)
    # At least one whole row of readings: a table of nothing is no table.
    values[0] = np.where(np.isnan(values[0]), 7.5, values[0])
    values[-1] = np.where(np.isnan(values[-1]), 8.5, values[-1])
    if not draw(st.booleans()):
        return names, values, None
    start = datetime(2024, 1, 1) + timedelta(seconds=draw(st.integers(0, 10**8)))
    steps = draw(st.lists(st.integers(1, 10_000), min_size=rows, max_size=rows))
    return names, values, [start + timedelta(seconds=int(s)) for s in np.cumsum(steps)]


@settings(deadline=None, max_examples=150)
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    missing=st.sampled_from(["", "NA", "nan", "null"]),
    time_format=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S"]),
)
def test_table_written_in_any_dialect_is_read_back(
    table: tuple[list[str], np.ndarray, list[datetime] | None],
    delimiter: str,
    decimal: str,
    encoding: str,
    newline: str,
    quoting: int,
    missing: str,
    time_format: str,
) -> None:
    names, values, stamps = table
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow([*(["stamp"] if stamps else []), *names])
    for index, row in enumerate(values.tolist()):
        cells = [missing if np.isnan(x) else repr(x).replace(".", decimal) for x in row]
        writer.writerow([*([stamps[index].strftime(time_format)] if stamps else []), *cells])

    recording = read_bytes(text.getvalue().encode(encoding))

    assert recording.sensors == tuple(names)
    np.testing.assert_array_equal(recording.values, values)
    assert [q.missing for q in recording.quality.sensors] == np.isnan(values).sum(axis=0).tolist()
    assert not any(q.invalid for q in recording.quality.sensors)
    if stamps is None:
        assert recording.timestamps is None
    else:
        expected = [stamp.replace(tzinfo=UTC).timestamp() for stamp in stamps]
        np.testing.assert_array_equal(recording.timestamps, expected)


def outcome(content: bytes) -> tuple[Recording | None, HistoryError]:
    try:
        return read_bytes(content, name="some.csv"), HistoryError("", place="")
    except HistoryError as error:
        return None, error


@settings(deadline=None, max_examples=300)
@given(
    mark=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]),
    content=st.one_of(
        st.binary(max_size=400),
        st.text("0123456789,;.\t\n\r\"':/- abT|#\ufeff", max_size=300).map(str.encode),
    ),
)
def test_any_bytes_give_a_recording_or_a_placed_error(mark: bytes, content: bytes) -> None:
    recording, error = outcome(mark + content)

    if recording is None:
        assert error.place.startswith("some.csv")
        assert error.message
    else:
        assert recording.values.shape == (len(recording.row_numbers), len(recording.sensors))
        assert not np.isinf(recording.values).any()
        assert np.isfinite(recording.values).any()
