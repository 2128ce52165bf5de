"""Windows of the embedded model's plant, as a client sends them."""

from typing import Any

import numpy as np

from detector import ModelStore
from history.twin import Twin
from tests.containers.engine import ROOT

MODEL = "pump-loop"
SHIFT = 8.0


def request(windows: int = 1, shifted: str | None = None) -> dict[str, Any]:
    """A body for /classify. shifted: sensor that reads too high by SHIFT standard deviations."""
    twin = Twin.load(ModelStore(ROOT / "models").folder(MODEL) / "twin.npz")
    rng = np.random.default_rng(5)
    made = []
    for number in range(windows):
        values = twin.simulate(30, rng)
        if shifted is not None:
            sensor = twin.sensors.index(shifted)
            values[10:, sensor] += SHIFT * twin.scale[sensor]
        readings = {name: values[:, column].round(5).tolist() for column, name in enumerate(twin.sensors)}
        made.append({"id": number, "readings": readings})
    return {"model": MODEL, "windows": made, "explain": True}
