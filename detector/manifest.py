"""`manifest.json`: everything about a trained model that is not a weight."""

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from detector.errors import ArtefactRefused
from detector.windows import Floats

SCHEMA_VERSION = 2
MANIFEST_FILE = "manifest.json"
NORMAL = "normal"

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
RatioScale = Literal["log", "log1p"]
Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
# Becomes part of answers, labels and lines: nothing that breaks or hides.
Printable = Annotated[str, Meta(min_length=1, max_length=200)]
# At probability 0.001, 0.01, 0.5, 0.99, 0.999.
Quantiles = Annotated[list[float], Meta(min_length=5, max_length=5)]


class Sensor(Struct, frozen=True, forbid_unknown_fields=True):
    """One input of the model, as the training data showed it in normal operation.

    center, scale: mean and standard deviation over all assets, engineering units; scale is > 0.
    asset_scale: the standard deviation that is usual within one asset.
    quantiles: reading at probability 0.001, 0.01, 0.5, 0.99, 0.999.
    noise: median absolute change from step to step; 0 where the sensor mostly repeats itself.
    longest_flat: most consecutive equal readings seen in normal operation, steps.
    drift: how far it wandered over normal operation, standard deviations.
    scored: False when the sensor drifts too much to be judged; it is reported, never used.
    typical_error: mean squared reconstruction error on held-out normal windows, scale².
    """

    name: Printable
    unit: str | None
    center: float
    scale: Positive
    asset_scale: Positive
    quantiles: Quantiles
    noise: float
    longest_flat: Count
    drift: float
    scored: bool
    typical_error: Positive


class WindowShape(Struct, frozen=True, forbid_unknown_fields=True):
    """steps: of a full window; minimum_steps: of the shortest that is judged; period_s: sampling period,
    seconds; max_gap_periods: a longer silence ends a window."""

    steps: Annotated[int, Meta(ge=2)]
    minimum_steps: Annotated[int, Meta(ge=2)]
    period_s: Positive | None
    max_gap_periods: Positive


class Level(Struct, frozen=True, forbid_unknown_fields=True):
    """Mean and standard deviation of a raw score over normal windows."""

    mean: float
    sd: Positive


class ShorterLevel(Struct, frozen=True, forbid_unknown_fields=True):
    """How normal windows of fewer steps score, in deviations of full windows from their level.

    steps: of these windows. classifier, reconstruction: of either score, the level that makes it spread as a
    full window's: (score - mean) / sd (docs/decisions/0040).
    """

    steps: Annotated[int, Meta(ge=1)]
    classifier: Level
    reconstruction: Level


class NormalOperation(Struct, frozen=True, forbid_unknown_fields=True):
    """How held-out normal windows score, by one kind of baseline.

    classifier, reconstruction: level of each raw score, of full windows.
    scores: ascending combined scores, each window standardised by the level that a caller would have.
    independent_windows: how many of those count as independent, windows that share steps counted once.
    shorter: of windows with fewer steps, ascending; empty where a window cannot be shorter, and in models
        from before it was measured, which judge short windows as full ones.
    """

    classifier: Level
    reconstruction: Level
    scores: Annotated[list[float], Meta(min_length=1)]
    independent_windows: Annotated[int, Meta(ge=1)]
    shorter: list[ShorterLevel] = []

    @property
    def smallest_false_alarm_rate(self) -> float:
        """Below this rate no threshold has support: 1 / (independent windows + 1)."""
        return 1.0 / (self.independent_windows + 1)


class ProbabilityCalibration(Struct, frozen=True, forbid_unknown_fields=True):
    """How scores become probabilities; fitted on data apart from training and test.

    intercept, score_slope: of the log-odds of any fault, in the alarm score.
    classifier_slope, reconstruction_slope: of the two scores that it is made of, each as it is; 0 but in
        models from before the alarm score was calibrated (docs/decisions/0034).
    temperature: divides the logits of the faults (Guo et al. 2017, On Calibration of Modern Neural Networks).
    faults: that it was fitted on, `recorded` or `injected`.
    prior: share of anomalous windows that the probabilities assume.
    """

    intercept: float
    classifier_slope: NotNegative
    reconstruction_slope: NotNegative
    temperature: Positive
    faults: Literal["recorded", "injected"]
    prior: Share
    score_slope: NotNegative = 0.0


class Calibration(Struct, frozen=True, forbid_unknown_fields=True):
    """How raw scores become probabilities and p-values; fitted on data apart from training and test.

    classifier_weight: of the classifier's score in the combined one; the rest is the reconstruction's.
    model_baseline: windows standardised by the model's own centre and scale.
    asset_baseline: windows of assets that were commissioned first; None when no data allowed to measure it,
        and then the table of the model's baseline serves.
    held_out: what the normal windows come from, in words.
    ratio_scale: of the reconstruction's score, see `detector.scores.reconstruction_score`; a manifest that
        does not say is of a model that is older than the choice.
    """

    probability: ProbabilityCalibration
    classifier_weight: Share
    model_baseline: NormalOperation
    asset_baseline: NormalOperation | None
    held_out: str
    ratio_scale: RatioScale = "log"

    def normal_operation(self, by_asset: bool) -> NormalOperation:
        """The table for windows judged by an asset's baseline, or by the model's."""
        return self.asset_baseline if by_asset and self.asset_baseline else self.model_baseline


class TrainingData(Struct, frozen=True, forbid_unknown_fields=True):
    """Fingerprint of the files that the model saw; start and end are ISO 8601 or null."""

    sha256: str
    files: Count
    rows: Count
    start: str | None
    end: str | None
    labels: str
    description: str = ""
    licence: str = ""


class Architecture(Struct, frozen=True, forbid_unknown_fields=True):
    """cell: `lstm` or `gru`; units: of each encoder layer, the decoder mirrors them;
    input_clip: standardised readings are cut to ±this before the network sees them."""

    cell: str
    units: list[int]
    input_clip: Positive
    parameters: Count


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of one version of a model. `classes[0]` is `normal`."""

    schema_version: int
    name: Name
    version: Annotated[int, Meta(ge=1)]
    created: str
    sensors: Annotated[list[Sensor], Meta(min_length=1)]
    window: WindowShape
    classes: Annotated[list[Printable], Meta(min_length=2)]
    architecture: Architecture
    recipe: dict[str, Any]
    calibration: Calibration
    default_false_alarm_rate: Annotated[float, Meta(gt=0, lt=1)]
    metrics: dict[str, Any]
    training_data: TrainingData
    libraries: dict[str, str]
    files: dict[str, str]

    @property
    def sensor_names(self) -> tuple[str, ...]:
        return tuple(sensor.name for sensor in self.sensors)

    @property
    def center(self) -> Floats:
        return np.array([sensor.center for sensor in self.sensors])

    @property
    def scale(self) -> Floats:
        return np.array([sensor.scale for sensor in self.sensors])

    @property
    def asset_scale(self) -> Floats:
        return np.array([sensor.asset_scale for sensor in self.sensors])


def parse_manifest(content: bytes, folder: object) -> Manifest:
    """Raises ArtefactRefused, naming the field, when the content is not a manifest of this schema."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ArtefactRefused(folder, f"{MANIFEST_FILE} is not valid: {error}") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ArtefactRefused(
            folder, f"schema version {manifest.schema_version}, this release reads {SCHEMA_VERSION}"
        )
    if len(set(manifest.sensor_names)) != len(manifest.sensors):
        raise ArtefactRefused(folder, "two sensors share a name")
    if manifest.classes[0] != NORMAL or len(set(manifest.classes)) != len(manifest.classes):
        raise ArtefactRefused(folder, f"the classes should be {NORMAL!r} and others, each once")
    for word in (*manifest.sensor_names, *manifest.classes):
        if not word.isprintable() or word != word.strip():
            raise ArtefactRefused(folder, f"{word!r} cannot be the name of a sensor or class")
    if manifest.window.minimum_steps > manifest.window.steps:
        raise ArtefactRefused(folder, "window.minimum_steps exceeds window.steps")
    for by_asset in (False, True):
        normal = manifest.calibration.normal_operation(by_asset)
        if sorted(normal.scores) != normal.scores:
            raise ArtefactRefused(folder, "the scores of calibration are not ascending")
        lengths = [shorter.steps for shorter in normal.shorter] + [manifest.window.steps]
        if sorted(set(lengths)) != lengths:
            raise ArtefactRefused(
                folder,
                f"the shorter windows of calibration have {lengths[:-1]} steps: not ascending, or full",
            )
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """UTF-8 JSON, indented, fields in schema order: made to be read and diffed."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
