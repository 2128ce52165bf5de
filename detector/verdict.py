"""The answer for one window."""

from enum import StrEnum

from msgspec import Struct

from detector.quality import Quality
from detector.windows import Floats


class Ruling(StrEnum):
    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    CANNOT_JUDGE = "cannot_judge"


class DecidedBy(StrEnum):
    """Which score carried the decision: the softmax head's, the reconstruction's (error, and distance from
    normal operation), or both alike; `stuck_sensor` when neither did, but a sensor repeats itself."""

    CLASSIFIER = "classifier"
    RECONSTRUCTION = "reconstruction"
    BOTH = "both"
    STUCK_SENSOR = "stuck_sensor"


class Contribution(Struct, frozen=True):
    """share: of the evidence that the window is strange, 0..1, all sensors sum to 1.

    error: mean squared reconstruction error of the sensor, standard deviations².
    """

    sensor: str
    share: float
    error: float


class Verdict(Struct, frozen=True):
    """What the model says of one window. Nothing but `ruling` and `quality` is given where it cannot judge.

    probabilities: one per class of the model, in its order, summing to 1.
    reconstruction_error: mean squared error, standard deviations²; 0 is perfect.
    score: of both standardised scores (`detector.scores.combine`), in deviations from normal operation;
        larger is stranger.
    p_value: share of held-out normal windows that scored at least as high; small is strange.
    contributions: largest share first; None unless asked for.
    expected: (steps, sensors), what the model expected, engineering units; None unless asked for.
        NaN for a sensor that is left out of the judgement.
    by_asset_baseline: False when the model's own baseline was used.
    """

    ruling: Ruling
    decided_by: DecidedBy | None
    probabilities: tuple[float, ...] | None
    reconstruction_error: float | None
    score: float | None
    p_value: float | None
    contributions: tuple[Contribution, ...] | None
    expected: Floats | None
    quality: Quality
    by_asset_baseline: bool
