"""The models of a store that are loaded, those that were refused, and which one answers by default."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from detector import Detector, ModelStore
from detector.artefact import Artefact
from detector.errors import ArtefactRefused, DetectorError, ModelNotFound
from detector.runtime import OpenRuntime
from service.batching import Batcher
from service.errors import NotReady
from service.http.window_reader import WindowReader
from service.http.wire import ModelRef
from service.measuring.metrics import Metrics
from service.measuring.model_metrics import ModelMetrics
from service.settings import Settings

_log = logging.getLogger(__name__)
State = Literal["loading", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One version of a model that answers, with its own queue and worker."""

    detector: Detector
    reader: WindowReader
    batcher: Batcher
    metrics: ModelMetrics
    ref: ModelRef

    @property
    def artefact(self) -> Artefact:
        return self.detector.artefact


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of one version in the store. loaded: only when ready; reason: only when refused."""

    name: str
    number: int
    state: State
    loaded: LoadedModel | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Catalogue:
    """name -> number -> version; replaced as a whole, so that readers need no lock."""

    versions: dict[str, dict[int, Version]] = field(default_factory=dict)
    finished: bool = False


class Models:
    """Loads a store once and finds models in it. Loading is for one thread, finding for any."""

    def __init__(self, settings: Settings, open_runtime: OpenRuntime, metrics: Metrics) -> None:
        self._settings = settings
        self._store = ModelStore(settings.models)
        self._open_runtime = open_runtime
        self._metrics = metrics
        self._catalogue = _Catalogue()
        self._lock = threading.Lock()

    def load(self, prepare: Callable[[LoadedModel], None]) -> None:
        """Load the newest good versions of every model; a bad one is noted and stops no other. Blocks.

        prepare: is run for each version that is good, before it answers.
        """
        try:
            for name in self._store.names():
                self._load_newest(name, prepare)
        finally:
            with self._lock:
                self._catalogue = replace(self._catalogue, finished=True)

    def close(self, timeout_s: float) -> None:
        """Answer what is queued, then stop the workers. Blocks."""
        for version in self.all():
            if version.loaded:
                version.loaded.batcher.close(timeout_s)

    def all(self) -> list[Version]:
        """Every version that was looked at: names in order, newest first."""
        return list(self._each())

    def default_name(self) -> str | None:
        """The model that the settings name, else the first one that answers."""
        if self._settings.default_model is not None:
            return self._settings.default_model
        return next((version.name for version in self._each() if version.loaded), None)

    def default(self) -> LoadedModel | None:
        """The default model if it answers."""
        name = self.default_name()
        return None if name is None else self._newest(name)

    def find(self, name: str | None = None, number: int | None = None) -> LoadedModel:
        """A model that answers; the default model, the newest version unless given.

        Raises NotReady while it is loading or when no model is loaded, ModelNotFound naming what there is.
        """
        catalogue = self._catalogue
        if name is None:
            name = self.default_name()
            if name is None:
                raise NotReady(
                    "no model could be loaded; /models says why"
                    if catalogue.finished
                    else "models are being loaded"
                )
        known = catalogue.versions.get(name, {})
        version = known.get(number) if number is not None else None
        loaded = self._newest(name) if number is None else (version.loaded if version else None)
        if loaded is not None:
            return loaded
        if not catalogue.finished:
            raise NotReady("models are being loaded")
        raise self._not_found(name, number)

    def versions(self, name: str) -> list[Version]:
        """All that is known of a model, newest first. Raises ModelNotFound."""
        known = [version for version in self._each() if version.name == name]
        if not known:
            raise self._not_found(name, None)
        return known

    def loaded(self, name: str) -> list[LoadedModel]:
        """The versions of a model that answer, newest first."""
        return [version.loaded for version in self._each() if version.name == name and version.loaded]

    @property
    def finished(self) -> bool:
        """Whether loading has come to its end, for good or bad."""
        return self._catalogue.finished

    def hanging(self) -> list[str]:
        """Models whose worker does not come back, as `name/version`."""
        after_s = self._settings.hang_after_s
        return [
            f"{version.name}/{version.number}"
            for version in self._each()
            if version.loaded and version.loaded.batcher.hangs(after_s)
        ]

    def _load_newest(self, name: str, prepare: Callable[[LoadedModel], None]) -> None:
        wanted = self._settings.versions_per_model
        for number in reversed(self._store.versions(name)):
            if wanted == 0:
                return
            self._put(Version(name, number, "loading"))
            version = self._load(name, number)
            if version.loaded:
                prepare(version.loaded)
                wanted -= 1
            self._put(version)

    def _each(self) -> Iterator[Version]:
        versions = self._catalogue.versions
        for name in sorted(versions):
            yield from (versions[name][number] for number in sorted(versions[name], reverse=True))

    def _newest(self, name: str) -> LoadedModel | None:
        known = self._catalogue.versions.get(name, {})
        return next(
            (known[number].loaded for number in sorted(known, reverse=True) if known[number].loaded), None
        )

    def _not_found(self, name: str, number: int | None) -> DetectorError:
        known = [version for version in self._each() if version.name == name]
        if number is not None and known:
            refused = next((v.reason for v in known if v.number == number and v.state == "refused"), None)
            there = ", ".join(str(v.number) for v in known if v.loaded) or "none"
            why = f" was refused ({refused})" if refused else " is not loaded"
            return ModelNotFound(f"version {number} of model {name!r}{why}; loaded are: {there}")
        if known:
            return ModelNotFound(f"no version of model {name!r} could be loaded: {known[0].reason}")
        names = sorted({version.name for version in self._each() if version.loaded})
        return ModelNotFound(f"no model {name[:80]!r} is loaded; loaded are: {', '.join(names) or 'none'}")

    def _put(self, version: Version) -> None:
        with self._lock:
            old = self._catalogue.versions
            new = {**old, version.name: {**old.get(version.name, {}), version.number: version}}
            self._catalogue = replace(self._catalogue, versions=new)
        self._metrics.refused[0] = sum(v.state == "refused" for v in self._each())

    def _load(self, name: str, number: int) -> Version:
        folder = self._store.root / name / str(number)
        try:
            detector = Detector.load(folder, self._open_runtime, self._settings.runtime_threads)
            check_identity(detector, name, number)
        except Exception as error:  # whatever is wrong with one folder must not stop the others
            reason = (
                error.reason if isinstance(error, ArtefactRefused) else f"{type(error).__name__}: {error}"
            )
            _log.error(
                "model refused", extra={"fields": {"model": name, "version": number, "reason": reason}}
            )
            return Version(name, number, "refused", reason=reason)
        metrics = ModelMetrics(self._metrics, detector)
        batcher = Batcher(
            detector,
            queue_windows=self._settings.queue_windows,
            batch_windows=self._settings.batch_windows,
            observer=metrics,
        )
        _log.info("model loaded", extra={"fields": {"model": name, "version": number}})
        return Version(
            name,
            number,
            "ready",
            LoadedModel(
                detector,
                WindowReader(detector.manifest, self._settings.max_steps),
                batcher,
                metrics,
                ModelRef(name, number, detector.artefact.sha256),
            ),
        )


def check_identity(detector: Detector, name: str, number: int) -> None:
    """Raises ArtefactRefused for a folder that was renamed: its answers would name another model."""
    manifest = detector.manifest
    if (manifest.name, manifest.version) != (name, number):
        raise ArtefactRefused(
            detector.artefact.folder,
            f"the manifest is of {manifest.name}/{manifest.version}, the folder of {name}/{number}",
        )


def second_detector(loaded: LoadedModel, open_runtime: OpenRuntime, threads: int) -> Detector:
    """The same model once more, for work beside the queue: a runtime serves one thread at a time."""
    folder = loaded.artefact.folder
    return Detector(loaded.artefact, open_runtime(folder, threads=threads), loaded.detector.operation)
