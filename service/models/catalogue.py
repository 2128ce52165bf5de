"""What is known of the models at one moment: versions, which of them answers, which is tried beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from detector.errors import DetectorError, ModelNotFound
from service.errors import NotReady
from service.models.choices import Choices
from service.models.version import LoadedModel, Version


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Never changed, only replaced as a whole: readers need no lock, and a switch is one assignment.

    versions: name -> number -> version. named_default: as the settings say. finished: whether the store was
    gone through once, for good or bad.
    live: by name, what answers requests that name the model and no version of it. challengers: by name, what
    is tried beside the live version, if that is loaded and another one. default_name: the model that the
    settings name, else the first one that answers.
    """

    named_default: str | None
    choices: Choices
    versions: Mapping[str, Mapping[int, Version]] = field(default_factory=dict)
    finished: bool = False
    live: Mapping[str, LoadedModel] = field(init=False)
    challengers: Mapping[str, LoadedModel] = field(init=False)
    default_name: str | None = field(init=False)

    def __post_init__(self) -> None:
        live = {name: model for name in self.versions if (model := self._answering(name)) is not None}
        object.__setattr__(self, "live", live)
        tried = {name: model for name in self.versions if (model := self._challenging(name)) is not None}
        object.__setattr__(self, "challengers", tried)
        object.__setattr__(self, "default_name", self.named_default or next(iter(sorted(live)), None))

    def put(self, version: Version) -> "Catalogue":
        of_name = {**self.versions.get(version.name, {}), version.number: version}
        return replace(self, versions={**self.versions, version.name: of_name})

    def without(self, name: str, number: int) -> "Catalogue":
        of_name = {k: v for k, v in self.versions.get(name, {}).items() if k != number}
        others = {k: v for k, v in self.versions.items() if k != name}
        return replace(self, versions={**others, name: of_name} if of_name else others)

    def all(self) -> Iterator[Version]:
        """Names in order, newest first."""
        for name in sorted(self.versions):
            yield from self.of(name)

    def of(self, name: str) -> list[Version]:
        """Newest first; empty for a name that is unknown."""
        known = self.versions.get(name, {})
        return [known[number] for number in sorted(known, reverse=True)]

    def get(self, name: str, number: int) -> Version | None:
        return self.versions.get(name, {}).get(number)

    def _challenging(self, name: str) -> LoadedModel | None:
        number = self.choices.of(name).challenger
        version = None if number is None else self.get(name, number)
        loaded = version.loaded if version else None
        return None if loaded is self.live.get(name) else loaded

    def previous(self, name: str) -> int | None:
        """The version to go back to: the one that answered before, else the next older good one."""
        live = self.live.get(name)
        if live is None:
            return None
        known = {version.number: version for version in self.of(name)}
        # One that is not among the newest any more is loaded when it is gone back to.
        before = [n for n in self.choices.of(name).before if n not in known or known[n].loaded]
        older = [n for n, version in known.items() if version.loaded and n < live.ref.version]
        return before[-1] if before else next(iter(older), None)

    def find(self, name: str | None, number: int | None) -> LoadedModel:
        """Raises NotReady while it is loading or none is loaded, ModelNotFound saying what there is."""
        if name is None:
            name = self.default_name
            if name is None:
                raise NotReady(
                    "no model could be loaded; /models says why"
                    if self.finished
                    else "models are being loaded"
                )
        version = None if number is None else self.get(name, number)
        loaded = self.live.get(name) if number is None else (version.loaded if version else None)
        if loaded is not None:
            return loaded
        if not self.finished:
            raise NotReady("models are being loaded")
        raise self.not_found(name, number)

    def not_found(self, name: str, number: int | None) -> DetectorError:
        known = self.of(name)
        if number is not None and known:
            refused = next((v.reason for v in known if v.number == number and v.state == "refused"), None)
            there = ", ".join(str(v.number) for v in known if v.loaded) or "none"
            why = f" was refused ({refused})" if refused else " is not loaded"
            return ModelNotFound(f"version {number} of model {name!r}{why}; loaded are: {there}")
        if known:
            return ModelNotFound(f"no version of model {name!r} could be loaded: {known[0].reason}")
        names = sorted({version.name for version in self.all() if version.loaded})
        return ModelNotFound(f"no model {name[:80]!r} is loaded; loaded are: {', '.join(names) or 'none'}")

    def _answering(self, name: str) -> LoadedModel | None:
        """The version that was chosen. Failing that, once all are loaded, the newest good one that is older,
        so that what was rolled back from stays so; failing that, any. Where none was chosen, the newest good
        one. A challenger answers only if nothing else can.
        """
        choice = self.choices.of(name)
        good = [version for version in self.of(name) if version.loaded]
        tried = [version for version in good if version.number != choice.challenger]
        if choice.live is not None:
            chosen = [version for version in tried if version.number == choice.live]
            older = [version for version in tried if version.number < choice.live]
            tried = chosen or (older or tried if self.finished else [])
        answering = next(iter(tried or (good if self.finished else [])), None)
        return answering.loaded if answering else None
