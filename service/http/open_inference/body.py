"""The body of an inference: JSON, and behind it the elements of tensors in binary form."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from service.errors import NotJson, WrongContent
from service.http import locate
from service.http.open_inference import wire
from service.open_inference.inference import Request, check_input_parameters
from service.open_inference.tensors import (
    Tensor,
    check_shape,
    dtype_of,
    from_binary,
    from_elements,
    to_binary,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"
_SIZE = "binary_data_size"
_decoder = msgspec.json.Decoder(wire.InferRequest)
# By kind of NumPy's types; a reading that is missing is null.
_ELEMENTS: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float | None, "s": str}
_NESTED = re.compile(rb"\s*\[\s*\[")


def header_length(given: str | None, size: int) -> int:
    """How many bytes of the body are JSON. given: the header that says so, if it came. size: of the body.

    Raises WrongContent.
    """
    if given is None:
        return size
    if not (given.isascii() and given.isdigit() and int(given) <= size):
        raise WrongContent(
            f"{HEADER_LENGTH} is not the length of the JSON",
            place=f"header.{HEADER_LENGTH}",
            expected=f"a number of bytes, at most the {size} of the body",
        )
    return int(given)


def decode(body: bytes, json_bytes: int) -> wire.InferRequest:
    """The JSON in front of a body. Raises NotJson, WrongContent."""
    try:
        return locate.decoded(_decoder, body[:json_bytes])
    except NotJson as error:
        if b"NaN" not in body[:json_bytes]:
            raise
        raise NotJson(
            str(error), expected="JSON, where a missing reading is null; NaN is for binary data only"
        ) from None


def request_of(model: str, version: str, request: wire.InferRequest, binary: memoryview) -> Request:
    """With every tensor in its place. binary: what follows the JSON. Raises WrongContent."""
    inputs = []
    at = 0
    for index, given in enumerate(request.inputs):
        place = f"inputs[{index}]"
        check_input_parameters(given.parameters, place)
        size = given.parameters.get(_SIZE)
        if size is None:
            inputs.append(_from_json(given, f"{place}.data"))
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary) - at:
            raise WrongContent(
                f"{place} says {locate.shown(str(size))} bytes, {len(binary) - at} are left in the body",
                place=f"{place}.parameters.{_SIZE}",
                expected="the size of its data behind the JSON, bytes",
            )
        if bytes(given.data):
            raise WrongContent(f"{place} has data twice", place=place, expected=f"one of `data` and {_SIZE}")
        content = bytes(binary[at : at + size])
        inputs.append(from_binary(given.name, given.datatype, given.shape, content, place))
        at += size
    if at != len(binary):
        raise WrongContent(
            f"{len(binary) - at} bytes behind the JSON belong to no input",
            place="body",
            expected=f"{_SIZE} of each input whose data is there, and {HEADER_LENGTH}",
        )
    outputs = [(output.name, output.parameters) for output in request.outputs]
    return Request(model, version, inputs, request.parameters, outputs)


def wants_binary(request: wire.InferRequest) -> dict[str, bool]:
    """By output whether it is wanted in binary form; under "" those that are not mentioned.

    Raises WrongContent.
    """
    common = _truth(request.parameters, "binary_data_output", "parameters", False)
    wanted = {
        output.name: _truth(output.parameters, "binary_data", f"outputs[{index}].parameters", common)
        for index, output in enumerate(request.outputs)
    }
    return {"": common, **wanted}


def encode(
    answer: wire.InferResponse, tensors: Sequence[Tensor], binary: dict[str, bool]
) -> tuple[bytes, int | None]:
    """The whole body of an answer, whose outputs are yet to be filled in; and how long its JSON is, if binary
    data follow it."""
    outputs: list[wire.OutputTensor] = []
    parts: list[bytes] = []
    for tensor in tensors:
        if binary.get(tensor.name, binary[""]):
            parts.append(to_binary(tensor))
            sized: wire.Parameters = {_SIZE: len(parts[-1])}
            outputs.append(wire.OutputTensor(tensor.name, tensor.shape, tensor.datatype, sized))
        else:
            # msgspec writes NaN as null.
            data = tensor.elements.ravel().tolist()
            outputs.append(wire.OutputTensor(tensor.name, tensor.shape, tensor.datatype, data=data))
    head = msgspec.json.encode(msgspec.structs.replace(answer, outputs=outputs))
    return (b"".join([head, *parts]), len(head)) if parts else (head, None)


def _from_json(given: wire.InputTensor, place: str) -> Tensor:
    """Elements in a row, or nested as the shape says."""
    shape = check_shape(given.shape, place)
    dtype = dtype_of(given.datatype, place)
    raw = bytes(given.data)
    if not raw:
        raise WrongContent(f"{place} is missing", place=place, expected=f"the elements, or {_SIZE}")
    kind = "s" if dtype is None else dtype.kind
    nested = len(shape) > 1 and _NESTED.match(raw) is not None
    levels = len(shape) if nested else 1
    try:
        elements = _elements(kind, levels).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if kind == "f":
            raise locate.wrong_reading(raw, (list,) * levels, place) from None
        raise WrongContent(
            f"{place} has an element that is no {given.datatype}",
            place=place,
            expected=f"elements of {given.datatype}, in a row or nested as the shape says",
        ) from None
    return from_elements(given.name, given.datatype, shape, elements, place)


@cache
def _elements(kind: str, levels: int) -> msgspec.json.Decoder[Any]:
    """For lists within lists, so many levels of them. kind: of NumPy's types, `s` for strings."""
    type_: Any = _ELEMENTS[kind]
    for _ in range(levels):
        type_ = list[type_]
    return msgspec.json.Decoder(type_)


def _truth(parameters: wire.Parameters, name: str, place: str, default: bool) -> bool:
    given = parameters.get(name, default)
    if not isinstance(given, bool):
        raise WrongContent(
            f"`{name}` is neither true nor false", place=f"{place}.{name}", expected="true or false"
        )
    return given
