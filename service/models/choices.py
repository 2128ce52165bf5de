"""Which version of a model is to answer, and which to be tried beside it: what people decided.

One small file in the state folder, so that a store that is read-only can be served, and so that every worker
of a service sees the same. It is replaced in one step, and looked at by its time of change only.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from service.errors import StateUnavailable

CHOICES_FILE = "models.json"
_LOCK_FILE = "models.lock"
# How many of a model's earlier versions are remembered, to go back to.
_MOST_BEFORE = 8


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one model. live: the version that answers; None: the newest good one. before: versions that answered
    before it was chosen, the latest last. challenger: is tried beside the live one, and never answers for it.
    """

    live: int | None = None
    before: tuple[int, ...] = ()
    challenger: int | None = None

    def with_live(self, number: int, answering: int | None) -> "Choice":
        """Going on to another version remembers the one that answers; going back forgets what came after."""
        if number in self.before:
            before = self.before[: self.before.index(number)]
        elif answering is None or answering == number:
            before = self.before
        elif number > answering:
            before = (*self.before, answering)[-_MOST_BEFORE:]
        else:
            before = tuple(earlier for earlier in self.before if earlier < number)
        challenger = None if self.challenger == number else self.challenger
        return Choice(number, before, challenger)


class Choices(Struct, frozen=True, forbid_unknown_fields=True):
    """Of all models. asked: how often somebody asked for the store to be looked at."""

    models: dict[str, Choice] = {}
    asked: int = 0

    def of(self, name: str) -> Choice:
        return self.models.get(name, Choice())

    def put(self, name: str, choice: Choice) -> "Choices":
        models = {**self.models, name: choice}
        return replace(self, models={k: v for k, v in sorted(models.items()) if v != Choice()})


_decoder = msgspec.json.Decoder(Choices)
_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Read:
    choices: Choices
    mark: _Mark | None


class ChoicesFile:
    """Safe for many threads, and for several processes that share the folder."""

    def __init__(self, folder: Path) -> None:
        """Raises StateUnavailable when there is a file that cannot be read: a version that was rolled back
        from must not answer again because of that."""
        self._path = folder / CHOICES_FILE
        self._lock_path = folder / _LOCK_FILE
        self._threads = threading.Lock()
        self._known = self._read()

    @property
    def known(self) -> Choices:
        """As last read."""
        return self._known.choices

    def changed(self) -> bool:
        """Whether there is something new to `read`. Takes microseconds."""
        with suppress(StateUnavailable):
            return self._mark() != self._known.mark
        return False

    def read(self) -> Choices:
        """Raises StateUnavailable, and keeps what is known until the file is another one."""
        try:
            self._known = self._read()
        except StateUnavailable:
            with suppress(StateUnavailable):
                self._known = _Read(self._known.choices, self._mark())
            raise
        return self._known.choices

    def change(self, edit: Callable[[Choices], Choices]) -> Choices:
        """Read, edit and replace the file, nobody else in between. Blocks. Raises StateUnavailable."""
        with self._threads:
            try:
                with _locked(self._lock_path):
                    made = edit(self._read().choices)
                    _replace(self._path, made)
            except OSError as error:
                raise StateUnavailable(f"{self._path} cannot be written: {error.strerror}") from None
            return self.read()

    def _mark(self) -> _Mark | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnavailable(f"{self._path} cannot be read: {error.strerror}") from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> _Read:
        mark = self._mark()  # before the content: what is written in between is read once more
        if mark is None:
            return _Read(Choices(), None)
        try:
            return _Read(_decoder.decode(self._path.read_bytes()), mark)
        except FileNotFoundError:
            return _Read(Choices(), None)
        except OSError as error:
            raise StateUnavailable(f"{self._path} cannot be read: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StateUnavailable(f"{self._path} is not valid: {error}; mend or remove it") from None


def _replace(path: Path, choices: Choices) -> None:
    content: Mapping[str, object] = msgspec.to_builtins(choices)
    aside = path.with_suffix(".new")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    if os.name != "nt":  # the rename itself has to outlive a power cut too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        if os.name != "nt":  # there a service is one process
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
