"""Dropout whose random numbers XLA computes quickly."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def dropout(inputs: Any, rate: float, seeds: keras.random.SeedGenerator) -> Any:
    """As `keras.random.dropout`, and with the same numbers.

    Keras leaves the algorithm to TensorFlow, which takes Philox, too, but by a way that costs XLA some 20
    times as much (docs/decisions/0036).
    """
    # As Keras does: its seeds are int64, XLA wants int32.
    seed = tf.cast(tf.math.floormod(seeds.next(), tf.int32.max - 1), tf.int32)
    return tf.nn.experimental.stateless_dropout(inputs, rate, seed, rng_alg="philox")


@keras.saving.register_keras_serializable("offnormal")
class Dropout(layers.Dropout):  # type: ignore[misc]
    """Keras' layer with the function above."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return dropout(inputs, self.rate, self.seed_generator) if training and self.rate > 0 else inputs
