"""The embedded model on windows of the real rig."""

import numpy as np
import pytest

from detector import Detector, ModelStore, Window
from detector.windows import segments, window_ends, windows_ending_at
from history.read import read_file
from tests.conftest import ROOT
from training.keras_runtime import KerasRuntime

FILES = ["valve2/0.csv", "valve1/3.csv", "other/9.csv"]


@pytest.fixture(scope="module")
def both() -> tuple[Detector, Detector]:
    folder = ModelStore(ROOT / "models").folder("pump-loop")
    return Detector.load(folder), Detector.load(folder, KerasRuntime)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("steps", [30, 17], ids=["full", "short"])
def test_both_runtimes_agree_on_real_windows(both, data_folder, name, steps):
    onnx, keras = both
    recording = read_file(data_folder / "skab" / name).select(onnx.sensors)
    baseline = onnx.commission(recording.values[:400], recording.timestamps[:400])
    shape = onnx.manifest.window
    runs = segments(recording.timestamps, len(recording), shape.period_s, shape.max_gap_periods)
    ends = window_ends(runs, shape.minimum_steps, stride=4)[:300]
    values = windows_ending_at(recording.values, runs, ends, steps)
    windows = [Window(window, baseline if index % 2 else None) for index, window in enumerate(values)]
    (batch, one), (_, other) = onnx.run(windows), keras.run(windows)
    given = np.arange(batch.readings.shape[1])[None, :] < batch.lengths[:, None]
    assert np.abs(one.logits - other.logits).max() < 1e-4
    assert np.abs(one.standardised - other.standardised).max() < 1e-4
    assert np.abs(one.reconstruction - other.reconstruction)[given].max() < 1e-4
