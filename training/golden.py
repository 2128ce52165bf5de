"""The golden windows of an artefact: simulated, so that no plant's data is shipped."""

import numpy as np

from detector.artefact import Golden
from detector.manifest import Manifest
from detector.runtime import Runtime
from detector.windows import Floats, stack
from history.faults import FAULTS
from history.twin import Twin

FAULT_SIZE = 5.0


def golden_windows(twin: Twin, manifest: Manifest, rng: np.random.Generator) -> list[Floats]:
    """A full normal window, one with a fault, one with missing readings and a dead sensor, a short one."""
    steps, least = manifest.window.steps, manifest.window.minimum_steps
    series = twin.simulate(4 * steps, rng)
    normal, faulty, holed, short = (series[k * steps : (k + 1) * steps].copy() for k in range(4))
    standardised = ((faulty - twin.center) / twin.scale).astype(np.float32)
    FAULTS["shift"].inject(standardised, steps // 3, np.array([0]), FAULT_SIZE, rng)
    faulty = standardised * twin.scale + twin.center
    holed[rng.random(holed.shape) < 0.1] = np.nan
    if holed.shape[1] > 1:
        holed[:, -1] = np.nan
    return [normal, faulty, holed, short[:least]]


def make_golden(twin: Twin, manifest: Manifest, reference: Runtime, rng: np.random.Generator) -> Golden:
    """The windows with the answers of the reference runtime.

    Any other runtime must reproduce them when it loads the artefact.
    """
    batch = stack(golden_windows(twin, manifest, rng), manifest.center, manifest.scale)
    return Golden(batch, reference.run(batch))
