"""What fitting makes small: the reconstruction loss and the cross-entropy of the classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from detector.windows import Floats, Singles
from training.errors import BadRecipe
from training.recipe import Recipe


def reconstruction_loss(kind: str, reconstruction: Any, target: Any, wanted: Any) -> Any:
    """Mean over wanted readings; float32 scalar.

    reconstruction, target: float32 (windows, steps, sensors), standardised. wanted: bool, same shape.
    kind: `mse`, the squared difference; or `bce`, the binary cross-entropy between both squashed into 0..1 by
    the logistic function. The network's output is the logit itself, so that the loss is computed from logits,
    its gradient is sigmoid(reconstruction) - sigmoid(target), which neither vanishes nor overflows where the
    output is far off, its smallest value lies at reconstruction = target, and the reconstruction remains in
    standard deviations: nothing changes in the graph that is served.
    """
    weight = tf.cast(wanted, tf.float32)
    if kind == "mse":
        each = tf.square(reconstruction - target)
    else:
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(target), logits=reconstruction)
    return tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)


def classification_loss(logits: Any, klass: Any, weights: Singles | None) -> Any:
    """Cross-entropy, float32 scalar: the mean over windows, weighted by class where weights are given.

    logits: float32 (windows, classes). klass: int32 (windows,). weights: float32 (classes,); their ratios
    matter.
    """
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(klass, logits)
    if weights is None:
        return tf.reduce_mean(each)
    weight = tf.gather(tf.constant(weights), klass)
    return tf.reduce_sum(weight * each) / tf.maximum(tf.reduce_sum(weight), 1e-6)


def class_weights(recipe: Recipe, classes: Sequence[str], shares: Floats) -> Singles | None:
    """Weight of each class in the cross-entropy, float32 (classes,); None when all windows count alike.

    shares: (classes,), of the windows of a batch. `balanced` weighs by their inverse, so that each class that
    is drawn at all counts as much as any other. Raises BadRecipe when a table names a class that is unknown.
    """
    if recipe.class_weights == "none":
        return None
    if recipe.class_weights == "balanced":
        drawn = shares > 0
        return np.where(drawn, 1.0 / np.where(drawn, shares, 1.0) / drawn.sum(), 1.0).astype(np.float32)
    unknown = sorted(set(recipe.class_weights) - set(classes))
    if unknown:
        raise BadRecipe(f"class_weights: there is no class {unknown[0]!r}; the data has {', '.join(classes)}")
    weights = np.array([recipe.class_weights.get(name, 1.0) for name in classes], np.float32)
    if not (weights[shares > 0] > 0).any():
        raise BadRecipe("class_weights: every class that is trained on weighs 0")
    return weights
