"""What can go wrong while a model is evaluated on recordings."""


class EvaluationError(Exception):
    """Base of every error that this package raises on purpose; the message names the recording."""
