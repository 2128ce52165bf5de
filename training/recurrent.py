"""Recurrent layers whose gradient computes each step anew.

For the gradient of a loop, TensorFlow keeps every product and gate of every step: megabytes that fit no
cache and take longer to write and to read than to compute. Here a loop keeps the states alone; the loop back
computes a step from the states before it and takes its gradient there and then (Gruslys et al. 2016,
Memory-Efficient Backpropagation Through Time). The cells are Keras', and so are outputs and gradients
(docs/decisions/0036).
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from training.dropout import dropout

States = tuple[Any, ...]
Masks = tuple[Any, Any]


class _GivenMasks:
    """A cell whose masks of dropout are given to it, so that a step can be computed again.

    masks: of the inputs and of the hidden state; each None, one for all gates, or a list of one for each.
    """

    masks: Masks = (None, None)
    dropout: float
    recurrent_dropout: float
    seed_generator: keras.random.SeedGenerator

    def get_dropout_mask(self, step_input: Any) -> Any:
        return self.masks[0]

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        return self.masks[1]

    def draw(self, inputs: Any, hidden: Any) -> Masks:
        """Masks for all steps of a call. inputs: a step's, (windows, features). hidden: (windows, units)."""

        def masks(like: Any, rate: float) -> Any:
            if not rate:
                return None
            gates = getattr(self, "dropout_mask_count", None)
            drawn = [dropout(tf.ones_like(like), rate, self.seed_generator) for _ in range(gates or 1)]
            return drawn if gates else drawn[0]

        return masks(inputs, self.dropout), masks(hidden, self.recurrent_dropout)


@keras.saving.register_keras_serializable("offnormal")
class LSTMCell(_GivenMasks, layers.LSTMCell):  # type: ignore[misc]
    """Keras' cell, for `Recurrent`."""


@keras.saving.register_keras_serializable("offnormal")
class GRUCell(_GivenMasks, layers.GRUCell):  # type: ignore[misc]
    """Keras' cell, for `Recurrent`."""


@keras.saving.register_keras_serializable("offnormal")
class Recurrent(layers.RNN):  # type: ignore[misc]
    """Keras' RNN, forwards, over one of the cells above.

    constant_input: the input is the same at all steps, so that only the first is looked at.
    """

    def __init__(self, cell: Any, constant_input: bool = False, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        if self.go_backwards or self.zero_output_for_mask:
            raise NotImplementedError("go_backwards, zero_output_for_mask")
        self.constant_input = constant_input

    def inner_loop(
        self, sequences: Any, initial_state: list[Any], mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """The last output, all outputs (windows, steps, units), and the last states.

        A step that `mask` leaves out changes no state, and so gives out what the step before it did.
        """
        cell = self.cell
        masks = cell.draw(sequences[:, 0], initial_state[0]) if training else (None, None)
        given = None if mask is None else tf.transpose(mask)[:, :, None]

        def step(t: Any, inputs: Any, before: States) -> States:
            cell.masks = masks
            _, after = cell.call(inputs, before, training=training)
            if given is None:
                return tuple(after)
            return tuple(tf.where(given[t], new, old) for new, old in zip(after, before, strict=True))

        steps = sequences.shape[1] or tf.shape(sequences)[1]
        inputs = sequences[:, 0] if self.constant_input else tf.transpose(sequences, [1, 0, 2])
        states = _scan(step, steps, inputs, self.constant_input, tuple(initial_state))
        last = [state[-1] for state in states]
        return last[0], tf.transpose(states[0], [1, 0, 2]), last

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "constant_input": self.constant_input}


def _scan(
    step: Callable[[Any, Any, States], States], steps: Any, inputs: Any, constant: bool, initial: States
) -> States:
    """All states after each step, (steps, windows, units) each.

    step: called with the number of the step, its input and the states before it; gives those after it.
    inputs: (steps, windows, features), or (windows, features) where they are constant.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def scan(inputs: Any, *initial: Any) -> tuple[States, Callable[..., Any]]:
        def at(t: Any) -> Any:
            return inputs if constant else inputs[t]

        def forth(t: Any, before: States, kept: States) -> tuple[Any, States, States]:
            after = step(t, at(t), before)
            return t + 1, after, tuple(array.write(t, now) for array, now in zip(kept, after, strict=True))

        kept = tuple(_array(steps, state) for state in initial)
        *_, kept = tf.while_loop(lambda t, *_: t < steps, forth, (0, initial, kept))
        states = tuple(array.stack() for array in kept)

        def gradient(*dstates: Any, variables: list[Any]) -> tuple[list[Any], list[Any]]:
            """By inputs and initial states, and by the weights. dstates: by the states after each step."""
            earlier = [
                tf.concat([first[None], later[:-1]], axis=0)
                for first, later in zip(initial, states, strict=True)
            ]

            def back(t: Any, dlater: States, dinputs: Any, dweights: list[Any]) -> tuple[Any, ...]:
                dafter = [later + here[t] for later, here in zip(dlater, dstates, strict=True)]
                given = at(t), tuple(state[t] for state in earlier)
                with tf.GradientTape() as tape:
                    tape.watch(given)
                    after = step(t, *given)
                (dinput, dbefore), dhere = tape.gradient(after, (given, variables), dafter)
                dinputs = dinputs + dinput if constant else dinputs.write(t, dinput)
                dweights = [later + here for later, here in zip(dweights, dhere, strict=True)]
                return t - 1, dbefore, dinputs, dweights

            none = (
                tuple(map(tf.zeros_like, initial)),
                tf.zeros_like(inputs) if constant else _array(steps, inputs[0]),
                [tf.zeros_like(variable) for variable in variables],
            )
            _, dinitial, dinputs, dweights = tf.while_loop(lambda t, *_: t >= 0, back, (steps - 1, *none))
            return [dinputs if constant else dinputs.stack(), *dinitial], dweights

        return states, gradient

    return scan(inputs, *initial)  # type: ignore[no-any-return]


def _array(steps: Any, like: Any) -> Any:
    """An array for one such value each step."""
    return tf.TensorArray(like.dtype, steps, element_shape=like.shape)
