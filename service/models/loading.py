"""From a version's folder to a model that can answer, or the reason why it may not."""

import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from detector import Detector
from detector.artefact import Artefact, open_artefact
from detector.errors import ArtefactRefused
from detector.manifest import MANIFEST_FILE, Manifest, parse_manifest
from detector.operation import Operation
from detector.runtime import OpenRuntime
from service.batching import Batcher
from service.http.window_reader import WindowReader
from service.http.wire import ModelRef
from service.measuring.metrics import Metrics
from service.measuring.model_metrics import ModelMetrics
from service.models.networks import Networks
from service.models.version import LoadedModel
from service.settings import MEGABYTE, Settings

# Name and unit of each, in order.
Sensors = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What callers of a model rely on. version: whose sensors they are."""

    version: int
    sensors: Sensors

    @classmethod
    def of(cls, manifest: Manifest) -> "Inputs":
        return cls(manifest.version, tuple((sensor.name, sensor.unit) for sensor in manifest.sensors))


class Loader:
    """Verifies folders and opens what is in them. For any thread."""

    def __init__(self, settings: Settings, open_runtime: OpenRuntime, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._networks = Networks(
            open_runtime,
            settings.runtime_threads,
            settings.batch_windows,
            settings.models_mb * MEGABYTE,
            metrics,
        )

    def verify(self, folder: Path, name: str, number: int, wanted: Inputs | None) -> Artefact:
        """Check every file against its hash, and whether callers could use the model as they use `wanted`.

        Raises ArtefactRefused, OSError.
        """
        artefact = open_artefact(folder)
        check_identity(artefact, name, number)
        if wanted is not None:
            check_inputs(artefact, wanted)
        return artefact

    def load(self, artefact: Artefact) -> LoadedModel:
        """Open the network, replay its golden windows, start a worker. Raises ArtefactRefused, OSError."""
        detector = self.detector(artefact)
        metrics = ModelMetrics(self._metrics, detector)
        batcher = Batcher(
            detector,
            queue_windows=self._settings.queue_windows,
            batch_windows=self._settings.batch_windows,
            observer=metrics,
        )
        manifest = artefact.manifest
        loaded = LoadedModel(
            detector,
            WindowReader(manifest, self._settings.max_steps),
            batcher,
            metrics,
            ModelRef(manifest.name, manifest.version, artefact.sha256),
        )
        # Nobody has to know who the last one was that answered with it.
        weakref.finalize(loaded, _retire, batcher, metrics).atexit = False
        return loaded

    def detector(self, artefact: Artefact) -> Detector:
        """With a network of its own, since that serves one thread at a time. Raises ArtefactRefused."""
        operation = Operation.load(artefact.folder, len(artefact.manifest.sensors))
        return Detector(artefact, self._networks.of(artefact), operation)

    def recount(self) -> None:
        """After models were let go of."""
        self._networks.recount()


def first_inputs(folders: Sequence[Path]) -> Inputs | None:
    """Those of the first folder whose manifest can be read."""
    for folder in folders:
        try:
            return Inputs.of(parse_manifest((folder / MANIFEST_FILE).read_bytes(), folder))
        except (OSError, ArtefactRefused):
            continue
    return None


def check_identity(artefact: Artefact, name: str, number: int) -> None:
    """Raises ArtefactRefused for a folder that was renamed: its answers would name another model."""
    manifest = artefact.manifest
    if (manifest.name, manifest.version) != (name, number):
        raise ArtefactRefused(
            artefact.folder,
            f"the manifest is of {manifest.name}/{manifest.version}, the folder of {name}/{number}",
        )


def check_inputs(artefact: Artefact, wanted: Inputs) -> None:
    """Raises ArtefactRefused for other sensors, units or order of them: whoever posts rows would be judged by
    the wrong ones, and nobody would notice."""
    given = Inputs.of(artefact.manifest)
    if given.sensors == wanted.sensors:
        return
    names, wanted_names = ([name for name, _ in inputs.sensors] for inputs in (given, wanted))
    lacking = [name for name in wanted_names if name not in names]
    new = [name for name in names if name not in wanted_names]
    if lacking or new:
        told = [f"{what} {', '.join(them)}" for what, them in (("without", lacking), ("with", new)) if them]
        what = f"other sensors ({'; '.join(told)})"
    else:
        what = "another order of its sensors" if names != wanted_names else "other units"
    raise ArtefactRefused(
        artefact.folder,
        f"{what} than version {wanted.version}: a model for other inputs needs a name of its own",
    )


def _retire(batcher: Batcher, metrics: ModelMetrics) -> None:
    """The last one that answered with a model that was let go of has done so."""
    metrics.retire()
    with suppress(RuntimeError):  # the last one may have been its own worker
        batcher.close(0.0)
