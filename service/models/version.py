"""One version of one model, as the service knows it."""

from dataclasses import dataclass
from typing import Literal

from detector import Detector
from detector.artefact import Artefact
from service.batching import Batcher
from service.http.window_reader import WindowReader
from service.http.wire import ModelRef
from service.measuring.model_metrics import ModelMetrics
from service.models.networks import Network

State = Literal["loading", "ready", "refused"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedModel:
    """One version of a model that answers, with its own queue and worker.

    Whoever answers with it holds it until the answer is out. Once the catalogue has let go of it, and the
    last of them has, its worker ends (loading.py).
    """

    detector: Detector
    reader: WindowReader
    batcher: Batcher
    metrics: ModelMetrics
    ref: ModelRef

    @property
    def artefact(self) -> Artefact:
        return self.detector.artefact

    @property
    def in_memory(self) -> bool:
        """Whether its network is; the next batch opens it otherwise."""
        runtime = self.detector.runtime
        return not isinstance(runtime, Network) or runtime.is_open


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of one version in the store.

    loaded: when ready. reason: why it was refused; or why the files that are there now would be, while those
    that were loaded before go on answering.
    """

    name: str
    number: int
    state: State
    loaded: LoadedModel | None = None
    reason: str | None = None

    @property
    def refused(self) -> bool:
        """Whether what lies in the store is refused, whatever answers."""
        return self.state == "refused" or (self.state == "ready" and self.reason is not None)
