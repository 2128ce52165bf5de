"""What is asked of the service, call by call: method, path, body and how the answer is read. No sockets."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from offnormal.client.answers import (
    AssetBaseline,
    AssetList,
    Classification,
    Failure,
    ModelDetail,
    ModelList,
    ModelRef,
    PartialClassification,
    Ready,
    Result,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

T = TypeVar("T")
JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
_DONE = frozenset({200, 201, 204})


class Window(Struct, frozen=True, omit_defaults=True):
    """One window to be judged, oldest step first: either `readings` by sensor, or `values`, rows in the
    model's order of sensors. None and NaN are missing readings; lists, tuples and arrays will do.

    timestamps: one per step, datetimes (without a zone: UTC), ISO 8601 or seconds since 1970.
    id: comes back with the result. asset: the machine, whose own baseline is used if it was commissioned.
    """

    readings: Mapping[str, Any] | None = None
    values: Any = None
    timestamps: Sequence[datetime | str | float] | None = None
    id: str | int | None = None
    asset: str | None = None


class Choices(TypedDict, total=False):
    """What may be chosen beside windows. false_alarm_rate: the alarm budget, between 0 and 1."""

    model: str | None
    version: int | None
    explain: bool
    reconstruct: bool
    false_alarm_rate: float | None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, which may be repeated: asking twice does no more than asking once.

    read: makes the answer from the body. statuses: that are answers. long: takes the time of a commissioning.
    done_if: the code of a problem that says, on a repetition, that the first attempt had done it.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    content: bytes | None = None
    media_type: str = JSON
    params: Mapping[str, str] = field(default_factory=dict)
    statuses: frozenset[int] = _DONE
    long: bool = False
    done_if: str | None = None


def _plain(value: Any) -> Any:
    """Arrays, series and their numbers, as lists and numbers of Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} cannot be sent as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_classification = msgspec.json.Decoder(Classification)
_result = msgspec.json.Decoder(Result)
_failure = msgspec.json.Decoder(Failure)


class _Parts(Struct):
    model: ModelRef
    results: tuple[msgspec.Raw, ...]


_parts = msgspec.json.Decoder(_Parts)


def _partial(content: bytes) -> PartialClassification:
    parts = _parts.decode(content)
    return PartialClassification(parts.model, tuple(_either(raw) for raw in parts.results))


def _either(raw: msgspec.Raw) -> Result | Failure:
    try:
        return _result.decode(raw)
    except msgspec.ValidationError:
        return _failure.decode(raw)


def classify(windows: Iterable[Window], choices: Choices) -> Call[Classification]:
    body = {"windows": list(windows), **_given(choices)}
    return Call("POST", "/classify", _classification.decode, _encoder.encode(body))


def classify_each(windows: Iterable[Window], choices: Choices) -> Call[PartialClassification]:
    body = {"windows": list(windows), **_given(choices), "on_error": "skip"}
    return Call("POST", "/classify", _partial, _encoder.encode(body))


def classify_array(array: "ArrayLike", asset: str | None, choices: Choices) -> Call[Classification]:
    """array: (windows, steps, sensors); anything but float32 is sent as float64."""
    import numpy as np

    values = np.asarray(array)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    params = _query({"asset": asset, **choices})
    return Call("POST", "/classify", _classification.decode, stream.getvalue(), NPY, params)


def classify_csv(
    file: bytes | Path,
    asset: str | None,
    rows: int | Literal["all", "last"],
    stride: int,
    choices: Choices,
) -> Call[Classification]:
    params = _query({"asset": asset, "rows": rows, "stride": stride, **choices})
    return Call("POST", "/classify", _classification.decode, _bytes(file), CSV, params)


def commission(
    asset: str,
    readings: Mapping[str, Any],
    timestamps: Sequence[datetime | str | float] | None,
    model: str | None,
) -> Call[AssetBaseline]:
    body = {"readings": dict(readings)} | ({} if timestamps is None else {"timestamps": timestamps})
    return _commissioning(asset, _encoder.encode(body), JSON, model)


def commission_csv(asset: str, file: bytes | Path, model: str | None) -> Call[AssetBaseline]:
    return _commissioning(asset, _bytes(file), CSV, model)


def _commissioning(asset: str, content: bytes, media_type: str, model: str | None) -> Call[AssetBaseline]:
    read = msgspec.json.Decoder(AssetBaseline).decode
    return Call("PUT", _baseline(asset), read, content, media_type, _query({"model": model}), long=True)


def baseline(asset: str, model: str | None) -> Call[AssetBaseline]:
    read = msgspec.json.Decoder(AssetBaseline).decode
    return Call("GET", _baseline(asset), read, params=_query({"model": model}))


def delete_baseline(asset: str, model: str | None) -> Call[None]:
    return Call(
        "DELETE",
        _baseline(asset),
        lambda _: None,
        params=_query({"model": model}),
        done_if="baseline_not_found",
    )


def assets() -> Call[AssetList]:
    return Call("GET", "/assets", msgspec.json.Decoder(AssetList).decode)


def models() -> Call[ModelList]:
    return Call("GET", "/models", msgspec.json.Decoder(ModelList).decode)


def model(name: str, version: int | None) -> Call[ModelDetail]:
    read = msgspec.json.Decoder(ModelDetail).decode
    return Call("GET", f"/models/{quote(name, safe='')}", read, params=_query({"version": version}))


def ready() -> Call[Ready]:
    read = msgspec.json.Decoder(Ready).decode
    return Call("GET", "/readyz", read, statuses=frozenset({200, 503}))


def _baseline(asset: str) -> str:
    return f"/assets/{quote(asset, safe='')}/baseline"


def _bytes(file: bytes | Path) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


def _given(choices: Choices) -> dict[str, Any]:
    return {name: value for name, value in choices.items() if value is not None}


def _query(parameters: Mapping[str, object]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in parameters.items()
        if value is not None
    }
