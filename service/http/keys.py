"""API keys: who may do what. Only hashes are kept; a key itself is never stored or logged."""

import hashlib
import hmac
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


class Role(StrEnum):
    """classify: judge windows. read: see models, assets and metrics. admin: everything."""

    CLASSIFY = "classify"
    READ = "read"
    ADMIN = "admin"


class _Key(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    roles: Annotated[list[Role], Meta(min_length=1)]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[list[_Key], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the service knows it. name: for the log. digest: SHA-256 of the key."""

    name: str
    digest: bytes
    roles: frozenset[Role]


class Keyring:
    """The keys that are accepted; without any, everybody may do everything."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = tuple(keys)

    @classmethod
    def read(cls, path: Path) -> "Keyring":
        """From a JSON or TOML file of name, sha256 and roles. Raises KeysUnreadable."""
        try:
            content = path.read_bytes()
            if path.suffix == ".toml":
                file = msgspec.convert(tomllib.loads(content.decode()), _File)
            else:
                file = msgspec.json.decode(content, type=_File)
        except OSError as error:
            raise KeysUnreadable(f"{path}: {error.strerror}") from None
        except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise KeysUnreadable(f"{path}: {error}") from None
        keys = [Key(key.name, bytes.fromhex(key.sha256), frozenset(key.roles)) for key in file.keys]
        if len({key.name for key in keys}) != len(keys) or len({key.digest for key in keys}) != len(keys):
            raise KeysUnreadable(f"{path}: two keys share a name or a hash")
        return cls(keys)

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


def _presented(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None
