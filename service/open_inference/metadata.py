"""What the protocol lets a server and a model say of themselves."""

from dataclasses import dataclass

import msgspec

from service.errors import NotReady
from service.models import LoadedModel, Models
from service.open_inference.inference import (
    ASSET,
    LENGTHS,
    MASK,
    WINDOW,
    Parameters,
    find_model,
)

SERVER_NAME = "offnormal"
EXTENSIONS = ("binary_tensor_data",)


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """One input or output. shape: -1 where the size varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """One version of a model. versions: that answer, newest first."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    parameters: Parameters


def describe(models: Models, model: LoadedModel) -> ModelMetadata:
    """What a caller needs to make a window and to read the answer."""
    manifest = model.detector.manifest
    sensors, classes = len(manifest.sensors), len(manifest.classes)
    return ModelMetadata(
        model.ref.name,
        tuple(str(loaded.ref.version) for loaded in models.loaded(model.ref.name)),
        f"{SERVER_NAME}_{model.detector.runtime.name}",
        (
            TensorMetadata(WINDOW, "FP64", (-1, -1, sensors)),
            TensorMetadata(LENGTHS, "INT32", (-1,)),
            TensorMetadata(MASK, "BOOL", (-1, -1, sensors)),
            TensorMetadata(ASSET, "BYTES", (-1,)),
        ),
        (
            TensorMetadata("probabilities", "FP64", (-1, classes)),
            TensorMetadata("reconstruction_error", "FP64", (-1,)),
            TensorMetadata("p_value", "FP64", (-1,)),
            TensorMetadata("verdict", "BYTES", (-1,)),
            TensorMetadata("contributions", "FP64", (-1, sensors)),
            TensorMetadata("reconstruction", "FP64", (-1, -1, sensors)),
        ),
        {
            "version": str(model.ref.version),
            "sha256": model.ref.sha256,
            # A parameter is a text, a number or a truth value, so that lists are JSON inside a text.
            "sensors": msgspec.json.encode(manifest.sensor_names).decode(),
            "classes": msgspec.json.encode(manifest.classes).decode(),
            "steps": manifest.window.steps,
            "minimum_steps": manifest.window.minimum_steps,
            "false_alarm_rate": manifest.default_false_alarm_rate,
        },
    )


def answers(models: Models, name: str, version: str) -> bool:
    """Whether a model would answer now. Raises ModelNotFound."""
    try:
        model = find_model(models, name, version)
    except NotReady:
        return False
    return f"{model.ref.name}/{model.ref.version}" not in models.hanging()
