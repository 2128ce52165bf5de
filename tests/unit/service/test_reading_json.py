"""A body that is read in one scan is read as it is window by window."""

import json
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from detector.errors import DetectorError
from service.errors import ServiceError
from service.http import classify, sound_json
from service.http.problems import problem_of
from service.http.readings import from_rows, from_sensors
from service.http.window_reader import ReadWindow, WindowReader
from tests.plant import SENSORS as SENSORS_OF_PLANT

SENSORS = ("Pressure", "Flow")


@pytest.fixture
def models(tiny_detector):
    model = SimpleNamespace(reader=WindowReader(tiny_detector.manifest, 100), detector=tiny_detector)
    return SimpleNamespace(find=lambda *_: model)


def outcome(read, body: bytes, models):
    """What is understood of a body, or what is said to be wrong with it."""
    try:
        task = read(body, models, 5)
    except (ServiceError, DetectorError) as error:
        return problem_of(error)
    return task.options, [
        replace(entry, values=[[repr(x) for x in row] for row in entry.values.tolist()])
        if isinstance(entry, ReadWindow)
        else entry
        for entry in task.entries
    ]


NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**64), 2**65), st.none())
ANYTHING = st.one_of(NUMBERS, st.booleans(), st.text(max_size=3), st.lists(NUMBERS, max_size=2))


@st.composite
def window_objects(draw) -> dict:
    """Mostly sound, with any part of it wrong now and then."""
    steps = draw(st.integers(3, 14))
    odd = draw(st.integers(0, 9)) == 0
    readings = draw(st.sampled_from([st.floats(-10, 10), NUMBERS, ANYTHING if odd else NUMBERS]))

    def listed(length):
        return draw(st.lists(readings, min_size=length, max_size=length + odd))

    window: dict = draw(st.fixed_dictionaries({}, optional={"id": st.text(max_size=3) | st.integers()}))
    if draw(st.booleans()):
        window["values"] = [listed(3) for _ in range(steps)]
    if "values" not in window or (odd and draw(st.booleans())):
        names = draw(st.permutations([*SENSORS_OF_PLANT, *(["Elsewhere"] if odd else [])]))
        window["readings"] = {name: listed(steps) for name in names[: draw(st.integers(1, 3))]}
    if draw(st.booleans()):
        window["asset"] = draw(st.sampled_from(["P-101", "Pümpe [1]", *(["", 5, " "] if odd else [])]))
    if draw(st.integers(0, 4)) == 0:
        window["timestamps"] = [
            1_790_000_000 + k + (k > 5) * draw(st.sampled_from([0, 50])) for k in range(steps)
        ]
    if odd and draw(st.booleans()):
        window[draw(st.sampled_from(["unknown", "timestamps", "id"]))] = draw(ANYTHING)
    return window


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    windows=st.lists(window_objects(), max_size=6),
    frame=st.fixed_dictionaries(
        {},
        optional={
            "explain": st.booleans() | st.just(1),
            "false_alarm_rate": st.sampled_from([0.01, 1, "0.1"]),
            "on_error": st.sampled_from(["skip", "fail", "never"]),
            "unknown": st.just(1),
        },
    ),
)
def test_a_body_is_read_at_once_as_it_is_window_by_window(models, windows, frame):
    body = json.dumps({**frame, "windows": windows}).encode()
    assert outcome(classify.read_task, body, models) == outcome(classify._read_in_parts, body, models)


SOUND = b'{"windows": [{"id": 1, "values": %s}]}'
ROWS = json.dumps([[1.5, 2, 3]] * 6).encode()


@pytest.mark.parametrize(
    "body",
    [
        SOUND % ROWS,
        b"\xef\xbb\xbf" + SOUND % ROWS,
        SOUND % ROWS + b" x",
        SOUND % ROWS[:-1],
        SOUND % b"[[1, 2, 3], [[1], 2, 3], [1, 2, 3], [1, 2, 3]]",
        SOUND % b"[[[1], [2], [3]], [1, 2, 3], [1, 2, 3], [1, 2, 3]]",
        SOUND % ROWS.replace(b"1.5", b"1e999"),
        SOUND % ROWS.replace(b"1.5", b"NaN"),
        SOUND % ROWS.replace(b"1.5", b"123456789012345678901234567890"),
        SOUND % ROWS.replace(b"1.5", b"true"),
        SOUND % ROWS.replace(b"1.5", b'"1.5"'),
        b'{"windows": [{"readings": {"Pressure": [1, 2, 3, 4], "Pressure": [1, 2, 3, 4]}}]}',
        b'{"windows": [{"readings": {"Pressure": [[1], 2, 3, 4]}}]}',
        b'{"windows": [{"readings": {"Pressure": [1, 2, 3, 4], "Flow": [1, 2]}}]}',
        b'{"windows": [{"readings": {"Pressure": [[1, 2], 2, 3], "Flow": [1, 2, 3]}}]}',
        b'{"windows": [{"readings": {"Pressure": %s{}%s}}]}' % (b"[" * 900, b"]" * 900),
        b'{"model": [[1]], "windows": [{"values": %s}]}' % ROWS,
        b'{"windows": [{"asset": {"a": 1}, "values": %s}]}' % ROWS,
        b'{"windows": [{"readings": {"Pressure": []}}]}',
        b'{"windows": [{"readings": {}}]}',
        b'{"windows": [{"readings": [], "values": {}}]}',
        b'{"windows": [{"id": "\\ud800", "values": %s}]}' % ROWS,
        b'{"windows": [{"id": "\xff", "values": %s}]}' % ROWS,
        b'{"windows": [{"timestamps": "no", "values": %s}]}' % ROWS,
        b'{"windows": [1]}',
        b'{"windows": {}}',
        b'{"windows": [], "windows": [{"values": %s}]}' % ROWS,
        b'{"window": %s}' % ROWS,
        b"[]",
        b"",
        b"[" * 5000,
    ],
)
def test_what_is_odd_is_told_as_if_it_had_not_been_tried_at_once(models, body):
    assert outcome(classify.read_task, body, models) == outcome(classify._read_in_parts, body, models)


def test_numbers_with_and_without_holes_are_read_at_once(tiny_detector):
    window = {"readings": {"Flow": [1, None, 2.5], "Pressure": [0, 1, 2]}, "id": "[a]"[1]}
    rows = {"values": [[1, 2, 3], [None, 5, 6.5]]}
    body = sound_json.SoundBody(json.dumps({"windows": [window, rows]}).encode())
    (told, by_name), (_, by_row) = body.windows(tiny_detector.sensors)
    nan = np.nan
    assert told.id == "a"
    np.testing.assert_array_equal(by_name, [[0, 1, nan], [1, nan, nan], [2, 2.5, nan]])
    np.testing.assert_array_equal(by_row, [[1, 2, 3], [nan, 5, 6.5]])


@pytest.mark.parametrize(
    "columns",
    [
        {"Pressure": [0.1, 2.5, -3e300], "Flow": [1, 2, 3]},
        {"Flow": [1, 2, 3], "Pressure": [0.1, 2.5, 7]},
        {"Pressure": [0.1, None, 7], "Flow": [1, 2, 3]},
        {"Flow": [1, None, 3]},
        {"Pressure": [None, None], "Flow": [None, None]},
        {"Pressure": [], "Flow": []},
        {},
    ],
    ids=["whole", "other-order", "hole", "one-sensor", "nothing-seen", "no-steps", "no-sensors"],
)
def test_columns_become_numbers_in_the_order_of_the_model(columns):
    read = from_sensors(json.dumps(columns).encode(), SENSORS, 100, "readings")
    steps = len(next(iter(columns.values()), []))
    expected = [[columns.get(name, [None] * steps)[i] for name in SENSORS] for i in range(steps)]
    np.testing.assert_array_equal(read, np.array(expected, np.float64).reshape(steps, 2))


@pytest.mark.parametrize("rows", [[[1, 2.5], [3, 4]], [[1, None], [3, 4]], []], ids=["whole", "hole", "none"])
def test_rows_become_numbers(rows):
    read = from_rows(json.dumps(rows).encode(), SENSORS, 100, "values")
    np.testing.assert_array_equal(read, np.array(rows, np.float64).reshape(len(rows), 2))
