"""The network: an autoencoder whose encoded window feeds a decoder and a softmax head.

    readings, observed, center, scale --Standardise--> encoder --> code --+--> decoder --> reconstruction
    lengths ------------------------------mask------------^               +--> head -----> logits
                                              |                                 ^
                                              +--> statistics of each sensor ---+

Standardisation is inside, so that training and serving cannot scale differently. The code is the encoder's
state after the last given step; with attention, beside it, a mean of its states over all given steps.
"""

import math
from typing import Any

import keras
from keras import layers, ops

from training.dropout import Dropout
from training.features import WindowFeatures
from training.recurrent import GRUCell, LSTMCell, Recurrent

ENCODER = "encoder_{}"
DECODER = "decoder_{}"
RECONSTRUCTION = "reconstruction"
LOGITS = "logits"
ATTENTION = "attention"
FEATURES = "features"
HIDDEN = "head"
# Score of a padded step: its exponential is exactly 0 beside that of any given step.
PADDED_SCORE = -1e9
# Beyond this many deviations a reading is as strange as it gets; it keeps squares finite in float32.
STANDARDISED_LIMIT = 1e4


@keras.saving.register_keras_serializable("offnormal")
class Standardise(layers.Layer):  # type: ignore[misc]
    """(readings - center) / scale in float64, then float32; 0 where nothing was observed.

    Inputs: readings float64 and observed bool (windows, steps, sensors); center and scale float64
    (windows or 1, sensors). Output float32 (windows, steps, sensors), within ±STANDARDISED_LIMIT.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, readings: Any, observed: Any, center: Any, scale: Any) -> Any:
        standardised = (readings - ops.expand_dims(center, 1)) / ops.expand_dims(scale, 1)
        clipped = ops.clip(standardised, -STANDARDISED_LIMIT, STANDARDISED_LIMIT)
        return ops.where(observed, ops.cast(clipped, "float32"), 0.0)


@keras.saving.register_keras_serializable("offnormal")
class EncoderInput(layers.Layer):  # type: ignore[misc]
    """Clipped readings beside their observed flags: (windows, steps, 2 × sensors)."""

    def __init__(self, clip: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip = clip

    def call(self, standardised: Any, observed: Any) -> Any:
        flags = ops.cast(observed, "float32")
        return ops.concatenate([ops.clip(standardised, -self.clip, self.clip), flags], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip": self.clip}


@keras.saving.register_keras_serializable("offnormal")
class StepMask(layers.Layer):  # type: ignore[misc]
    """bool (windows, steps): True for the first `lengths` steps of each window."""

    def call(self, lengths: Any, like: Any) -> Any:
        positions = ops.expand_dims(ops.arange(ops.shape(like)[1], dtype="int32"), 0)
        return ops.less(positions, ops.expand_dims(lengths, 1))


@keras.saving.register_keras_serializable("offnormal")
class Attention(layers.Layer):  # type: ignore[misc]
    """A mean of the encoder's states, weighted by how well each fits the last one.

    Inputs: states float32 (windows, steps, units), last float32 (windows, units), mask bool (windows, steps).
    Output (windows, units). The score of a step is state · W last / √units, with W learnt; a softmax over
    the given steps makes weights of the scores (Luong, Pham and Manning 2015, Effective Approaches to
    Attention-based Neural Machine Translation, "general"). A padded step weighs exactly 0.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """What comes out has no steps left to mask."""

    def build(self, states_shape: Any, *_: Any) -> None:
        units = states_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(units, units), initializer="glorot_uniform")

    def call(self, states: Any, last: Any, mask: Any) -> Any:
        wanted = ops.expand_dims(ops.matmul(last, self.kernel), -1)
        scores = ops.matmul(states, wanted)[..., 0] / math.sqrt(self.kernel.shape[0])
        weights = ops.softmax(ops.where(mask, scores, PADDED_SCORE), axis=-1)
        return ops.sum(ops.expand_dims(weights, -1) * states, axis=1)


@keras.saving.register_keras_serializable("offnormal")
class RepeatCode(layers.Layer):  # type: ignore[misc]
    """The code of a window at every step: (windows, units) -> (windows, steps, units)."""

    def call(self, code: Any, like: Any) -> Any:
        return ops.repeat(ops.expand_dims(code, 1), ops.shape(like)[1], axis=1)


def build_network(
    sensors: int,
    classes: int,
    cell: str,
    units: list[int],
    input_clip: float,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    attention: bool = False,
    head_units: int = 0,
    head_dropout: float = 0.0,
) -> keras.Model:
    """A Keras model: inputs as in `detector.windows.Batch`, outputs as in `detector.runtime.Outputs`.

    cell: `lstm` or `gru`. units: of each encoder layer; the decoder has them in reverse.
    head_units: of a layer between the code, joined by the features of the window, and the logits; with 0 the
    logits come from the code alone.
    """
    recurrent_cell = {"lstm": LSTMCell, "gru": GRUCell}[cell]
    readings = keras.Input((None, sensors), dtype="float64", name="readings")
    observed = keras.Input((None, sensors), dtype="bool", name="observed")
    lengths = keras.Input((), dtype="int32", name="lengths")
    center = keras.Input((sensors,), dtype="float64", name="center")
    scale = keras.Input((sensors,), dtype="float64", name="scale")

    standardised = Standardise(name="standardised")(readings, observed, center, scale)
    mask = StepMask(name="step_mask")(lengths, readings)
    signal = EncoderInput(input_clip, name="encoder_input")(standardised, observed)
    for depth, width in enumerate(units):
        last = depth == len(units) - 1
        signal = Recurrent(
            recurrent_cell(width, dropout=dropout, recurrent_dropout=recurrent_dropout),
            return_sequences=attention or not last,
            return_state=attention and last,
            name=ENCODER.format(depth),
        )(signal, mask=mask)
    code = _attended(signal, mask) if attention else signal
    signal = RepeatCode(name="repeat_code")(code, readings)
    for depth, width in enumerate(reversed(units)):
        signal = Recurrent(
            recurrent_cell(width, dropout=dropout if depth else 0.0, recurrent_dropout=recurrent_dropout),
            constant_input=depth == 0,
            return_sequences=True,
            name=DECODER.format(depth),
        )(signal)
    reconstruction = layers.Dense(sensors, name=RECONSTRUCTION)(signal)
    known = code
    if head_units:
        features = WindowFeatures(name=FEATURES)(standardised, observed)
        known = Dropout(head_dropout)(layers.Concatenate(name="known")([code, features]))
        known = layers.Dense(head_units, activation="relu", name=HIDDEN)(known)
        known = Dropout(head_dropout)(known)
    logits = layers.Dense(classes, name=LOGITS)(known)
    return keras.Model(
        {
            "readings": readings,
            "observed": observed,
            "lengths": lengths,
            "center": center,
            "scale": scale,
        },
        {"standardised": standardised, "reconstruction": reconstruction, "logits": logits},
    )


def _attended(encoded: Any, mask: Any) -> Any:
    """The code: the encoder's last state beside the attended mean of all, (windows, 2 × units)."""
    states, last, *_ = encoded
    context = Attention(name=ATTENTION)(states, last, mask)
    return layers.Concatenate(name="code")([last, context])
