"""What is computed in a shorter way where nothing is missing is what the general way gives."""

from dataclasses import fields, replace

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings

from detector import Detector, Scores, Window
from detector.quality import Issue
from tests.plant import SCALE, SENSORS, normal_operation

STEPS, MINIMUM_STEPS = 12, 4
searched = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def readings(draw: st.DrawFn, steps: int | None = None) -> np.ndarray:
    """(steps, sensors): normal, or with a flat end, an outlier, an offset, a hole."""
    steps = steps or draw(st.integers(1, STEPS))
    values = normal_operation(steps, draw(st.integers(0, 99)))
    sensor, step = draw(st.integers(0, len(SENSORS) - 1)), draw(st.integers(0, steps - 1))
    match draw(st.sampled_from(["nothing", "nothing", "flat", "outlier", "offset"])):
        case "flat":
            values[step:, sensor] = values[-1, sensor]
        case "outlier":
            values[step, sensor] += draw(st.sampled_from([-1, 1])) * 1e3 * SCALE[sensor]
        case "offset":
            values[:, sensor] += draw(st.floats(-20, 20)) * SCALE[sensor]
    return values


@st.composite
def holed(draw: st.DrawFn) -> np.ndarray:
    values = draw(readings())
    if draw(st.booleans()):
        values[draw(st.integers(0, len(values) - 1)) :: 3, draw(st.integers(0, len(SENSORS) - 1))] = np.nan
    return values


def assert_equal(one: Scores, other: Scores) -> None:
    for field in fields(Scores):
        if field.name not in {"batch", "outputs", "quality"}:
            np.testing.assert_allclose(
                getattr(one, field.name),
                getattr(other, field.name),
                rtol=1e-9,
                atol=1e-12,
                err_msg=field.name,
            )
    assert one.quality == other.quality


@searched
@given(
    windows=st.integers(MINIMUM_STEPS, STEPS).flatmap(
        lambda steps: st.lists(readings(steps), min_size=1, max_size=5)
    ),
    of_asset=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_a_complete_batch_scores_as_with_a_mask(
    tiny_detector: Detector, windows: list[np.ndarray], of_asset: list[bool]
) -> None:
    baseline = tiny_detector.commission(normal_operation(60, 3) + 3 * SCALE)
    given_ = [
        Window(values, baseline if own else None) for values, own in zip(windows, of_asset, strict=False)
    ]
    batch, outputs = tiny_detector.run(given_)
    masked = replace(batch, complete=False)
    assert batch.complete or baseline.left_out.any()
    short, general = (tiny_detector.interpret(given_, each, outputs) for each in (batch, masked))
    assert_equal(short, general)
    indices = range(len(given_))
    np.testing.assert_allclose(
        tiny_detector.evidence(short, indices), tiny_detector.evidence(general, indices), rtol=1e-9
    )


@searched
@given(
    windows=st.lists(holed(), min_size=1, max_size=5),
    left_out=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=5, max_size=5),
    shift=st.none() | st.floats(-50, 50),
    noted=st.booleans(),
)
def test_windows_are_as_sound_at_a_glance_as_when_looked_at_closely(
    tiny_detector: Detector,
    windows: list[np.ndarray],
    left_out: list[list[bool]],
    shift: float | None,
    noted: bool,
) -> None:
    count = len(windows)
    out, notes = np.array(left_out[:count]), [(Issue(None, "time_gap"),) if noted else ()] * count
    moved = None if shift is None else np.full((count, len(SENSORS)), shift) * SCALE
    rules = tiny_detector._rules
    assert rules.inspect(windows, out, moved, notes) == rules._of_others(windows, out, moved, notes)
