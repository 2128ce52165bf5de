"""One inference request of the protocol: from its tensors and parameters to the task that is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import Options
from detector.errors import ModelNotFound
from detector.windows import Floats
from service.errors import TooManyWindows, WrongContent
from service.http import locate
from service.http.window_reader import check_asset
from service.judging import Task
from service.models import LoadedModel, Models
from service.open_inference.tensors import BYTES, Tensor

Parameters = Mapping[str, bool | int | float | str]
WINDOW, LENGTHS, MASK, ASSET = "window", "lengths", "mask", "asset"
INPUTS = (WINDOW, LENGTHS, MASK, ASSET)
OUTPUTS = (
    "probabilities",
    "reconstruction_error",
    "p_value",
    "verdict",
    "contributions",
    "reconstruction",
)
# Extensions of other servers that change where data is or what an output means: passing over them would
# answer another question than the one that was asked. Any other unknown parameter is passed over.
_NOT_OFFERED = ("shared_memory_region", "classification")
_LONGEST_VERSION = 9


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, whatever the wire. version: "" for the newest.

    outputs: what is wanted, each with its parameters; empty for everything.
    """

    model: str
    version: str
    inputs: Sequence[Tensor]
    parameters: Parameters = field(default_factory=dict)
    outputs: Sequence[tuple[str, Parameters]] = ()


@dataclass(frozen=True, slots=True)
class Inference:
    """A request that was understood. outputs: names in the order wanted.

    steps: width of the input `window`. lengths: int64 (windows,), how many of its steps each window has.
    """

    task: Task
    outputs: tuple[str, ...]
    steps: int
    lengths: NDArray[np.int64]


def find_model(models: Models, name: str, version: str = "") -> LoadedModel:
    """version: as the protocol has it, text; empty for the newest. Raises ModelNotFound, NotReady."""
    if not version:
        return models.find(name)
    if not (version.isascii() and version.isdigit() and len(version) <= _LONGEST_VERSION):
        raise ModelNotFound(
            f"model {locate.shown(name)!r} has no version {locate.shown(version)!r}; versions are numbers"
        )
    return models.find(name, int(version))


def understand(request: Request, models: Models, max_windows: int) -> Inference:
    """Raises ServiceError, DetectorError, each with its place."""
    model = find_model(models, request.model, request.version)
    outputs = _outputs(request.outputs)
    inputs = _by_name(request.inputs)
    window = inputs.get(WINDOW)
    if window is None:
        raise WrongContent("the input `window` is missing", place="inputs", expected="an input `window`")
    sensors = model.detector.sensors
    if window.datatype not in ("FP32", "FP64"):
        raise _wrong_input(window, f"is of {window.datatype}", "FP32 or FP64")
    if len(window.shape) != 3 or window.shape[2] != len(sensors):
        raise _wrong_input(
            window,
            f"has the shape {list(window.shape)}",
            f"[windows, steps, {len(sensors)}], the sensors being: {', '.join(sensors)}",
        )
    count, steps, _ = window.shape
    if count == 0:
        raise _wrong_input(window, "has no windows", "at least one window")
    if count > max_windows:
        raise TooManyWindows(f"{count} windows", place=window.place, expected=f"at most {max_windows}")
    lengths = _lengths(inputs.get(LENGTHS), count, steps)
    values = _observed(window, inputs.get(MASK))
    assets = _assets(inputs.get(ASSET), request.parameters.get(ASSET), count)
    windows = [
        model.reader.read_array(values[i, : lengths[i]], assets[i], f"{WINDOW}[{i}]") for i in range(count)
    ]
    options = Options(
        explain="contributions" in outputs,
        reconstruct="reconstruction" in outputs,
        false_alarm_rate=_false_alarm_rate(request.parameters),
    )
    return Inference(Task(model, options, list(windows)), outputs, steps, lengths)


def patience_s(parameters: Parameters) -> float | None:
    """The parameter `timeout`, which the protocol's clients give in microseconds, as seconds.

    Raises WrongContent.
    """
    given = parameters.get("timeout")
    if given is None:
        return None
    if isinstance(given, bool | str) or not given > 0:
        raise WrongContent(
            "the parameter `timeout` is no time", place="parameters.timeout", expected="microseconds above 0"
        )
    return given / 1e6


def _outputs(requested: Sequence[tuple[str, Parameters]]) -> tuple[str, ...]:
    names = [name for name, _ in requested]
    for index, (name, parameters) in enumerate(requested):
        place = f"outputs[{index}]"
        if name not in OUTPUTS:
            raise WrongContent(
                f"there is no output {locate.shown(name)!r}",
                place=place,
                expected=f"one of: {', '.join(OUTPUTS)}",
            )
        if name in names[:index]:
            raise WrongContent(f"the output {name!r} is wanted twice", place=place, expected="each once")
        _check_offered(parameters, place)
    return tuple(names) or OUTPUTS


def _by_name(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name not in INPUTS:
            raise WrongContent(
                f"there is no input {locate.shown(tensor.name)!r}",
                place=tensor.place,
                expected=f"one of: {', '.join(INPUTS)}",
            )
        if tensor.name in found:
            raise WrongContent(
                f"the input {tensor.name!r} is given twice", place=tensor.place, expected="each once"
            )
        found[tensor.name] = tensor
    return found


def _check_offered(parameters: Parameters, place: str) -> None:
    for name in _NOT_OFFERED:
        if parameters.get(name):
            raise WrongContent(f"`{name}` is not offered", place=f"{place}.parameters.{name}")


def check_input_parameters(parameters: Parameters, place: str) -> None:
    """Raises WrongContent for parameters of an input that say its data is where the service does not look."""
    _check_offered(parameters, place)


def _lengths(given: Tensor | None, count: int, steps: int) -> NDArray[np.int64]:
    if given is None:
        return np.full(count, steps, np.int64)
    if given.datatype == BYTES or given.elements.dtype.kind not in "iu":
        raise _wrong_input(given, f"is of {given.datatype}", "an integer type, such as INT32")
    if given.shape not in {(count,), (count, 1)}:
        raise _wrong_input(given, f"has the shape {list(given.shape)}", f"[{count}], one for each window")
    flat = given.elements.reshape(count)
    wrong = (flat < 0) | (flat > steps)
    if wrong.any():
        first = int(wrong.argmax())
        raise WrongContent(
            f"{LENGTHS}[{first}] is {flat[first]}",
            place=f"{LENGTHS}[{first}]",
            expected=f"0 to {steps} steps",
        )
    return flat.astype(np.int64)


def _observed(window: Tensor, mask: Tensor | None) -> Floats:
    """float64 (windows, steps, sensors); NaN where the mask says that there was no reading."""
    values = window.elements.astype(np.float64)
    if mask is None:
        return values
    if mask.datatype != "BOOL":
        raise _wrong_input(mask, f"is of {mask.datatype}", "BOOL")
    if mask.shape != window.shape:
        raise _wrong_input(
            mask, f"has the shape {list(mask.shape)}", f"{list(window.shape)}, that of `{WINDOW}`"
        )
    values[~mask.elements] = np.nan
    return values


def _assets(given: Tensor | None, common: Any, count: int) -> list[str | None]:
    """The asset of each window, None for none. An empty name in the input stands for none."""
    if given is None:
        if common is None:
            return [None] * count
        if not isinstance(common, str):
            raise WrongContent("the parameter `asset` is no text", place="parameters.asset", expected="text")
        return [check_asset(common, "parameters.asset")] * count
    if common is not None:
        raise WrongContent(
            "assets are given both as a parameter and as an input",
            place="parameters.asset",
            expected="one of the two",
        )
    if given.datatype != BYTES:
        raise _wrong_input(given, f"is of {given.datatype}", BYTES)
    if given.shape not in {(count,), (count, 1)}:
        raise _wrong_input(given, f"has the shape {list(given.shape)}", f"[{count}], one for each window")
    return [
        check_asset(name, f"{ASSET}[{index}]") if name else None
        for index, name in enumerate(given.elements.reshape(count).tolist())
    ]


def _false_alarm_rate(parameters: Parameters) -> float | None:
    given = parameters.get("false_alarm_rate")
    if given is None:
        return None
    try:
        # As text too: not every client of the protocol can send a parameter that is a fraction.
        rate = -1.0 if isinstance(given, bool) else float(given)
    except ValueError:
        rate = -1.0
    if not 0 < rate < 1:
        raise WrongContent(
            "the parameter `false_alarm_rate` is no rate",
            place="parameters.false_alarm_rate",
            expected="a number above 0 and below 1",
        )
    return rate


def _wrong_input(tensor: Tensor, what: str, expected: str) -> WrongContent:
    return WrongContent(f"the input {tensor.name!r} {what}", place=tensor.place, expected=expected)
