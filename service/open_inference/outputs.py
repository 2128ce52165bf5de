"""From verdicts to the protocol's output tensors, one row for each window."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import Verdict
from service.open_inference.inference import OUTPUTS, Inference
from service.open_inference.tensors import BYTES, Tensor


def tensors(inference: Inference, verdicts: Sequence[Verdict]) -> list[Tensor]:
    """The outputs that are wanted, in the order wanted. NaN is what a window that cannot be judged has."""
    found = []
    for name in inference.outputs:
        elements = _ELEMENTS[name](inference, verdicts)
        found.append(Tensor(name, BYTES if elements.dtype == object else "FP64", elements.shape, elements))
    return found


def parameters(inference: Inference) -> dict[str, bool | int | float | str]:
    """What an answer says of itself: which artefact it is from, and the alarm budget that was used."""
    model, rate = inference.task.model, inference.task.options.false_alarm_rate
    return {
        "sha256": model.ref.sha256,
        "false_alarm_rate": model.detector.manifest.default_false_alarm_rate if rate is None else rate,
    }


def _probabilities(inference: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    unknown = (np.nan,) * len(inference.task.model.detector.manifest.classes)
    return np.array([verdict.probabilities or unknown for verdict in verdicts], np.float64)


def _reconstruction_error(_: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    return np.array([verdict.reconstruction_error for verdict in verdicts], np.float64)


def _p_value(_: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    return np.array([verdict.p_value for verdict in verdicts], np.float64)


def _verdict(_: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    return np.array([verdict.ruling.value for verdict in verdicts], object)


def _contributions(inference: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    """(windows, sensors): each sensor's share of the evidence, in the model's order."""
    sensors = inference.task.model.detector.sensors
    shares = np.full((len(verdicts), len(sensors)), np.nan)
    for row, verdict in zip(shares, verdicts, strict=True):
        for item in verdict.contributions or ():
            row[sensors.index(item.sensor)] = item.share
    return shares


def _reconstruction(inference: Inference, verdicts: Sequence[Verdict]) -> NDArray[Any]:
    """(windows, steps, sensors), the steps being those of the input; NaN at those that were not judged."""
    sensors = inference.task.model.detector.sensors
    expected = np.full((len(verdicts), inference.steps, len(sensors)), np.nan)
    for index, (verdict, length) in enumerate(zip(verdicts, inference.lengths, strict=True)):
        if verdict.expected is not None:
            expected[index, length - len(verdict.expected) : length] = verdict.expected
    return expected


_ELEMENTS: Mapping[str, Callable[[Inference, Sequence[Verdict]], NDArray[Any]]] = dict(
    zip(
        OUTPUTS,
        (_probabilities, _reconstruction_error, _p_value, _verdict, _contributions, _reconstruction),
        strict=True,
    )
)
