"""The model store: `<root>/<name>/<version>/`, versions being increasing integers."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detector.errors import ModelNotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_model_name(name: str) -> bool:
    """Whether `name` can name a model; nothing else ever becomes part of a path."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Stamp:
    """How the files of a version look from outside: another value once one of them has changed.

    files: of each its path, inode, size, and times of change in nanoseconds, as the file system tells them.
    newest: the latest of those times that no tool can set back, nanoseconds since the epoch.
    """

    files: tuple[tuple[str, int, int, int, int], ...]
    newest: int


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Finds the folders of models; reads none of them."""

    root: Path

    def names(self) -> list[str]:
        """Names of the models that have at least one version, in alphabetical order."""
        if not self.root.is_dir():
            return []
        found = (entry.name for entry in self.root.iterdir() if entry.is_dir() and is_model_name(entry.name))
        return sorted(name for name in found if self.versions(name))

    def versions(self, name: str) -> list[int]:
        """Versions of a model, oldest first; empty for a name that is unknown or not a name."""
        return sorted(self._versions(name))

    def _versions(self, name: str) -> Iterator[int]:
        if is_model_name(name) and (self.root / name).is_dir():
            for entry in (self.root / name).iterdir():
                if _VERSION.fullmatch(entry.name) and entry.is_dir():
                    yield int(entry.name)

    def stamp(self, name: str, version: int) -> Stamp:
        """Without reading any file. Raises OSError when the folder cannot be looked into, or is gone."""
        folder = self.root / name / str(version)
        files = []
        for parent, _, names in os.walk(folder, onerror=_raise):
            for path in (os.path.join(parent, name) for name in names):
                found = os.stat(path)
                files.append((path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        return Stamp(tuple(sorted(files)), max((file[-1] for file in files), default=0))

    def folder(self, name: str, version: int | None = None) -> Path:
        """Folder of a version, the newest unless given. Raises ModelNotFound, naming what there is."""
        versions = self.versions(name)
        if not versions:
            raise ModelNotFound(
                f"no model {name!r} in the store; it has: {', '.join(self.names()) or 'none'}"
            )
        if version is None:
            version = versions[-1]
        if version not in versions:
            raise ModelNotFound(
                f"model {name!r} has no version {version}; it has: {', '.join(map(str, versions))}"
            )
        return self.root / name / str(version)


def _raise(error: OSError) -> None:
    raise error
