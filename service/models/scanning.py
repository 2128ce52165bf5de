"""Looking through the store: what is new is loaded, what is bad is noted, what is gone is let go of."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from detector import ModelStore
from detector.errors import ArtefactRefused
from detector.store import Stamp
from service.models.current import Current
from service.models.loading import Inputs, Loader, Sensors, first_inputs
from service.models.networks import Network
from service.models.version import LoadedModel, Version

_log = logging.getLogger(__name__)
# A bad version whose files changed a shorter time ago may be one that is still being copied.
SETTLED_AFTER_S = 2.0
Prepare = Callable[[LoadedModel], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What looking at the store changed."""

    name: str
    number: int
    what: Literal["loaded", "refused", "removed"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What a version looked like when it was judged, and what it was held against.

    since: time.monotonic when it was first seen so. settled: whether the judgement holds until that changes.
    """

    stamp: Stamp
    sensors: Sensors | None
    since: float
    settled: bool


class Scanner:
    """`scan` and `ensure` block, and wait for each other."""

    def __init__(self, store: ModelStore, loader: Loader, current: Current, versions_per_model: int) -> None:
        self._store = store
        self._loader = loader
        self._current = current
        self._wanted = versions_per_model
        self._scanning = threading.Lock()
        self._looks: dict[tuple[str, int], _Look] = {}
        self._closing = False
        self.unsettled = False

    def scan(self, prepare: Prepare, *, again: bool = False) -> list[Change]:
        """Load what is new, let go of what is gone; a bad version is noted and stops no other.

        prepare: is run for each version that is good, before it answers.
        again: judge versions anew that were refused, though their files have not changed.
        """
        changes: list[Change] = []
        with self._scanning:
            self.unsettled = False
            names = self._store.names()
            known = {version.name for version in self._current.catalogue.all()}
            if not names and known:
                # A share that is not mounted looks like this; nobody publishes an empty store.
                _log.warning("no model is in the store; those that were loaded go on answering")
                return changes
            for name in sorted({*names, *known}):
                try:
                    changes += self._scan_model(name, prepare, again)
                except OSError as error:
                    fields = {"model": name, "reason": error.strerror or type(error).__name__}
                    _log.warning("model cannot be looked at", extra={"fields": fields})
        self._loader.recount()
        return changes

    def ensure(self, name: str, number: int, prepare: Prepare) -> None:
        """Load a version that is named, whether or not it is among the newest.

        Raises ModelNotFound when it is not there or was refused.
        """
        version = self._current.catalogue.get(name, number)
        if version is None or version.loaded is None:
            with self._scanning:
                numbers = self._store.versions(name)
                if number in numbers:
                    self._look(name, number, self._inputs(name, numbers), prepare, again=True)
            version = self._current.catalogue.get(name, number)
        if version is None or version.loaded is None:
            raise self._current.catalogue.not_found(name, number)

    def close(self) -> None:
        """Load nothing more; wait for what is being loaded."""
        self._closing = True
        with self._scanning:
            return

    def _scan_model(self, name: str, prepare: Prepare, again: bool) -> list[Change]:
        numbers = self._store.versions(name)
        inputs = self._inputs(name, numbers)
        choice = self._current.catalogue.choices.of(name)
        wanted = self._wanted
        kept: set[int] = set()
        changes: list[Change | None] = []
        for number in reversed(numbers):
            if self._closing:
                return []
            if wanted == 0 and number not in (choice.live, choice.challenger):
                continue
            kept.add(number)
            changes.append(self._look(name, number, inputs, prepare, again))
            version = self._current.catalogue.get(name, number)
            if version and version.loaded and number != choice.challenger:
                wanted = max(wanted - 1, 0)
        for version in self._current.catalogue.of(name):
            if version.number not in kept:
                changes.append(self._remove(version))
        return [change for change in changes if change]

    def _inputs(self, name: str, numbers: list[int]) -> Inputs | None:
        """What callers of a model rely on: the version that answers; before there is one, the version that
        was chosen, or else the oldest, so that a restart refuses what was refused while it ran."""
        live = self._current.catalogue.live.get(name)
        if live is not None and live.ref.version in numbers:
            return Inputs.of(live.detector.manifest)
        chosen = self._current.catalogue.choices.of(name).live
        order = sorted(numbers, key=lambda number: (number != chosen, number))
        return first_inputs([self._store.root / name / str(number) for number in order])

    def _look(
        self, name: str, number: int, inputs: Inputs | None, prepare: Prepare, again: bool
    ) -> Change | None:
        known = self._current.catalogue.get(name, number)
        old = self._looks.get((name, number))
        stamp = self._store.stamp(name, number)
        now = time.monotonic()
        since = old.since if old and old.stamp == stamp else now
        sensors = inputs.sensors if inputs else None
        if known and old == _Look(stamp, sensors, since, settled=True) and not (again and known.refused):
            return None
        if known is None:
            known = Version(name, number, "loading")
            self._current.put(known)
        version, passing = self._judge(known, inputs)
        copied = self._current.catalogue.finished and now - since < SETTLED_AFTER_S > _age_s(stamp)
        settled = not (version.refused and (copied or passing))
        self._looks[name, number] = _Look(stamp, sensors, since, settled)
        if version.refused and copied:
            self.unsettled = True
            self._put_off(known, f"{version.reason} (its files still change)")
            return None
        if version.loaded and version.loaded is not known.loaded:
            try:
                prepare(version.loaded)
            except Exception as error:  # the next look may find the state in order
                del self._looks[name, number]
                _log.exception("assets could not be set up for a version")
                self._put_off(known, f"assets could not be set up for it: {type(error).__name__}")
                return None
        self._current.put(version)
        return self._told(version, known)

    def _put_off(self, known: Version, reason: str) -> None:
        """Judge it at a later look; what answers goes on answering."""
        if known.loaded is None:
            self._current.put(Version(known.name, known.number, "loading", reason=reason))

    def _judge(self, known: Version, inputs: Inputs | None) -> tuple[Version, bool]:
        """What a version is, and whether what is wrong with it may pass without its files changing."""
        name, number, answering = known.name, known.number, known.loaded
        try:
            artefact = self._loader.verify(self._store.root / name / str(number), name, number, inputs)
            if answering and artefact.sha256 == answering.ref.sha256:
                return Version(name, number, "ready", answering), False
            return Version(name, number, "ready", self._loader.load(artefact)), False
        except ArtefactRefused as error:
            reason, passing = error.reason, False
        except Exception as error:  # whatever is wrong with one folder must not stop the others
            reason, passing = f"{type(error).__name__}: {error}", not isinstance(error, ValueError)
        if answering is None or not answering.in_memory:
            return Version(name, number, "refused", reason=reason), passing
        if isinstance(answering.detector.runtime, Network):
            answering.detector.runtime.keep()
        reason = f"{reason}; what was loaded before goes on answering"
        return Version(name, number, "ready", answering, reason), passing

    def _told(self, version: Version, known: Version) -> Change | None:
        """Note what became of a version, unless that is nothing new."""
        fields: dict[str, object] = {"model": version.name, "version": version.number}
        if version.refused:
            if known.refused and known.reason == version.reason:
                return None
            self._current.count("refused")
            _log.error("model refused", extra={"fields": {**fields, "reason": version.reason}})
            return Change(version.name, version.number, "refused", version.reason)
        if version.loaded is known.loaded:
            return None
        self._current.count("loaded")
        _log.info("model loaded", extra={"fields": fields})
        return Change(version.name, version.number, "loaded")

    def _remove(self, version: Version) -> Change:
        self._looks.pop((version.name, version.number), None)
        self._current.remove(version.name, version.number)
        self._current.count("removed")
        _log.info("model removed", extra={"fields": {"model": version.name, "version": version.number}})
        return Change(version.name, version.number, "removed")


def _age_s(stamp: Stamp) -> float:
    """Since the last change of any file, by the clock that stamps files."""
    return max(time.time() - stamp.newest / 1e9, 0.0)
