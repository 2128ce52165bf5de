"""What the rest of the service asks of its models, and what people decide about them."""

import logging

from detector import Detector, ModelStore
from detector.runtime import OpenRuntime
from service.errors import StateUnavailable, WrongContent
from service.measuring.metrics import Metrics
from service.models.catalogue import Catalogue
from service.models.choices import Choice, Choices, ChoicesFile
from service.models.current import Current
from service.models.loading import Loader
from service.models.scanning import Change, Prepare, Scanner
from service.models.version import LoadedModel, Version
from service.settings import Settings

_log = logging.getLogger(__name__)


class Models:
    """Finding is for any thread and never waits; `load`, `scan`, `choose` and `challenge` block."""

    def __init__(self, settings: Settings, open_runtime: OpenRuntime, metrics: Metrics) -> None:
        """Raises StateUnavailable when there are choices that cannot be read."""
        self._hang_after_s = settings.hang_after_s
        self._choices = ChoicesFile(settings.state)
        self._followed = self._choices.known
        self._asked = self._followed.asked
        self._asking = False
        self._current = Current(Catalogue(settings.default_model, self._choices.known), metrics)
        self._loader = Loader(settings, open_runtime, metrics)
        self._scanner = Scanner(
            ModelStore(settings.models), self._loader, self._current, settings.versions_per_model
        )

    def all(self) -> list[Version]:
        """Every version that was looked at: names in order, newest first."""
        return list(self._catalogue.all())

    def default_name(self) -> str | None:
        """The model that the settings name, else the first one that answers."""
        return self._catalogue.default_name

    def default(self) -> LoadedModel | None:
        """The default model if it answers."""
        name = self.default_name()
        return None if name is None else self._catalogue.live.get(name)

    def find(self, name: str | None = None, number: int | None = None) -> LoadedModel:
        """A model that answers; the default model, its live version unless given.

        Raises NotReady while it is loading or when no model is loaded, ModelNotFound naming what there is.
        """
        return self._catalogue.find(name, number)

    def versions(self, name: str) -> list[Version]:
        """All that is known of a model, newest first. Raises ModelNotFound."""
        catalogue = self._catalogue
        known = catalogue.of(name)
        if not known:
            raise catalogue.not_found(name, None)
        return known

    def loaded(self, name: str) -> list[LoadedModel]:
        """The versions of a model that answer when they are named, newest first."""
        return [version.loaded for version in self._catalogue.of(name) if version.loaded]

    def live(self, name: str) -> LoadedModel | None:
        return self._catalogue.live.get(name)

    def challenger(self, model: LoadedModel) -> LoadedModel | None:
        """What is tried beside a model; None unless that is the live version."""
        catalogue = self._catalogue
        found = catalogue.challengers.get(model.ref.name)
        return None if found is None or catalogue.live.get(model.ref.name) is not model else found

    def choice(self, name: str) -> Choice:
        """What people decided about a model."""
        return self._catalogue.choices.of(name)

    def previous(self, name: str) -> int | None:
        """The version that a roll-back goes to."""
        return self._catalogue.previous(name)

    @property
    def finished(self) -> bool:
        """Whether the store was gone through once, for good or bad."""
        return self._catalogue.finished

    @property
    def unsettled(self) -> bool:
        """Whether a version is being copied in, so that it is worth to look again soon."""
        return self._scanner.unsettled

    @property
    def busy(self) -> bool:
        """Whether windows wait for any model."""
        return any(version.loaded and version.loaded.batcher.waiting for version in self._catalogue.all())

    def hanging(self) -> list[str]:
        """Models whose worker does not come back, as `name/version`."""
        after_s = self._hang_after_s
        return [
            f"{version.name}/{version.number}"
            for version in self._catalogue.all()
            if version.loaded and version.loaded.batcher.hangs(after_s)
        ]

    def follow(self) -> bool:
        """Take over what people decided, by whichever worker. Returns whether the store is to be looked at.

        Microseconds where nothing changed, and no lock that a scan holds for long: a roll-back does not wait.
        """
        if self._asking:
            return False
        if self._choices.changed():
            try:
                self._choices.read()
            except StateUnavailable as error:
                _log.error("choices cannot be read", extra={"fields": {"reason": str(error)}})
        now = self._choices.known
        if now is self._followed:
            return False
        self._followed = now
        self._current.decide(now)
        asked, self._asked = now.asked != self._asked, now.asked
        return asked or any(self._missing(name, now.of(name)) for name in now.models)

    def choose(self, name: str, number: int | None, prepare: Prepare) -> None:
        """Have a version answer from now on, in every worker; None: whatever is the newest good one.

        Raises ModelNotFound when it is not there or was refused, StateUnavailable.
        """
        if number is not None:
            self._scanner.ensure(name, number, prepare)
        elif self._catalogue.live.get(name) is None:
            raise self._catalogue.not_found(name, None)
        live = self._catalogue.live.get(name)
        answering = None if live is None else live.ref.version

        def edit(choices: Choices) -> Choices:
            old = choices.of(name)
            if number is None:
                return choices.put(name, Choice(challenger=old.challenger))
            return choices.put(name, old.with_live(number, answering))

        self._current.decide(self._choices.change(edit))

    def challenge(self, name: str, number: int | None, prepare: Prepare) -> None:
        """Try a version beside the live one, in every worker; None: no more. The version that answers stays.

        Raises ModelNotFound, WrongContent, StateUnavailable.
        """
        if number is not None:
            self._scanner.ensure(name, number, prepare)
        live = self._catalogue.live.get(name)
        if live is None:
            raise self._catalogue.not_found(name, None)
        if live.ref.version == number:
            raise WrongContent(
                f"version {number} of model {name!r} is the one that answers",
                place="version",
                expected="another version, to be tried beside it",
            )

        def edit(choices: Choices) -> Choices:
            old = choices.of(name)
            return choices.put(name, Choice(old.live, old.before, number))

        self._current.decide(self._choices.change(edit))

    def ask_all(self) -> None:
        """Have every other worker look at the store, at what it refused too. Raises StateUnavailable."""
        self._asking = True
        try:
            made = self._choices.change(lambda choices: Choices(choices.models, choices.asked + 1))
            if made.asked == self._asked + 1:  # otherwise somebody else asked too
                self._asked = made.asked
        finally:
            self._asking = False

    def load(self, prepare: Prepare) -> None:
        """Go through the store for the first time."""
        try:
            self._scanner.scan(prepare)
        finally:
            self._current.finish()

    def scan(self, prepare: Prepare, *, again: bool = False) -> list[Change]:
        """Go through it once more; see `Scanner.scan`."""
        return self._scanner.scan(prepare, again=again)

    def second_detector(self, model: LoadedModel) -> Detector:
        """The same model once more, for work beside the queue. Raises ArtefactRefused."""
        return self._loader.detector(model.artefact)

    def close(self, timeout_s: float) -> None:
        """Answer what is queued, then stop the workers. Blocks."""
        self._scanner.close()
        for version in self._catalogue.all():
            if version.loaded:
                version.loaded.batcher.close(timeout_s)

    @property
    def _catalogue(self) -> Catalogue:
        return self._current.catalogue

    def _missing(self, name: str, choice: Choice) -> bool:
        """Whether a version that was chosen is not loaded."""
        found = [self._catalogue.get(name, n) for n in (choice.live, choice.challenger) if n is not None]
        return any(version is None or version.loaded is None for version in found)
