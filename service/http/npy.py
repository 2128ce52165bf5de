"""Windows as one array in NumPy's `.npy` format (NEP 1): for callers who have arrays and send many windows.

The header says the shape and the type of what follows; nothing in it is ever unpickled or run.
"""

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy

from detector.windows import Floats
from service.errors import NotNpy, WrongContent
from service.http import locate

# NumPy's own headers are 128 bytes; this leaves room, and bounds the work of reading one.
_MOST_HEADER_BYTES = 1024
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_EXPECTED = "a .npy array as numpy.save writes it"


def read_windows(body: bytes, sensors: tuple[str, ...]) -> Floats:
    """float64 (windows, steps, sensors), engineering units, NaN missing.

    body: an array of float32 or float64, of either byte order.
    Raises NotNpy for a body that is no whole array, WrongContent for one of another type or shape.
    """
    shape, fortran_order, dtype, start = _header(body)
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise WrongContent(
            f"the array is of type {locate.shown(str(dtype))}", place="dtype", expected="float32 or float64"
        )
    if len(shape) != 3 or shape[2] != len(sensors):
        raise WrongContent(
            f"the array has the shape {locate.shown(str(shape))}",
            place="shape",
            expected=f"(windows, steps, {len(sensors)}), the sensors being: {', '.join(sensors)}",
        )
    if min(shape) < 0 or len(body) - start != math.prod(shape) * dtype.itemsize:
        raise NotNpy(
            f"{len(body) - start} bytes follow the header, which is not what it says: "
            f"{locate.shown(str(shape))} of {dtype}",
            expected=_EXPECTED,
        )
    flat = np.frombuffer(body, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran_order else "C").astype(np.float64, order="C", copy=False)


def check_finite(window: Floats, at: str) -> None:
    """Raises WrongContent, naming the place, for an infinite reading: only NaN stands for a missing one."""
    infinite = np.isinf(window)
    if infinite.any():
        step, sensor = np.argwhere(infinite)[0].tolist()
        place = f"{at}[{step}][{sensor}]"
        raise WrongContent(f"{place} is infinite", place=place, expected="a finite number, or NaN if missing")


def _header(body: bytes) -> "tuple[tuple[int, ...], bool, np.dtype[Any], int]":
    """Shape, whether in Fortran's order, type, and where the numbers begin."""
    stream = io.BytesIO(body)
    try:
        version = npy.read_magic(stream)
        shape, fortran_order, dtype = _HEADERS[version](stream, max_header_size=_MOST_HEADER_BYTES)
    except Exception:  # whatever a hostile header makes the library do, the body is no array
        raise NotNpy("the header is not that of a .npy array of numbers", expected=_EXPECTED) from None
    return shape, fortran_order, dtype, stream.tell()
