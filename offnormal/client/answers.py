"""What the service answers, typed. Fields that a newer service adds are passed over, never an error."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Ruling = Literal["normal", "anomalous", "cannot_judge"]


class ModelRef(Struct, frozen=True):
    """Which model answered; `sha256` is that of its manifest, which holds the hashes of all its files."""

    name: str
    version: int
    sha256: str


class ProblemDocument(Struct, frozen=True):
    """An error as the service words it (RFC 9457)."""

    status: int
    code: str
    title: str = ""
    detail: str = "no reason given"
    place: str | None = None
    expected: str | None = None
    request_id: str | None = None


class Contribution(Struct, frozen=True):
    """share: of the evidence that the window is strange, 0..1, all sensors sum to 1. error: mean squared, in
    the sensor's standard deviations."""

    sensor: str
    share: float
    error: float


class Issue(Struct, frozen=True):
    """Something wrong with the readings; sensor is None where it concerns the whole window."""

    sensor: str | None
    issue: str


class Quality(Struct, frozen=True):
    """observed: share of readings present, 0..1. steps: how many were judged."""

    observed: float
    steps: int
    issues: tuple[Issue, ...]


class Result(Struct, frozen=True):
    """The verdict on one window. Where it is `cannot_judge`, everything that it would rest on is None.

    decided_by: `classifier`, `reconstruction`, `both` or `stuck_sensor`. probabilities: by class, sum 1.
    reconstruction_error: standard deviations squared, 0 is perfect. p_value: share of held-out normal windows
    that scored at least as high; small is strange. baseline: whose normal operation it was held against.
    contributions: largest first, where explained. reconstruction: by sensor, engineering units, where asked
    for. id: as sent, or the row's number (from 1) of a file; timestamp: of that row, ISO 8601.
    """

    id: str | int | None
    asset: str | None
    verdict: Ruling
    decided_by: str | None
    probabilities: Mapping[str, float] | None
    reconstruction_error: float | None
    p_value: float | None
    baseline: str
    quality: Quality
    contributions: tuple[Contribution, ...] | None = None
    reconstruction: Mapping[str, tuple[float, ...] | None] | None = None
    timestamp: str | None = None


class Failure(Struct, frozen=True):
    """A window that could not be read, among others that could."""

    id: str | int | None
    error: ProblemDocument


class Classification(Struct, frozen=True):
    """One result for each window, in their order."""

    model: ModelRef
    results: tuple[Result, ...]


class PartialClassification(Struct, frozen=True):
    """One result or failure for each window, in their order."""

    model: ModelRef
    results: tuple[Result | Failure, ...]


class VersionSummary(Struct, frozen=True):
    """state: `loading`, `ready` or `refused`; reason says why it was refused."""

    version: int
    state: str
    reason: str | None = None
    sha256: str | None = None
    created: str | None = None


class ModelSummary(Struct, frozen=True):
    """One model of the store, its versions newest first."""

    name: str
    default: bool
    versions: tuple[VersionSummary, ...]


class ModelList(Struct, frozen=True):
    """All models of the store. default: answers requests that name none."""

    default: str | None
    models: tuple[ModelSummary, ...]


class Sensor(Struct, frozen=True):
    """An input of the model. center, scale: of normal operation in training, engineering units."""

    name: str
    unit: str | None
    center: float
    scale: float
    quantiles: tuple[float, ...]
    scored: bool


class WindowShape(Struct, frozen=True):
    """What a window should look like. period_s: seconds from one step to the next."""

    steps: int
    minimum_steps: int
    period_s: float | None
    max_gap_periods: float


class FalseAlarmRates(Struct, frozen=True):
    """The model's default alarm budget, and the smallest that can be asked for by kind of baseline."""

    default: float
    smallest: float
    smallest_for_assets: float


class ModelDetail(Struct, frozen=True):
    """Everything a caller needs to know of one version of a model; sensors in the order of arrays."""

    name: str
    version: int
    sha256: str
    default: bool
    runtime: str
    created: str
    sensors: tuple[Sensor, ...]
    window: WindowShape
    classes: tuple[str, ...]
    false_alarm_rate: FalseAlarmRates
    architecture: dict[str, Any]
    metrics: dict[str, Any]
    training_data: dict[str, Any]
    libraries: dict[str, str]
    versions: tuple[VersionSummary, ...]


class SensorBaseline(Struct, frozen=True):
    """Of known-normal operation: mean, standard deviation, and drift in standard deviations."""

    center: float
    scale: float
    drift: float
    left_out: bool


class AssetBaseline(Struct, frozen=True):
    """An asset's own normal operation, for one version of a model. left_out: sensors that drift too far."""

    asset: str
    model: ModelRef
    created: str
    rows: int
    sensors: Mapping[str, SensorBaseline]
    left_out: tuple[str, ...]


class AssetSummary(Struct, frozen=True):
    """One commissioned asset. versions: of the model, for which its baseline is in use."""

    asset: str
    model: str
    created: str
    rows: int
    versions: tuple[int, ...]


class AssetList(Struct, frozen=True):
    """All commissioned assets, by name."""

    assets: tuple[AssetSummary, ...]


class Ready(Struct, frozen=True):
    """Whether the default model answers."""

    ready: bool
    reason: str | None = None
