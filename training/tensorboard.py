"""Losses and learning rate for TensorBoard."""

from pathlib import Path

import tensorflow as tf

from training.recipe import Recipe
from training.schedule import learning_rate, loss_weights


class TensorBoard:
    """Writes one point a step of the first fit; fits `training.fit.OnStep`. Needs the library tensorboard.

    Fits after it are of stand-ins for calibration, not of the model, and would draw over its curves.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        import tensorboard as tensorboard

        self._recipe = recipe
        self._done = False
        self._writer = tf.summary.create_file_writer(str(folder))

    def __call__(self, step: int, steps: int, reconstruction: float, classification: float) -> None:
        if self._done:
            return
        weights = loss_weights(step - 1, self._recipe)
        with self._writer.as_default(step=step):
            tf.summary.scalar("loss/reconstruction", reconstruction)
            tf.summary.scalar("loss/classification", classification)
            tf.summary.scalar("loss/total", weights[0] * reconstruction + weights[1] * classification)
            tf.summary.scalar("learning_rate", learning_rate(step - 1, self._recipe))
        if step == steps:
            self._done = True
            self._writer.close()
