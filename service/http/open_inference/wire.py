"""The protocol's JSON. Members that it does not name are passed over, as it asks of a server."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

Parameters = dict[str, bool | int | float | str]


class InputTensor(Struct, frozen=True):
    """One input. data: absent where the elements stand in binary form behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: Raw = msgspec.field(default_factory=Raw)


class RequestedOutput(Struct, frozen=True):
    """One output that is wanted."""

    name: str
    parameters: Parameters = {}


class InferRequest(Struct, frozen=True):
    """The body of `…/infer`."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[RequestedOutput] = []


class OutputTensor(Struct, frozen=True):
    """One output. data: in a row, null for a number that there is not; absent where it follows in binary."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: Parameters | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferResponse(Struct, frozen=True):
    """The answer; `parameters` has the SHA-256 of the model's manifest and the alarm budget that was used."""

    model_name: str
    model_version: str
    parameters: Parameters
    outputs: list[OutputTensor]
    id: str | UnsetType = UNSET


class ServerMetadata(Struct, frozen=True):
    """The answer of `/v2`."""

    name: str
    version: str
    extensions: tuple[str, ...]


class Live(Struct, frozen=True):
    """The answer of `/v2/health/live`; the status says the same."""

    live: bool


class Ready(Struct, frozen=True, omit_defaults=True):
    """The answer of `/v2/health/ready`, and of `…/ready`, which names its model; the status says it too."""

    ready: bool
    name: str | None = None
    error: str | None = None


class Refusal(Struct, frozen=True, omit_defaults=True):
    """An error. `error` is all that the protocol has; `code` is the service's own, and stable."""

    error: str
    code: str
    request_id: str
