"""What can go wrong while a model is trained."""

from pathlib import Path


class TrainingError(Exception):
    """Base of every error that this package raises on purpose."""


class BadRecipe(TrainingError):
    """A recipe has an unknown key or a value out of range."""


class RunRefused(TrainingError):
    """The folder of a run cannot be written, or what is in it cannot be gone on with."""


class TuningRefused(TrainingError):
    """A study cannot be begun, or gone on with, as asked."""


class NotBetter(TrainingError):
    """A model that ranks rows no better than a plain detector does, and was not to be published then."""


class Interrupted(TrainingError):
    """Training was asked to stop and did, at a state from which it can go on.

    step: optimiser steps that are done, of `steps`. folder: of the run, None when it was not to be kept.
    """

    def __init__(self, step: int, steps: int, folder: Path | None) -> None:
        super().__init__(f"interrupted after step {step} of {steps}")
        self.step, self.steps, self.folder = step, steps, folder


class NotEnoughData(TrainingError):
    """The files hold too little normal operation to train, calibrate and test apart from each other."""
