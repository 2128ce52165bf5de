"""Dropout whose random numbers cost little (docs/decisions/0036)."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def dropout(inputs: Any, rate: float, seeds: keras.random.SeedGenerator) -> Any:
    """As `keras.random.dropout`, and with the same numbers.

    Keras leaves the algorithm to TensorFlow. It takes Philox, too, but in a form that XLA needs 20 times as
    long for, and computes again in the gradient.
    """
    # XLA takes seeds of 32 bits; this is how Keras makes them.
    seed = tf.cast(tf.math.floormod(seeds.next(), tf.int32.max - 1), tf.int32)
    return tf.nn.experimental.stateless_dropout(inputs, rate, seed, rng_alg="philox")


@keras.saving.register_keras_serializable("offnormal")
class Dropout(layers.Dropout):  # type: ignore[misc]
    """Keras' layer with the function above."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return dropout(inputs, self.rate, self.seed_generator) if training and self.rate > 0 else inputs
