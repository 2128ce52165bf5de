"""What can go wrong while a model is trained."""


class TrainingError(Exception):
    """Base of every error that this package raises on purpose."""


class BadRecipe(TrainingError):
    """A recipe has an unknown key or a value out of range."""


class NotEnoughData(TrainingError):
    """The files hold too little normal operation to train, calibrate and test apart from each other."""
