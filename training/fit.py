"""Fitting the network: the reconstruction first, then reconstruction and classes together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.recipe import Recipe
from training.sampling import TrainingBatch, WindowSampler


@dataclass(slots=True)
class Curves:
    """Losses by optimiser step: MSE of the reconstruction, cross-entropy of the classes."""

    reconstruction: list[float] = field(default_factory=list)
    classification: list[float] = field(default_factory=list)


OnStep = Callable[[int, int, float, float], None]


def fit(
    network: keras.Model, sampler: WindowSampler, recipe: Recipe, on_step: OnStep | None = None
) -> Curves:
    """Fit in place by Adam, its rate warmed up and decayed as a cosine, gradients clipped by global norm.

    on_step: called after each step with (step, steps, reconstruction loss, classification loss).
    """
    steps = recipe.reconstruction_steps + recipe.joint_steps
    optimiser = keras.optimizers.Adam(recipe.learning_rate)
    optimiser.build(network.trainable_variables)
    step = tf.function(_training_step(network, optimiser, recipe), jit_compile=True)
    curves = Curves()
    for number in range(steps):
        optimiser.learning_rate = _rate(number, steps, recipe.learning_rate)
        joint = number >= recipe.reconstruction_steps
        losses = step(*_tensors(sampler.draw(recipe.batch_size)), tf.constant(float(joint)))
        reconstruction, classification = float(losses[0]), float(losses[1])
        curves.reconstruction.append(reconstruction)
        curves.classification.append(classification)
        if on_step is not None:
            on_step(number + 1, steps, reconstruction, classification)
    return curves


def _rate(step: int, steps: int, peak: float) -> float:
    warm_up = min(50, steps // 10)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _training_step(network: keras.Model, optimiser: Any, recipe: Recipe) -> Callable[..., Any]:
    def run(
        values: Any, observed: Any, lengths: Any, target: Any, wanted: Any, klass: Any, joint: Any
    ) -> Any:
        windows, sensors = tf.shape(values)[0], values.shape[2]
        inputs = {
            "readings": tf.cast(values, tf.float64),
            "observed": observed,
            "lengths": lengths,
            "center": tf.zeros((windows, sensors), tf.float64),
            "scale": tf.ones((windows, sensors), tf.float64),
        }
        with tf.GradientTape() as tape:
            outputs = network(inputs, training=True)
            weight = tf.cast(wanted, tf.float32)
            squared = tf.square(outputs["reconstruction"] - target) * weight
            reconstruction = tf.reduce_sum(squared) / tf.maximum(tf.reduce_sum(weight), 1.0)
            classification = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(klass, outputs["logits"])
            )
            loss = (
                recipe.reconstruction_weight * reconstruction
                + joint * recipe.classification_weight * classification
            )
        gradients = tape.gradient(loss, network.trainable_variables)
        gradients = [
            tf.zeros_like(variable) if gradient is None else gradient
            for gradient, variable in zip(gradients, network.trainable_variables, strict=True)
        ]
        gradients, _ = tf.clip_by_global_norm(gradients, recipe.clip_norm)
        optimiser.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return reconstruction, classification

    return run


def _tensors(batch: TrainingBatch) -> tuple[Any, ...]:
    arrays = (batch.standardised, batch.observed, batch.lengths, batch.target, batch.wanted, batch.klass)
    return tuple(tf.constant(np.ascontiguousarray(array)) for array in arrays)
