"""API keys: who may do what. Only hashes are kept; a key itself is never stored or logged."""

import hashlib
import hmac
import logging
import os
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.datastructures import Headers

from service.errors import KeyNotAllowed, KeyRequired, KeysUnreadable, KeyUnknown

# So often, at most, the file is looked at: a key that was taken out is refused this much later at the latest.
WATCH_S = 1.0
_log = logging.getLogger(__name__)


class Role(StrEnum):
    """classify: judge windows. read: see models, assets and metrics. admin: everything."""

    CLASSIFY = "classify"
    READ = "read"
    ADMIN = "admin"


class _Key(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    roles: Annotated[list[Role], Meta(min_length=1)]
    requests_per_s: Annotated[float, Meta(gt=0)] | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[list[_Key], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the service knows it. name: for the log. digest: SHA-256 of the key.

    requests_per_s: its own limit, None for that of the settings.
    """

    name: str
    digest: bytes
    roles: frozenset[Role]
    requests_per_s: float | None = None


class Keyring:
    """The keys that are accepted; without any, everybody may do everything."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = tuple(keys)

    @property
    def enabled(self) -> bool:
        return bool(self._keys)

    def admit(self, headers: Headers, allowed: frozenset[Role]) -> Key | None:
        """Who is asking; None while no keys are in use. `admin` is always allowed.

        Raises KeyRequired, KeyUnknown, KeyNotAllowed.
        """
        if not self._keys:
            return None
        presented = _presented(headers)
        if presented is None:
            raise KeyRequired(
                "this service needs an API key",
                expected="`Authorization: Bearer <key>` or `X-API-Key: <key>`",
            )
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        # Every key is compared, in constant time, so that the time taken tells nothing.
        matches = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        if not matches:
            raise KeyUnknown("the API key is not known")
        key = matches[0]
        if not key.roles & (allowed | {Role.ADMIN}):
            needed = " or ".join(sorted(role.value for role in allowed | {Role.ADMIN}))
            raise KeyNotAllowed(
                f"the key {key.name!r} may not do this", expected=f"a key with the role {needed}"
            )
        return key


class KeyFile(Keyring):
    """The keys of a file, which is read again when it changes. Used by the event loop alone.

    A change that cannot be read leaves the keys as they were, and is logged: neither a slip of the editor nor
    a file that is gone for a moment may open the service, or close it.
    """

    def __init__(self, path: Path) -> None:
        """Raises KeysUnreadable."""
        self._path = path
        self._seen = _stamp(path)
        self._look_again = time.monotonic() + WATCH_S
        super().__init__(read_keys(path))

    def admit(self, headers: Headers, allowed: frozenset[Role]) -> Key | None:
        if time.monotonic() >= self._look_again:
            self._refresh()
        return super().admit(headers, allowed)

    def _refresh(self) -> None:
        self._look_again = time.monotonic() + WATCH_S
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = read_keys(self._path)
        except KeysUnreadable as error:
            _log.error("keys not changed", extra={"fields": {"reason": str(error)}})
        else:
            _log.info("keys changed", extra={"fields": {"keys": [key.name for key in self._keys]}})


def read_keys(path: Path) -> tuple[Key, ...]:
    """From a JSON or TOML file of name, sha256 and roles. Raises KeysUnreadable."""
    try:
        content = path.read_bytes()
        if path.suffix == ".toml":
            file = msgspec.convert(tomllib.loads(content.decode()), _File)
        else:
            file = msgspec.json.decode(content, type=_File)
    except OSError as error:
        raise KeysUnreadable(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KeysUnreadable(f"{path}: {error}") from None
    keys = [
        Key(key.name, bytes.fromhex(key.sha256), frozenset(key.roles), key.requests_per_s)
        for key in file.keys
    ]
    if len({key.name for key in keys}) != len(keys) or len({key.digest for key in keys}) != len(keys):
        raise KeysUnreadable(f"{path}: two keys share a name or a hash")
    return tuple(keys)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or another is put in its place; None while there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _presented(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None
