"""Talks to a running service as a careful plant script would: timeouts, bounded retries, clear errors."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from cli.console import note
from cli.errors import CommandError

# Worth another try: too busy, not ready yet, or a proxy in between that could not reach the service.
_PASSING = frozenset({429, 502, 503, 504})
# Shorter pauses are not worth a line in the terminal.
WORTH_A_NOTE_S = 1.0


class ServiceUnreachable(CommandError):
    """No answer, for as long as was reasonable to wait."""


class UselessAnswer(CommandError):
    """An answer came, but not the one that was asked for.

    retry_after_s: how long the service asks to wait, where it does. passing: whether it is worth another try.
    """

    def __init__(self, message: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.passing = status in _PASSING


class RequestRefused(UselessAnswer):
    """The service answered with a problem document (RFC 9457).

    place: of the fault within the body that was sent, e.g. `windows[3].readings.Pressure[17]`, or empty.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.code = str(problem.get("code", ""))
        self.place = str(problem.get("place") or "")
        detail = str(problem.get("detail") or problem.get("title") or "no reason given")
        expected = problem.get("expected")
        where = f" at {self.place}" if self.place else ""
        wanted = f" (expected {expected})" if expected else ""
        message = f"the service answered {status} {self.code}{where}: {detail}{wanted}"
        super().__init__(message, status, retry_after_s)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on asking. The wait doubles from first_wait_s; what the service asks for is kept to,
    up to longest_wait_s."""

    attempts: int = 8
    first_attempts: int = 3
    first_wait_s: float = 0.25
    longest_wait_s: float = 20.0
    timeout_s: float = 30.0
    commission_timeout_s: float = 180.0


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What the service says of a model, as far as a sender of windows must know it."""

    name: str
    version: int
    sensors: tuple[str, ...]
    classes: tuple[str, ...]
    steps: int
    minimum_steps: int
    period_s: float | None
    max_gap_periods: float


class Backoff:
    """How long to wait before the next attempt: twice as long each time, or as long as the service asks.

    Never longer than longest_s, or longest_asked_s where it asks.
    """

    def __init__(self, first_s: float, longest_s: float, longest_asked_s: float) -> None:
        self._first_s, self._longest_s, self._longest_asked_s = first_s, longest_s, longest_asked_s
        self._wait_s = first_s

    def next_s(self, asked_s: float | None) -> float:
        """Seconds. asked_s: what the service asked for, if it did."""
        wait_s = min(self._wait_s * random.uniform(0.5, 1.0), self._longest_s)
        self._wait_s = min(2 * self._wait_s, 2 * self._longest_s)
        return wait_s if asked_s is None else min(asked_s, self._longest_asked_s)

    def reset(self) -> None:
        """It went well: the next wait is a short one again."""
        self._wait_s = self._first_s


class ServiceClient:
    """One connection to a service. Every method raises ServiceUnreachable, UselessAnswer or CommandError."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        patience: Patience = Patience(),
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise CommandError(f"{url!r} is no address of a service: {error}") from None
        if address.scheme not in ("http", "https") or not address.host:
            raise CommandError(f"{url!r} is no address of a service, expected e.g. http://127.0.0.1:8000")
        # A proxy of the surroundings does not reach this machine.
        near = address.host in ("localhost", "127.0.0.1", "::1")
        self._http = httpx.Client(base_url=address, headers=headers, transport=transport, trust_env=not near)
        self._url = url
        self._patience = patience
        self._sleep = sleep

    def __enter__(self) -> "ServiceClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def model(self, name: str | None, version: int | None) -> ServedModel:
        """The model that will answer: the one named, or the service's default.

        Asks only a few times, so that a wrong address is told at once.
        """
        few = self._patience.first_attempts
        if name is None:
            name = self._send("GET", "/models", attempts=few)["default"]
        if name is None:
            raise CommandError(f"{self._url} has no default model; name one with --model")
        query = "" if version is None else f"?version={version}"
        detail = self._send("GET", f"/models/{quote(name, safe='')}{query}", attempts=few)
        window = detail["window"]
        return ServedModel(
            name=detail["name"],
            version=detail["version"],
            sensors=tuple(sensor["name"] for sensor in detail["sensors"]),
            classes=tuple(detail["classes"]),
            steps=window["steps"],
            minimum_steps=window["minimum_steps"],
            period_s=window["period_s"],
            max_gap_periods=window["max_gap_periods"],
        )

    def put_baseline(
        self,
        asset: str,
        model: ServedModel,
        readings: Mapping[str, Sequence[float]],
        timestamps: Sequence[str] | None,
    ) -> None:
        """Commission an asset for a model. readings: by sensor, NaN missing. timestamps: ISO 8601."""
        body = {"readings": readings} | ({} if timestamps is None else {"timestamps": timestamps})
        path = f"/assets/{quote(asset, safe='')}/baseline?model={quote(model.name, safe='')}"
        self._send("PUT", path, body, timeout_s=self._patience.commission_timeout_s)

    def baseline(self, asset: str, model: ServedModel) -> dict[str, Any] | None:
        """An asset's baseline for a model, as the service shows it; None where it has none."""
        path = f"/assets/{quote(asset, safe='')}/baseline?model={quote(model.name, safe='')}"
        try:
            found: dict[str, Any] = self._send("GET", path)
        except RequestRefused as error:
            if error.code == "baseline_not_found":
                return None
            raise
        return found

    def classify(
        self, model: ServedModel, windows: Sequence[Mapping[str, Any]], *, newest: bool = False
    ) -> list[dict[str, Any]]:
        """Results in the order of the windows. NaN readings are sent as null.

        newest: ask for whatever version is the newest when the request arrives, rather than for the model's.
        """
        version = None if newest else model.version
        body = {"model": model.name, "version": version, "windows": windows, "explain": True}
        answer = self._send("POST", "/classify", body)
        results: list[dict[str, Any]] = answer["results"]
        return results

    def models(self) -> list[dict[str, Any]]:
        """Every model of the service, as `/models` shows it."""
        found: list[dict[str, Any]] = self._send("GET", "/models", attempts=self._patience.first_attempts)[
            "models"
        ]
        return found

    def choose(self, name: str, version: int | None) -> dict[str, Any]:
        """Have a version of a model answer; None: the newest good one. Returns the model, as shown."""
        return self._decide(name, "live", version)

    def challenge(self, name: str, version: int | None) -> dict[str, Any]:
        """Try a version beside the live one; None: no more. Returns the model, as shown."""
        return self._decide(name, "challenger", version)

    def metrics(self) -> str:
        """What the service tells Prometheus, as text."""
        text: str = self._send("GET", "/metrics", attempts=self._patience.first_attempts, as_text=True)
        return text

    def _decide(self, name: str, what: str, version: int | None) -> dict[str, Any]:
        model: dict[str, Any] = self._send(
            "PUT",
            f"/models/{quote(name, safe='')}/{what}",
            {"version": version},
            attempts=self._patience.first_attempts,
            timeout_s=self._patience.commission_timeout_s,
        )
        return model

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        attempts: int | None = None,
        timeout_s: float | None = None,
        as_text: bool = False,
    ) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        attempts = attempts or self._patience.attempts
        longest_s = self._patience.longest_wait_s
        backoff = Backoff(self._patience.first_wait_s, longest_s, longest_s)
        for attempt in range(1, attempts + 1):
            asked_s: float | None = None
            try:
                response = self._http.request(
                    method, path, content=content, timeout=timeout_s or self._patience.timeout_s
                )
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
                if attempt == attempts:
                    often = f" in {attempts} attempts" if attempts > 1 else ""
                    raise ServiceUnreachable(f"no answer from {self._url}{often}: {reason}") from None
            else:
                if as_text and response.is_success:
                    return response.text
                if response.status_code not in _PASSING or attempt == attempts:
                    return self._content(response)
                reason = f"status {response.status_code}"
                asked_s = _retry_after(response)
            pause_s = backoff.next_s(asked_s)
            if pause_s >= WORTH_A_NOTE_S:
                note(f"{self._url}: {reason}; asking again in {pause_s:.0f} s")
            self._sleep(pause_s)
        raise AssertionError("unreachable")

    def _content(self, response: httpx.Response) -> Any:
        try:
            content = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            content = None
        if not isinstance(content, dict):
            raise UselessAnswer(
                f"{self._url} answered {response.status_code} and no JSON: is it an Offnormal service?",
                response.status_code,
                _retry_after(response),
            )
        if not response.is_success:
            raise RequestRefused(response.status_code, content, _retry_after(response))
        return content


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait; a date instead of seconds is not heeded."""
    try:
        return max(float(response.headers["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None
