"""Places in a body: exact, short, and safe to put into an answer."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import WrongContent
from service.http import locate

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("Pressure", ".Pressure"),
        ("Volume Flow RateRMS", ".Volume Flow RateRMS"),
        ("Druck [bar]", '["Druck [bar]"]'),
        ('a"b', '["a\\"b"]'),
        ("", '[""]'),
        ("x" * 200, "." + "x" * 80 + "…"),
    ],
)
def test_key_is_a_step_that_can_be_read(name: str, step: str) -> None:
    expected = step if "…" not in step else f'["{step[1:]}"]'
    assert locate.key(name) in (step, expected)


@pytest.mark.parametrize(
    ("at", "path", "place"),
    [("", "a", "a"), ("a", "", "a"), ("a", "b", "a.b"), ("a", "[3]", "a[3]"), ("", "[3]", "[3]")],
)
def test_places_are_joined(at: str, path: str, place: str) -> None:
    assert locate.join(at, path) == place


@given(JSON_VALUES)
def test_whatever_is_no_table_of_readings_is_located(value: object) -> None:
    """The walk agrees with the fast decoder on what is right, for readings by sensor and for rows."""
    raw = json.dumps(value).encode()
    for shape, kind in (
        ((dict, list), dict[str, list[float | None]]),
        ((list, list), list[list[float | None]]),
    ):
        try:
            msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError:
            wrong = locate.wrong_reading(raw, shape, "readings")
            assert isinstance(wrong, WrongContent)
            assert wrong.place is not None
            assert wrong.place.startswith("readings")
            assert wrong.expected != "numbers or null"
        else:
            assert locate._walk(locate._loads(raw), shape, "readings") is None


@pytest.mark.parametrize(
    ("raw", "sensor"),
    [
        (b'{"a": [1], "a": [2]}', "a"),
        (b'{"a": [1], "b": [1], "\\u0061": [2]}', "a"),
        (b'{"a": [1], "b": [2]}', None),
        (b'{"a\\"": [1], "b": [2]}', None),
    ],
)
def test_repeated_sensor_is_found(raw: bytes, sensor: str | None) -> None:
    found = locate.repeated_sensor(raw, "readings")
    assert (found and found.place) == (sensor and f"readings.{sensor}")
