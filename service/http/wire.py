"""The JSON of requests and answers. These structs validate, encode and document; nothing else does."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

SCHEMA_REF = "#/components/schemas/{name}"

# What a raw field holds. Decoded later, window by window, so that one bad window can name itself.
Readings = dict[str, list[float | None]]
Rows = list[list[float | None]]
Timestamps = list[str | float]


def _raw(description: str, schema: dict[str, Any]) -> Meta:
    return Meta(description=description, extra_json_schema=schema)


ReadingsField = Annotated[
    Raw,
    _raw(
        "Readings by sensor name, oldest first, engineering units. `null` is a missing reading; a sensor "
        "that is not listed counts as missing throughout. All lists are of equal length.",
        msgspec.json.schema(Readings),
    ),
]
RowsField = Annotated[
    Raw,
    _raw(
        "Rows of readings, oldest first; columns in the model's sensor order (see `/models/{name}`).",
        msgspec.json.schema(Rows),
    ),
]
TimestampsField = Annotated[
    Raw,
    _raw(
        "One per step, ascending: ISO 8601 (without a zone: UTC), or seconds since 1970-01-01T00:00:00Z.",
        msgspec.json.schema(Timestamps),
    ),
]
AssetName = Annotated[
    str, Meta(description="Name of the machine: 1 to 128 printable characters.", min_length=1, max_length=128)
]
WindowId = Annotated[str, Meta(max_length=256)] | int


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """One window: either `readings` or `values`."""

    readings: ReadingsField = msgspec.field(default_factory=Raw)
    values: RowsField = msgspec.field(default_factory=Raw)
    timestamps: TimestampsField = msgspec.field(default_factory=Raw)
    id: WindowId | None = None
    asset: AssetName | None = None


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may choose, whatever form the readings have."""

    model: Annotated[str, Meta(description="Name of the model; the default model if not given.")] | None = (
        None
    )
    version: Annotated[int, Meta(ge=1, description="Version; the newest if not given.")] | None = None
    explain: Annotated[bool, Meta(description="Add each sensor's contribution.")] = False
    reconstruct: Annotated[bool, Meta(description="Add what the model expected.")] = False
    false_alarm_rate: (
        Annotated[float, Meta(gt=0, lt=1, description="Alarm budget; the model's default if not given.")]
        | None
    ) = None


class Choices(Question, frozen=True):
    """The same for windows that the caller has cut, any of which may be bad."""

    on_error: Annotated[
        Literal["fail", "skip"],
        Meta(description="What a bad window does: `fail` the request, or only itself (`skip`)."),
    ] = "fail"


class ClassifyRequest(Choices, frozen=True):
    """Windows to be judged: either `windows`, or the shorthand `window` for one window of rows."""

    windows: list[Annotated[Raw, _raw("", {"$ref": SCHEMA_REF.format(name="Window")})]] | UnsetType = UNSET
    window: RowsField = msgspec.field(default_factory=Raw)


class ArrayQuery(Choices, frozen=True):
    """Query parameters beside a body that is an array."""

    asset: AssetName | None = None


class TableQuery(Question, frozen=True):
    """Query parameters beside a body that is a plant's file."""

    asset: AssetName | None = None
    rows: Annotated[
        Annotated[int, Meta(ge=1)] | Literal["all", "last"],
        Meta(
            description="Which rows are judged, each by the window that ends at it: `all`, the `last`, or so "
            "many of the newest."
        ),
    ] = "all"
    stride: Annotated[int, Meta(ge=1, description="Rows from one that is judged to the next.")] = 1
    delimiter: (
        Annotated[str, Meta(min_length=1, max_length=1, description="Between cells; found out if not given.")]
        | None
    ) = None
    decimal: (
        Annotated[
            Literal["point", "comma"],
            Meta(description="Decimal mark of the numbers; found out if not given."),
        ]
        | None
    ) = None
    time_column: (
        Annotated[str, Meta(description="Column of time stamps, `none` for none; found out if not given.")]
        | None
    ) = None
    time_format: (
        Annotated[
            str,
            Meta(
                max_length=64,
                description="How stamps are written: `day-first`, `epoch-ms`, `%d.%m.%Y %H:%M:%S`, and "
                "the like; found out if not given.",
            ),
        ]
        | None
    ) = None


class CommissionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Readings of an asset's known-normal operation: either `readings` or `values`."""

    readings: ReadingsField = msgspec.field(default_factory=Raw)
    values: RowsField = msgspec.field(default_factory=Raw)
    timestamps: TimestampsField = msgspec.field(default_factory=Raw)


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    place: Annotated[str, Meta(description="Where in the request.")] | None = None
    expected: Annotated[str, Meta(description="What would have been accepted.")] | None = None
    request_id: str | None = None


class ModelRef(Struct, frozen=True):
    """Which model answered; `sha256` is that of its manifest, which holds the hashes of all its files."""

    name: str
    version: int
    sha256: str


class Contribution(Struct, frozen=True):
    """`share`: of the evidence that the window is strange, 0..1. `error`: mean squared, in the sensor's
    standard deviations."""

    sensor: str
    share: float
    error: float


class Issue(Struct, frozen=True):
    """Something wrong with the readings; `sensor` is null where it concerns the whole window."""

    sensor: str | None
    issue: str


class Quality(Struct, frozen=True):
    """`observed`: share of readings present. `steps`: how many were judged."""

    observed: float
    steps: int
    issues: list[Issue]


class Result(Struct, frozen=True):
    """The verdict on one window. Where it is `cannot_judge`, everything that it would rest on is null."""

    id: WindowId | None
    asset: str | None
    verdict: Literal["normal", "anomalous", "cannot_judge"]
    decided_by: Literal["classifier", "reconstruction", "both", "stuck_sensor"] | None
    probabilities: dict[str, float] | None
    reconstruction_error: float | None
    p_value: float | None
    baseline: Literal["asset", "model"]
    quality: Quality
    contributions: list[Contribution] | UnsetType | None = UNSET
    reconstruction: (
        Annotated[
            dict[str, list[float] | None],
            Meta(description="By sensor, engineering units; null for a sensor that is left out."),
        ]
        | UnsetType
        | None
    ) = UNSET
    timestamp: (
        Annotated[str, Meta(description="Of a file's row, ISO 8601 in UTC; null without a time column.")]
        | UnsetType
        | None
    ) = UNSET


class FailedResult(Struct, frozen=True):
    """A window that could not be read, where the caller asked to skip those."""

    id: WindowId | None
    error: Problem


class ClassifyResponse(Struct, frozen=True):
    """One result for each window, in the order of the request."""

    model: ModelRef
    results: list[
        Annotated[
            Any,
            Meta(
                extra_json_schema={
                    "anyOf": [
                        {"$ref": SCHEMA_REF.format(name="Result")},
                        {"$ref": SCHEMA_REF.format(name="FailedResult")},
                    ]
                }
            ),
        ]
    ]


class VersionSummary(Struct, frozen=True):
    """`state`: `loading`, `ready` or `refused`. `reason` says why it was refused; where it is `ready`, why
    the files that lie in the store now would be. `in_memory`: of the worker that answers; a network that is
    not is opened by the next window for it."""

    version: int
    state: Literal["loading", "ready", "refused"]
    reason: str | None = None
    sha256: str | None = None
    created: str | None = None
    in_memory: bool = False


class ModelSummary(Struct, frozen=True):
    """One model of the store, its versions newest first. `default`: answers requests that name no model.

    `live`: the version that answers requests that name none. `chosen`: the version that somebody promoted or
    rolled back to; null: the newest good one answers. `challenger`: is tried beside the live version.
    `previous`: the version that a roll-back goes to.
    """

    name: str
    default: bool
    live: int | None
    chosen: int | None
    challenger: int | None
    previous: int | None
    versions: list[VersionSummary]


class ModelList(Struct, frozen=True):
    """All models of the store, also those that were refused."""

    default: str | None
    models: list[ModelSummary]


class VersionChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """A version of a model, or null for none in particular."""

    version: Annotated[int, Meta(ge=1)] | None


class StoreChange(Struct, frozen=True):
    """What became of one version: `loaded`, `refused` with the reason, or `removed`."""

    model: str
    version: int
    change: Literal["loaded", "refused", "removed"]
    reason: str | None = None


class Reloaded(Struct, frozen=True):
    """What a look at the store changed in the worker that answers; the others look too."""

    changes: list[StoreChange]
    models: list[ModelSummary]


class SensorDetail(Struct, frozen=True):
    """An input of the model, in the order of `values`. `quantiles`: at 0.1, 1, 50, 99 and 99.9 %."""

    name: str
    unit: str | None
    center: float
    scale: float
    quantiles: list[float]
    scored: bool


class WindowDetail(Struct, frozen=True):
    """What a window should look like."""

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
    """Everything a caller needs to know of one version of a model."""

    name: str
    version: int
    sha256: str
    default: bool
    runtime: str
    created: str
    sensors: list[SensorDetail]
    window: WindowDetail
    classes: list[str]
    false_alarm_rate: FalseAlarmRates
    architecture: dict[str, Any]
    metrics: dict[str, Any]
    training_data: dict[str, Any]
    libraries: dict[str, str]
    versions: list[VersionSummary]


class SensorBaseline(Struct, frozen=True):
    """Of known-normal operation: mean, standard deviation, and drift in standard deviations. A sensor that
    drifts too far is `left_out` of the judgement."""

    center: float
    scale: float
    drift: float
    left_out: bool


class AssetBaseline(Struct, frozen=True):
    """An asset's own normal operation, for one version of a model."""

    asset: str
    model: ModelRef
    created: str
    rows: int
    sensors: dict[str, SensorBaseline]
    left_out: list[str]


class AssetSummary(Struct, frozen=True):
    """One commissioned asset. `versions`: of the model, for which its baseline is in use."""

    asset: str
    model: str
    created: str
    rows: int
    versions: list[int]


class AssetList(Struct, frozen=True):
    """All commissioned assets, by name."""

    assets: list[AssetSummary]


class Alive(Struct, frozen=True):
    """The process answers and no model's worker hangs."""

    alive: bool
    hanging: list[str]


class Ready(Struct, frozen=True):
    """Whether the default model answers, and the state of every model. `loading`: more are to come."""

    ready: bool
    loading: bool
    reason: str | None
    default: str | None
    models: list[ModelSummary]


SCHEMAS = (
    ClassifyRequest,
    Window,
    ClassifyResponse,
    Result,
    FailedResult,
    CommissionRequest,
    AssetBaseline,
    AssetList,
    ModelList,
    ModelDetail,
    VersionChoice,
    Reloaded,
    Alive,
    Ready,
    Problem,
)
