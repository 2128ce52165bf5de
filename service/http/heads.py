"""The head of a request, which is asked for many things."""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope


class Head(Headers):
    """Headers by name. Starlette's look through all of them for each name; of a name given twice, the first
    counts, as there."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._by_name = dict(reversed(self.raw))

    def __getitem__(self, key: str) -> str:
        return self._by_name[key.lower().encode("latin-1")].decode("latin-1")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower().encode("latin-1") in self._by_name

    def get(self, key: str, default: Any = None) -> Any:
        found = self._by_name.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")


class HeadedRequest(Request):
    """A request with such a head, made once."""

    headers: Head = None  # type: ignore[assignment]  # not the property that it is there

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.headers = Head(scope)
