"""The synchronous client."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

import httpx

from offnormal.client import calls
from offnormal.client.answers import (
    AssetBaseline,
    AssetSummary,
    Classification,
    ModelDetail,
    ModelList,
    PartialClassification,
)
from offnormal.client.calls import Call, Choices, Window
from offnormal.client.errors import ClientError, Problem
from offnormal.client.exchange import Exchange, passing
from offnormal.client.retries import Attempts, Retries, retry_after_s

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import ArrayLike
    from pandas import DataFrame

T = TypeVar("T")


class Client:
    """Talks to one service; for one thread or several.

    url: of the service. key: an API key, where it asks for one. retries: how long to go on asking when the
    service is busy, restarts or cannot be reached; every call may be repeated without harm.
    timeout_s: for one attempt, which the service is told of and gives up after; commission_timeout_s: for one
    commissioning. gzip_above_bytes: larger bodies are compressed, for slow networks. transport: of httpx.

    Every method raises Problem, ServiceUnreachable or NotOffnormal, all of them ClientError.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        retries: Retries = Retries(),
        timeout_s: float = 10.0,
        commission_timeout_s: float = 120.0,
        gzip_above_bytes: int | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._exchange = Exchange(url, key, timeout_s, commission_timeout_s, gzip_above_bytes)
        self._retries = retries
        self._http = httpx.Client(transport=transport, **self._exchange.options())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(self, windows: Iterable[Window], **choices: Unpack[Choices]) -> Classification:
        """Judge windows; one that cannot be read fails the whole, its place in the Problem."""
        return self._send(calls.classify(windows, choices))

    def classify_each(self, windows: Iterable[Window], **choices: Unpack[Choices]) -> PartialClassification:
        """The same, but a window that cannot be read becomes a Failure among the results."""
        return self._send(calls.classify_each(windows, choices))

    def classify_array(
        self, array: "ArrayLike", *, asset: str | None = None, **choices: Unpack[Choices]
    ) -> Classification:
        """Judge an array (windows, steps, sensors), sensors in the model's order, NaN missing: the fastest
        way for many windows."""
        return self._send(calls.classify_array(array, asset, choices))

    def classify_csv(
        self,
        file: bytes | Path,
        *,
        asset: str | None = None,
        rows: int | Literal["all", "last"] = "all",
        stride: int = 1,
        **choices: Unpack[Choices],
    ) -> Classification:
        """Judge rows of a historian's file, each by the window that ends at it; see docs/api.md."""
        return self._send(calls.classify_csv(file, asset, rows, stride, choices))

    def classify_frame(
        self,
        frame: "DataFrame",
        *,
        asset: str | None = None,
        rows: int | Literal["all", "last"] = "all",
        rows_per_request: int = 1000,
        **choices: Unpack[Choices],
    ) -> "DataFrame":
        """Judge rows of a frame, each by the window that ends at it. A long frame takes several requests.

        frame: one column per sensor, rows oldest first. A DatetimeIndex (without a zone: UTC) gives the time,
        any other index counts as evenly spaced. Returns one row for each that was judged, with its index:
        verdict, decided_by, probability_…, reconstruction_error, p_value, baseline, observed, steps, issues
        and, where explained, share_… by sensor. `attrs["model"]` says which model it was.
        Needs pandas. Raises ValueError for a frame that cannot be judged.
        """
        from offnormal.client import frames

        frames.check(frame, rows_per_request, choices)
        model = self.model(choices.get("model"), choices.get("version"))
        pinned = Choices(**{**choices, "model": model.name, "version": model.version})
        answers = []
        for piece in frames.pieces(frame, model.window.steps, rows, rows_per_request):
            call = calls.classify_csv(piece.csv, asset, piece.rows, 1, pinned)
            answers.append((piece, self._send(call)))
        return frames.joined(frame, model, answers)

    def commission(
        self,
        asset: str,
        readings: Mapping[str, Any],
        *,
        timestamps: "Sequence[datetime | str | float] | None" = None,
        model: str | None = None,
    ) -> AssetBaseline:
        """Make readings of known-normal operation, by sensor, an asset's baseline; needs an admin's key."""
        return self._send(calls.commission(asset, readings, timestamps, model))

    def commission_csv(self, asset: str, file: bytes | Path, *, model: str | None = None) -> AssetBaseline:
        """The same from a historian's file."""
        return self._send(calls.commission_csv(asset, file, model))

    def commission_frame(self, asset: str, frame: "DataFrame", *, model: str | None = None) -> AssetBaseline:
        """The same from a frame, as `classify_frame` takes it."""
        from offnormal.client import frames

        return self._send(calls.commission_csv(asset, frames.as_csv(frame), model))

    def baseline(self, asset: str, *, model: str | None = None) -> AssetBaseline | None:
        """An asset's baseline; None where it was not commissioned for the model."""
        try:
            return self._send(calls.baseline(asset, model))
        except Problem as problem:
            if problem.code == "baseline_not_found":
                return None
            raise

    def delete_baseline(self, asset: str, *, model: str | None = None) -> None:
        """Judge the asset by the model's own baseline again. Raises Problem if it had none."""
        self._send(calls.delete_baseline(asset, model))

    def assets(self) -> tuple[AssetSummary, ...]:
        """All commissioned assets, by name."""
        return (self._send(calls.assets())).assets

    def models(self) -> ModelList:
        """Every model of the store with its versions, also those that were refused."""
        return self._send(calls.models())

    def model(self, name: str | None = None, version: int | None = None) -> ModelDetail:
        """Sensors, window, classes and origin of a model; the default model's if none is named."""
        if name is None:
            name = (self.models()).default
        if name is None:
            raise ClientError(f"{self._exchange.url} has no default model; name one")
        return self._send(calls.model(name, version))

    def ready(self) -> bool:
        """Whether the default model answers."""
        return (self._send(calls.ready())).ready

    def _send(self, call: Call[T]) -> T:
        attempts = Attempts(self._retries)
        while True:
            asked_s = None
            try:
                response = self._http.request(**self._exchange.request(call))
            except httpx.TransportError as error:
                failure: ClientError = self._exchange.unreachable(error)
            else:
                refusal = self._exchange.refusal(call, response)
                if refusal is None:
                    return self._exchange.read(call, response)
                if isinstance(refusal, Problem) and attempts.made and refusal.code == call.done_if:
                    return call.read(b"")
                if not passing(response):
                    raise refusal
                failure, asked_s = refusal, retry_after_s(response)
            pause_s = attempts.pause_s(asked_s)
            if pause_s is None:
                raise failure
            time.sleep(pause_s)
