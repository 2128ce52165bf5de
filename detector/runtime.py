"""What runs a model's network. Any runtime can stand in for another: they agree to 1e-4."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from detector.windows import Batch, Singles


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network says of a batch, before any calibration.

    standardised: float32 (windows, steps, sensors); 0 where nothing was observed.
    reconstruction: float32, same shape; what the network expected, standardised.
    logits: float32 (windows, classes).
    """

    standardised: Singles
    reconstruction: Singles
    logits: Singles


class Runtime(Protocol):
    """A loaded network. Safe to call from one thread at a time."""

    name: str

    def run(self, batch: Batch) -> Outputs: ...


class OpenRuntime(Protocol):
    """Opens the network in an artefact's folder."""

    def __call__(self, folder: Path, threads: int = 1) -> Runtime: ...
