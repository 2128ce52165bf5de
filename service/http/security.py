"""What every answer tells a browser not to do, and which pages of others may read answers."""

from collections.abc import Iterable, Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from service.http.body import TIMEOUT_HEADER
from service.http.exchange import RawHeader
from service.http.request_log import REQUEST_ID_HEADER

CONTENT_POLICY = b"content-security-policy"
# An answer is data: nothing in it is to be run, framed, guessed at or kept. The page of the documentation
# has a policy of its own.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
DATA_POLICY = (CONTENT_POLICY, b"default-src 'none'; frame-ancestors 'none'")
# A year, in which a browser will not speak to this name without TLS.
TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Adds HEADERS to what an answer has by itself. tls: whether TLS is spoken."""

    def __init__(self, tls: bool) -> None:
        self._headers = [*HEADERS, TLS_ONLY] if tls else [*HEADERS]
        self._with_policy = [*self._headers, DATA_POLICY]

    def beside(self, given: Iterable[RawHeader]) -> list[RawHeader]:
        """What an answer with these headers is to have beside them."""
        for name, _ in given:
            if name == CONTENT_POLICY:
                return self._headers
        return self._with_policy


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Lets pages of these origins read answers; without any, none may. Keys are headers, never cookies."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", TIMEOUT_HEADER, REQUEST_ID_HEADER],
            expose_headers=["Retry-After", REQUEST_ID_HEADER],
        )
    ]
