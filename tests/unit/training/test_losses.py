"""The losses, on numbers that can be worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from training.errors import BadRecipe
from training.losses import class_weights, classification_loss, reconstruction_loss
from training.recipe import Recipe

CLASSES = ("normal", "leak", "cavitation", "other")
SHARES = np.array([0.45, 0.125, 0.125, 0.3])


def window(*values: float) -> tf.Tensor:
    return tf.constant(np.array(values, np.float32).reshape(1, -1, 1))


def everywhere(like: tf.Tensor) -> tf.Tensor:
    return tf.ones_like(like, tf.bool)


def loss_and_gradient(kind: str, output: tf.Tensor, target: tf.Tensor) -> tuple[float, np.ndarray]:
    with tf.GradientTape() as tape:
        tape.watch(output)
        loss = reconstruction_loss(kind, output, target, everywhere(output))
    return float(loss), tape.gradient(loss, output).numpy().ravel()


@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_readings_that_are_not_wanted_do_not_count(kind):
    target, wanted = window(1.0, 2.0, 3.0), tf.constant([[[True], [True], [False]]])
    one = reconstruction_loss(kind, window(0.5, 0.5, 0.5), target, wanted)
    other = reconstruction_loss(kind, window(0.5, 0.5, 99.0), target, wanted)
    assert float(one) == float(other)
    assert float(reconstruction_loss(kind, target, target, tf.zeros_like(wanted))) == 0.0


def test_the_squared_loss_is_the_mean_of_squared_deviations():
    assert loss_and_gradient("mse", window(1.0, 4.0), window(0.0, 1.0))[0] == pytest.approx(5.0)


def test_the_cross_entropy_of_readings_is_least_where_the_reconstruction_is_the_reading():
    target = window(-2.0, 0.0, 3.0)
    least, gradient = loss_and_gradient("bce", window(-2.0, 0.0, 3.0), target)
    assert np.abs(gradient).max() < 1e-7
    for shift in (-1.0, -0.1, 0.1, 1.0):
        assert loss_and_gradient("bce", target + shift, target)[0] > least


def test_the_cross_entropy_of_readings_has_a_finite_loss_and_a_live_gradient_however_far_off():
    for output in (-1e4, -50.0, 50.0, 1e4):
        loss, gradient = loss_and_gradient("bce", window(output), window(0.0))
        assert np.isfinite(loss)
        assert gradient[0] == pytest.approx(np.sign(output) * 0.5)


def test_balanced_weights_let_every_class_count_alike():
    weights = class_weights(Recipe(class_weights="balanced"), CLASSES, SHARES)
    assert weights * SHARES == pytest.approx([0.25] * 4)
    without = class_weights(Recipe(class_weights="balanced"), CLASSES, np.array([0.5, 0.0, 0.0, 0.5]))
    assert without == pytest.approx([1.0, 1.0, 1.0, 1.0])


def test_a_table_weighs_the_classes_that_it_names():
    weights = class_weights(Recipe(class_weights={"leak": 3.0, "other": 0.5}), CLASSES, SHARES)
    assert weights.tolist() == [1.0, 3.0, 1.0, 0.5]
    assert class_weights(Recipe(), CLASSES, SHARES) is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"leek": 1.0}, "no class 'leek'; the data has normal, leak"),
        (dict.fromkeys(CLASSES, 0.0), "weighs 0"),
    ],
    ids=["unknown-class", "all-zero"],
)
def test_a_table_that_does_not_fit_the_classes_is_refused(table, said):
    with pytest.raises(BadRecipe, match=said):
        class_weights(Recipe(class_weights=table), CLASSES, SHARES)


def test_a_class_counts_in_the_cross_entropy_by_its_weight():
    logits = tf.constant([[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    klass = tf.constant([0, 1, 1])
    each = np.log1p(np.exp([-2.0, -1.0, 0.0]))
    assert float(classification_loss(logits, klass, None)) == pytest.approx(each.mean())
    weighted = classification_loss(logits, klass, np.array([1.0, 3.0], np.float32))
    assert float(weighted) == pytest.approx((each * [1, 3, 3]).sum() / 7)
    only_first = classification_loss(logits, klass, np.array([1.0, 0.0], np.float32))
    assert float(only_first) == pytest.approx(each[0])
