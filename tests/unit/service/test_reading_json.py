"""A body that is read in one scan is read as it is window by window."""

import json
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from service.http import classify
from service.http.readings import from_rows, from_sensors

SENSORS = ("Pressure", "Flow")


class Reader:
    """Stands for a model's reader: says which of its ways was taken."""

    def understand(self, window, at):
        return ("whole", window.id, at)

    def read(self, raw, at):
        return ("in parts", msgspec.json.decode(raw)["id"], at)


@pytest.fixture
def models():
    model = SimpleNamespace(reader=Reader())
    return SimpleNamespace(find=lambda *_: model)


def entries(body, models):
    return classify.read_task(json.dumps(body).encode(), models, 10).entries


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_sound_body_is_read_whole_and_any_other_in_parts(models, on_error):
    sound = {"windows": [{"id": "a", "readings": {}}, {"id": 2, "values": []}], "on_error": on_error}
    assert entries(sound, models) == [("whole", "a", "windows[0]"), ("whole", 2, "windows[1]")]
    sound["windows"][1]["unknown"] = 1
    assert entries(sound, models) == [("in parts", "a", "windows[0]"), ("in parts", 2, "windows[1]")]


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
