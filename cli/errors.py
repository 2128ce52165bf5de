"""From an exception to the one line that a person should read."""

import sys

# Module whose absence is the sign of it: the extra that brings it.
_EXTRAS = {
    "polars": "parquet",
    "google": "grpc",
    "grpc": "grpc",
    "grpc_health": "grpc",
    "grpc_reflection": "grpc",
    "tensorflow": "train",
    "keras": "train",
    "scipy": "train",
    "onnx": "train",
    "matplotlib": "train",
    "optuna": "train",
    "tensorboard": "train",
    "tomli_w": "train",
}
_BASES = {
    "detector.errors": "DetectorError",
    "history.errors": "HistoryError",
    "evaluation.errors": "EvaluationError",
    "service.errors": "ServiceError",
    "training.errors": "TrainingError",
}


class CommandError(Exception):
    """A command cannot do what it was asked; the message says why, and where."""


def message_of(error: BaseException) -> str | None:
    """What to tell about an error that was foreseen; None for one that was not and deserves a traceback."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        extra = _EXTRAS.get(error.name.partition(".")[0])
        if extra:
            return (
                f"this needs {error.name}, which is not installed; the extra `{extra}` brings it: "
                f"pip install 'offnormal[{extra}]'"
            )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, (CommandError, *_domain_errors())):
        return str(error)
    return None


def _domain_errors() -> tuple[type[BaseException], ...]:
    """The error bases of the packages in use: one that was never imported has raised nothing, and is not
    imported for this, since that could cost a TensorFlow."""
    return tuple(
        getattr(sys.modules[module], base) for module, base in _BASES.items() if module in sys.modules
    )
