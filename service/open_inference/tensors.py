"""Tensors of the protocol: their types, and the binary form of their elements.

The binary form is the same in HTTP's binary tensor extension and in gRPC's raw contents: row-major, without
padding, little-endian; a BOOL is one byte, an element of BYTES is its length in 4 bytes and then itself.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import WrongContent
from service.http import locate

BYTES = "BYTES"
# Every numeric type of the protocol that NumPy has; BF16 it has not.
NUMERIC: dict[str, "np.dtype[Any]"] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
# More than any tensor of this service has; a longer shape is nonsense that need not be multiplied out.
_MOST_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor. elements: of the type and the shape that it says; Python strings where it is BYTES.

    place: where in the request it stood, for messages.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: NDArray[Any]
    place: str = ""


def dtype_of(datatype: str, place: str) -> "np.dtype[Any] | None":
    """NumPy's type of the elements, None for BYTES. Raises WrongContent for a type that is not known."""
    if datatype == BYTES:
        return None
    if datatype not in NUMERIC:
        raise WrongContent(
            f"{locate.shown(datatype)!r} is no datatype that is read here",
            place=f"{place}.datatype",
            expected=f"one of {', '.join([*NUMERIC, BYTES])}",
        )
    return NUMERIC[datatype]


def check_shape(shape: Sequence[int], place: str) -> tuple[int, ...]:
    """Raises WrongContent for a shape that no tensor can have."""
    if len(shape) > _MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise WrongContent(
            f"the shape {locate.shown(str(list(shape)))} is impossible",
            place=f"{place}.shape",
            expected=f"at most {_MOST_DIMENSIONS} sizes, none below 0",
        )
    return tuple(shape)


def from_binary(name: str, datatype: str, shape: Sequence[int], content: bytes, place: str) -> Tensor:
    """A tensor from its binary form. Raises WrongContent when the bytes are not what the shape says."""
    shape = check_shape(shape, place)
    dtype = dtype_of(datatype, place)
    if dtype is None:
        return Tensor(name, datatype, shape, _strings(content, shape, place), place)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise WrongContent(
            f"{place} has {len(content)} bytes of data",
            place=place,
            expected=f"{math.prod(shape) * dtype.itemsize} bytes: {list(shape)} of {datatype}",
        )
    if dtype == np.bool_ and max(content, default=0) > 1:
        raise WrongContent(
            f"{place} has a byte that is no BOOL", place=place, expected="bytes that are 0 or 1"
        )
    return Tensor(name, datatype, shape, np.frombuffer(content, dtype).reshape(shape), place)


def from_elements(name: str, datatype: str, shape: Sequence[int], elements: Any, place: str) -> Tensor:
    """A tensor from its elements, in a row or in lists that are nested as the shape says.

    Raises WrongContent when there are more or fewer than it says, or one does not fit the type.
    """
    shape = check_shape(shape, place)
    dtype = dtype_of(datatype, place)
    try:
        with np.errstate(
            over="ignore"
        ):  # what is too large becomes infinite, and that is refused by its place
            array = np.array(elements, object if dtype is None else dtype)
    except (OverflowError, ValueError, TypeError):
        raise WrongContent(
            f"{place} does not hold {datatype} in lists of equal length",
            place=place,
            expected=f"elements of {datatype}, in a row or nested as the shape says",
        ) from None
    if array.size != math.prod(shape) or (array.ndim > 1 and array.shape != shape):
        raise WrongContent(
            f"{place} has the shape {list(array.shape)}",
            place=place,
            expected=f"{math.prod(shape)} elements in a row, or nested as {list(shape)}",
        )
    return Tensor(name, datatype, shape, array.reshape(shape), place)


def to_binary(tensor: Tensor) -> bytes:
    """Its elements in binary form."""
    if tensor.datatype != BYTES:
        return tensor.elements.astype(NUMERIC[tensor.datatype], copy=False).tobytes()
    encoded = [str(element).encode() for element in tensor.elements.ravel()]
    return b"".join(part for element in encoded for part in (_LENGTH.pack(len(element)), element))


def _strings(content: bytes, shape: tuple[int, ...], place: str) -> NDArray[Any]:
    expected = f"{math.prod(shape)} strings in UTF-8, each after its length in 4 bytes"
    found: list[str] = []
    at = 0
    try:
        while at < len(content):
            (length,) = _LENGTH.unpack_from(content, at)
            at += _LENGTH.size + length
            if at > len(content):
                break
            found.append(content[at - length : at].decode())
    except (struct.error, UnicodeDecodeError):
        at = -1
    if at != len(content) or len(found) != math.prod(shape):
        raise WrongContent(f"{place} is not what its shape says", place=place, expected=expected)
    return np.array(found, object).reshape(shape)
