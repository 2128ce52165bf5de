"""Fitting the network, in stretches: it can be stopped after any step and taken up again, bit for bit."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from detector.operation import Operation
from detector.windows import Singles
from training.architecture import FEATURES, build_network
from training.checkpoint import Arrays, Curves, FitState
from training.dataset import Experiment, Population
from training.devices import devices, divide_processor
from training.losses import class_weights, classification_loss, reconstruction_loss
from training.operation import measure_operation
from training.recipe import Recipe
from training.sampling import TrainingBatch, WindowSampler
from training.schedule import learning_rate, loss_weights

# Steps over which the loss is averaged before weights count as the best so far: one batch says little.
BLOCK_STEPS = 25
# Units of the head's hidden layer, unless the recipe says otherwise.
LEAST_HEAD_UNITS, HEAD_UNITS_BY_CLASS = 64, 12
_OPTIMISERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}

OnStep = Callable[[int, int, float, float], None]


class Fitting:
    """One fit in progress. network: what is fitted, in place. operation: of the windows it learns from."""

    def __init__(
        self,
        network: keras.Model,
        sampler: WindowSampler,
        recipe: Recipe,
        operation: Operation,
        class_weights: Singles | None = None,
        device: str | None = None,
    ) -> None:
        """class_weights: float32 (classes,), see training.losses; None: all windows count alike.

        device: of TensorFlow, where the network is and steps run; the first unless given.
        """
        self._device = device
        self.network, self.operation = network, operation
        self._sampler, self._recipe, self._class_weights = sampler, recipe, class_weights
        self._optimiser = _OPTIMISERS[recipe.optimiser](recipe.learning_rate)
        self._optimiser.build(network.trainable_variables)
        self._step = tf.function(
            _training_step(network, self._optimiser, recipe, class_weights), jit_compile=True
        )
        self._best: Arrays = network.get_weights()
        self._best_loss = float("inf")
        self.step = 0
        self.curves = Curves()
        self._first = self.state()

    def begin_again(
        self,
        experiments: Sequence[Experiment],
        operation: Operation,
        classes: int,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        """Fit the network anew from its first weights, on other recordings of the same sensors.

        recipe: the same but for its number of steps.
        """
        self._recipe, self.operation = recipe, operation
        self._sampler = WindowSampler(experiments, recipe, classes, rng)
        self.restore(replace(self._first, sampler=self._sampler.state))
        _adapt(self.network, operation)

    def double(self) -> "Fitting":
        """Another fit from the same first weights, with a network and a step of its own, so that one thread
        may run it while another runs this one. To be begun with `begin_again`."""
        device = devices()[1]
        with tf.device(device):
            network = type(self.network).from_config(self.network.get_config())
            double = Fitting(
                network, self._sampler, self._recipe, self.operation, self._class_weights, device
            )
        double._first = self._first
        return double

    @property
    def done(self) -> bool:
        return self.step >= self._recipe.steps

    def run(
        self,
        until: int | None = None,
        on_step: OnStep | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Go on to step `until`, or to the end; less far when `stop` says so, which is asked after each step.

        on_step: called after each step with (step, steps, reconstruction loss, classification loss).
        The next batch is drawn while the network learns from the one before; batches are the same, and in
        the same order, as if they were drawn in turn.
        """
        last = self._recipe.steps if until is None else min(until, self._recipe.steps)
        with ThreadPoolExecutor(1, thread_name_prefix="sampler") as drawing:
            pending = self._draw(drawing) if self.step < last else None
            drawn = self._sampler.state
            try:
                while pending is not None:
                    batch, after = pending.result()
                    pending = self._draw(drawing) if self.step + 1 < last else None
                    self._learn(batch, on_step)
                    drawn = after
                    if stop():
                        break
            finally:
                if pending is not None:
                    pending.exception()
                    self._sampler.state = drawn

    def state(self) -> FitState:
        """A copy of what `restore` needs to go on from here."""
        return FitState(
            self.step,
            _values(self.network.variables),
            _values(self._optimiser.variables),
            self._sampler.state,
            Curves(list(self.curves.reconstruction), list(self.curves.classification)),
            self._best,
            self._best_loss,
        )

    def restore(self, state: FitState) -> None:
        """Go on from a state of the same recipe, data and network."""
        _assign(self.network.variables, state.variables)
        _assign(self._optimiser.variables, state.optimiser)
        self._sampler.state = state.sampler
        self._best, self._best_loss = state.best, state.best_loss
        self.curves = Curves(list(state.curves.reconstruction), list(state.curves.classification))
        self.step = state.step

    @property
    def has_best(self) -> bool:
        """Whether enough steps are done to tell good weights from bad ones."""
        return math.isfinite(self._best_loss)

    def take_best(self) -> None:
        """Give the network the weights with the lowest loss so far, by the weights of the last stage.

        Batches are drawn afresh, so that this loss is about as good as one on windows set apart.
        """
        self.network.set_weights(self._best)

    def _draw(self, drawing: ThreadPoolExecutor) -> "Future[tuple[TrainingBatch, dict[str, Any]]]":
        def draw() -> tuple[TrainingBatch, dict[str, Any]]:
            return self._sampler.draw(self._recipe.batch_size), self._sampler.state

        return drawing.submit(draw)

    def _learn(self, batch: TrainingBatch, on_step: OnStep | None) -> None:
        with tf.device(self._device):
            rates = *loss_weights(self.step, self._recipe), learning_rate(self.step, self._recipe)
            losses = self._step(*_tensors(batch), tf.constant(rates, tf.float32))
        reconstruction, classification = losses.numpy().tolist()
        self.curves.reconstruction.append(reconstruction)
        self.curves.classification.append(classification)
        self.step += 1
        if self.step % BLOCK_STEPS == 0 or self.done:
            self._keep_best()
        if on_step is not None:
            on_step(self.step, self._recipe.steps, reconstruction, classification)

    def _keep_best(self) -> None:
        of_reconstruction, of_classes = loss_weights(self._recipe.steps - 1, self._recipe)
        loss = of_reconstruction * np.mean(self.curves.reconstruction[-BLOCK_STEPS:])
        loss += of_classes * np.mean(self.curves.classification[-BLOCK_STEPS:])
        if loss < self._best_loss:
            self._best, self._best_loss = self.network.get_weights(), float(loss)


def begin(
    experiments: Sequence[Experiment], population: Population, recipe: Recipe, rng: np.random.Generator
) -> Fitting:
    """A fit of a new network at its first step. rng: draws the batches; the weights are seeded by the recipe.

    Raises NotEnoughData, BadRecipe.
    """
    divide_processor()
    keras.utils.set_random_seed(recipe.seed)
    network = build_network(
        len(population.sensors),
        len(population.classes),
        recipe.cell,
        list(recipe.units),
        recipe.input_clip,
        recipe.dropout,
        recipe.recurrent_dropout,
        recipe.attention,
        head_units(recipe, len(population.classes)),
        recipe.head_dropout,
    )
    operation = measure_operation(experiments, recipe)
    _adapt(network, operation)
    sampler = WindowSampler(experiments, recipe, len(population.classes), rng)
    weights = class_weights(recipe, population.classes, sampler.class_shares)
    return Fitting(network, sampler, recipe, operation, weights)


def head_units(recipe: Recipe, classes: int) -> int:
    """Units of the head's hidden layer: the recipe's, or as many as the classes need."""
    if recipe.head_units is not None:
        return recipe.head_units
    return max(LEAST_HEAD_UNITS, HEAD_UNITS_BY_CLASS * classes)


def _adapt(network: keras.Model, operation: Operation) -> None:
    if any(layer.name == FEATURES for layer in network.layers):
        network.get_layer(FEATURES).adapt(operation)


def _training_step(
    network: keras.Model, optimiser: Any, recipe: Recipe, class_weights: Singles | None
) -> Callable[..., Any]:
    def run(
        values: Any, observed: Any, lengths: Any, target: Any, wanted: Any, klass: Any, rates: Any
    ) -> Any:
        """The two losses, before the step. rates: the weight of each, and the learning rate."""
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
            reconstruction = reconstruction_loss(
                recipe.reconstruction_loss, outputs["reconstruction"], target, wanted
            )
            classification = classification_loss(outputs["logits"], klass, class_weights)
            loss = rates[0] * reconstruction + rates[1] * classification
        gradients = tape.gradient(loss, network.trainable_variables)
        gradients = [
            tf.zeros_like(variable) if gradient is None else gradient
            for gradient, variable in zip(gradients, network.trainable_variables, strict=True)
        ]
        if recipe.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, recipe.clip_norm)
        optimiser.learning_rate = rates[2]
        optimiser.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return tf.stack([reconstruction, classification])

    return run


def _values(variables: Any) -> Arrays:
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def _assign(variables: Any, values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _tensors(batch: TrainingBatch) -> tuple[Any, ...]:
    arrays = (batch.standardised, batch.observed, batch.lengths, batch.target, batch.wanted, batch.klass)
    return tuple(tf.constant(np.ascontiguousarray(array)) for array in arrays)
