"""Losses and learning rate for TensorBoard."""

from pathlib import Path

import tensorflow as tf

from training.recipe import Recipe
from training.schedule import learning_rate, loss_weights


class TensorBoard:
    """Writes one point a step; fits `training.fit.OnStep`. Needs the library tensorboard."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        import tensorboard as tensorboard

        self._recipe = recipe
        self._writer = tf.summary.create_file_writer(str(folder))

    def __call__(self, step: int, steps: int, reconstruction: float, classification: float) -> None:
        weights = loss_weights(step - 1, self._recipe)
        with self._writer.as_default(step=step):
            tf.summary.scalar("loss/reconstruction", reconstruction)
            tf.summary.scalar("loss/classification", classification)
            tf.summary.scalar("loss/total", weights[0] * reconstruction + weights[1] * classification)
            tf.summary.scalar("learning_rate", learning_rate(step - 1, self._recipe))
        if step == steps:
            self.close()

    def close(self) -> None:
        self._writer.close()
