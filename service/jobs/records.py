"""What is known of jobs: one JSON file each, for every worker of a service to read.

A job that runs is locked by the process that runs it. A record that says so while nobody holds the lock is of
a process that died.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from service.errors import StateUnavailable

T = TypeVar("T", bound=msgspec.Struct)
# What this process holds, beside the locks that other processes see.
_held: set[Path] = set()


class Records(Generic[T]):
    """Records of one kind, by id. Ids are made by the service and are plain words. Every method blocks."""

    def __init__(self, folder: Path, kind: type[T]) -> None:
        self._folder = folder
        self._decoder = msgspec.json.Decoder(kind)

    def put(self, identity: str, record: T) -> None:
        """Write or replace it, whole or not at all. Raises StateUnavailable."""
        path = self._path(identity)
        aside = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            raise StateUnavailable(f"{path} cannot be written: {error.strerror}") from None

    def get(self, identity: str) -> T | None:
        """None for an id that is unknown, or no id. Raises StateUnavailable."""
        if not _is_plain(identity):
            return None
        path = self._path(identity)
        try:
            return self._decoder.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateUnavailable(f"{path} cannot be read: {error}") from None

    def all(self) -> Iterator[T]:
        """In no order. Raises StateUnavailable."""
        for path in self._folder.glob("*.json"):
            if (record := self.get(path.stem)) is not None:
                yield record

    def remove(self, identity: str) -> None:
        """Nothing happens where there is none."""
        if _is_plain(identity):
            self._path(identity).unlink(missing_ok=True)
            self._lock_path(identity).unlink(missing_ok=True)

    def forget_older(self, age_s: float) -> None:
        """Remove records that were not written for so long and are of no running job."""
        limit = time.time() - age_s
        for path in self._folder.glob("*.json"):
            try:
                old = path.stat().st_mtime < limit
            except FileNotFoundError:
                continue
            if old and not self.held(path.stem):
                self.remove(path.stem)

    @contextmanager
    def hold(self, identity: str) -> Iterator[bool]:
        """Lock a job for as long as it runs. Gives False, and locks nothing, where another holds it."""
        path = self._lock_path(identity)
        self._folder.mkdir(parents=True, exist_ok=True)
        if path in _held:
            yield False
            return
        with path.open("a") as file:
            # Whoever looks whether it is held locks it for a moment.
            if not any(_locked(file.fileno(), wait_s=0.01 * attempt) for attempt in range(4)):
                yield False
                return
            _held.add(path)
            try:
                yield True
            finally:
                _held.discard(path)

    def held(self, identity: str) -> bool:
        """Whether any process runs the job."""
        path = self._lock_path(identity)
        if path in _held:
            return True
        try:
            with path.open("a") as file:
                return not _locked(file.fileno())
        except OSError:
            return False

    def _path(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"

    def _lock_path(self, identity: str) -> Path:
        return (self._folder / f"{identity}.lock").absolute()


def _is_plain(identity: str) -> bool:
    return 0 < len(identity) <= 64 and all(c.isascii() and (c.isalnum() or c == "-") for c in identity)


def _locked(file: int, wait_s: float = 0.0) -> bool:
    if os.name == "nt":  # there a service is one process
        return True
    import fcntl

    time.sleep(wait_s)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
