"""A small made-up plant: three correlated sensors, so that tests judge on something that is known."""

import numpy as np

from history.quality import measure_quality
from history.recording import Recording

SENSORS = ("Pressure", "Flow", "Temperature")
CENTER = np.array([4.0, 120.0, 60.0])
SCALE = np.array([0.2, 6.0, 1.5])
START = 1_790_000_000.0


def normal_operation(rows: int, seed: int) -> np.ndarray:
    """(rows, 3), engineering units: an autoregression whose sensors move together."""
    rng = np.random.default_rng(seed)
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.2, 0.3, 0.9]])
    noise = rng.standard_normal((rows + 200, 3)) @ mixing.T
    state = np.zeros(3)
    out = np.empty((rows + 200, 3))
    for step in range(rows + 200):
        state = 0.8 * state + 0.6 * noise[step]
        out[step] = state
    return CENTER + SCALE * out[200:]


def recording(
    name: str,
    rows: int = 400,
    seed: int = 0,
    fault: tuple[int, int] | None = None,
    sensor: int = 0,
    size: float = 5.0,
    labelled: bool = True,
) -> Recording:
    """Normal operation at 1 Hz; `fault` shifts one sensor by `size` deviations in rows [first, last)."""
    values = normal_operation(rows, seed)
    labels = np.full(rows, "normal", "<U16")
    if fault is not None:
        values[fault[0] : fault[1], sensor] += size * SCALE[sensor]
        labels[fault[0] : fault[1]] = "anomalous"
    timestamps = START + np.arange(rows, dtype=np.float64)
    quality = measure_quality(SENSORS, values, np.zeros(values.shape, np.bool_), timestamps)
    return Recording(
        name, SENSORS, values, timestamps, labels if labelled else None, np.arange(1, rows + 1), quality
    )


def to_csv(item: Recording) -> str:
    """The recording as a historian would export it."""
    lines = [",".join(["time", *item.sensors, *(["anomaly"] if item.labels is not None else [])])]
    for row in range(len(item.values)):
        stamp = np.datetime64(int(item.timestamps[row]), "s")
        cells = [str(stamp), *(f"{value:.6g}" for value in item.values[row])]
        if item.labels is not None:
            cells.append(str(int(item.labels[row] == "anomalous")))
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"
