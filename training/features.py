"""What the head is told of a window beside its code: the statistics that its verdict rests on."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from detector.operation import Operation
from detector.statistics import FLOOR

# Levels beyond this many deviations are as strange as it gets; it keeps squares finite in float32.
LEVEL_LIMIT = 1e3


@keras.saving.register_keras_serializable("offnormal")
class WindowFeatures(layers.Layer):  # type: ignore[misc]
    """Statistics of `detector.statistics`, as deviations from normal operation; 0 where not observed.

    Inputs: standardised float32 and observed bool (windows, steps, sensors).
    Output (windows, 5 × sensors + 4): each sensor's level; the levels decorrelated and brought to unit
    variance, so that a broken correlation shows as plainly as a shift; scatter; roughness; by how much it
    disagrees with the others of its row (detector/rows.py; but a reading that is missing counts as the mean
    of those that are there, or as the sensor's level if none is); and the log of the mean square of the last
    four. All squashed by asinh, which is a logarithm far out and changes nothing near 0: beyond the faults
    that were injected the head goes on as it began.
    Its weights are measured on normal operation (`adapt`), not learnt.
    """

    def build(self, shape: Any, *_: Any) -> None:
        sensors = shape[-1]

        def fixed(name: str, initializer: str, *size: int) -> Any:
            return self.add_weight(name=name, shape=size, initializer=initializer, trainable=False)

        self.level = fixed("level", "zeros", sensors)
        self.whitening = fixed("whitening", "identity", sensors, sensors)
        self.center = fixed("center", "zeros", 3 * sensors)
        self.scale = fixed("scale", "ones", 3 * sensors)
        self.conditioning = fixed("conditioning", "identity", sensors, sensors)

    def adapt(self, operation: Operation) -> None:
        """Take the means and spreads of normal operation."""
        rows = operation.rows
        if rows is None:
            raise ValueError("an operation without its rows")
        variances, axes = np.linalg.eigh(operation.covariance)
        precision = np.linalg.inv(rows.covariance)
        weights = [
            operation.level,
            axes / np.sqrt(variances),
            np.concatenate([operation.scatter, operation.roughness, rows.disagreement]),
            np.concatenate([operation.scatter_sd, operation.roughness_sd, rows.disagreement_sd]),
            precision / np.sqrt(precision.diagonal()),
        ]
        self.set_weights([np.asarray(weight, np.float32) for weight in weights])

    def call(self, standardised: Any, observed: Any) -> Any:
        seen = ops.cast(observed, "float32")
        readings = ops.clip(standardised, -LEVEL_LIMIT, LEVEL_LIMIT)
        count = ops.sum(seen, axis=1)
        mean = ops.sum(readings * seen, axis=1) / ops.maximum(count, 1.0)
        away = (readings - ops.expand_dims(mean, 1)) * seen
        variance = ops.sum(ops.square(away), axis=1) / ops.maximum(count, 1.0)
        pairs = seen[:, 1:] * seen[:, :-1]
        moves = ops.sum(pairs, axis=1)
        change = ops.sum(ops.square(readings[:, 1:] - readings[:, :-1]) * pairs, axis=1)
        change = change / ops.maximum(moves, 1.0)

        level = (mean - self.level) * ops.minimum(count, 1.0)
        filled = away + ops.expand_dims(level, 1)
        residual = ops.square(ops.matmul(filled, self.conditioning)) * seen
        residual = ops.sum(residual, axis=1) / ops.maximum(count, 1.0)

        decorrelated = ops.matmul(level, self.whitening)
        spreads = ops.log(ops.concatenate([variance, change, residual], axis=-1) + FLOOR)
        known = ops.minimum(ops.concatenate([moves, moves, count], axis=-1), 1.0)
        spreads = (spreads - self.center) / self.scale * known
        sizes = [
            ops.mean(ops.square(part), axis=-1, keepdims=True)
            for part in (decorrelated, *ops.split(spreads, 3, axis=-1))
        ]
        each = ops.arcsinh(ops.concatenate([level, decorrelated, spreads], axis=-1))
        return ops.concatenate([each, ops.log1p(ops.concatenate(sizes, axis=-1))], axis=-1)
