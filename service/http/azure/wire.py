"""What the retired API says on the wire. Fields that it did not know it ignored, and so does this."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from service.http.wire import ModelRef

# As documented: how many variables may be asked for in an interpretation, and how many unless asked.
MOST_CONTRIBUTORS, CONTRIBUTORS = 30, 10
Contributors = Annotated[int, Meta(ge=1, le=MOST_CONTRIBUTORS)]


class _Camel(Struct, frozen=True, rename="camel"):
    """Base."""


class VariableValues(_Camel, frozen=True):
    """One variable of a request. timestamps: ISO 8601, as many as values; values: numbers or null."""

    variable: str
    timestamps: Raw
    values: Raw


class LastRequest(_Camel, frozen=True):
    """The body of detect-last."""

    variables: Annotated[list[VariableValues], Meta(min_length=1)]
    top_contributor_count: Contributors = CONTRIBUTORS


class BatchRequest(_Camel, frozen=True):
    """The body of detect-batch."""

    data_source: str
    start_time: str
    end_time: str
    top_contributor_count: Contributors = CONTRIBUTORS


class Error(_Camel, frozen=True):
    """code: as in the API's tables."""

    code: str
    message: str


class VariableState(_Camel, frozen=True, omit_defaults=True):
    """What was there of one variable. filled_na_ratio: share of readings that were missing, 0..1; left out,
    as effective_count is, where that is not known."""

    variable: str
    filled_na_ratio: float | None = msgspec.field(default=None, name="filledNARatio")
    effective_count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None


class CorrelationChanges(_Camel, frozen=True):
    """Variables that usually move with one, and now do not, strangest first."""

    changed_variables: list[str]


class Interpretation(_Camel, frozen=True):
    """contribution_score: share of the evidence, 0..1; all variables of the model together 1."""

    variable: str
    contribution_score: float
    correlation_changes: CorrelationChanges


class Value(_Camel, frozen=True):
    """score: share of held-out normal windows that are less strange, 0..1. severity: calibrated probability
    of a fault where it is an anomaly, else 0."""

    is_anomaly: bool
    severity: float
    score: float
    interpretation: list[Interpretation]


class State(_Camel, frozen=True):
    """One timestamp. Without a value where nothing can be said; errors say why."""

    timestamp: str
    value: Value | UnsetType = UNSET
    errors: list[Error] = []


class LastResult(_Camel, frozen=True):
    """The answer of detect-last. model: an addition of this service's, which clients pass over."""

    variable_states: list[VariableState]
    results: list[State]
    model: ModelRef


class BatchSummary(_Camel, frozen=True):
    """status: CREATED, RUNNING, READY or FAILED."""

    status: str
    errors: list[Error]
    variable_states: list[VariableState]
    setup_info: BatchRequest


class BatchResult(_Camel, frozen=True):
    """The answer of detect-batch, and of asking for its result."""

    result_id: str
    summary: BatchSummary
    results: list[State]
    model: ModelRef


class AlignPolicy(_Camel, frozen=True):
    """How variables of files of their own are put together."""

    align_mode: str = "Outer"
    fill_na_method: str | None = msgspec.field(default=None, name="fillNAMethod")
    padding_value: float | None = None


class TrainRequest(_Camel, frozen=True):
    """The body that asks for a model."""

    data_source: str
    start_time: str
    end_time: str
    data_schema: str = "OneTable"
    display_name: str = ""
    sliding_window: int | None = None
    align_policy: AlignPolicy = AlignPolicy()


class ModelState(_Camel, frozen=True):
    """How training went. Its curves are in the run's folder, not here."""

    epoch_ids: list[int] = []
    train_losses: list[float] = []
    validation_losses: list[float] = []
    latencies_in_seconds: list[float] = []


class DiagnosticsInfo(_Camel, frozen=True):
    model_state: ModelState
    variable_states: list[VariableState]


class ModelInfo(_Camel, frozen=True, omit_defaults=True):
    """data_source, start_time, end_time: of the training data, where they are known."""

    display_name: str
    status: str
    diagnostics_info: DiagnosticsInfo
    errors: list[Error]
    data_source: str | None = None
    data_schema: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    sliding_window: int | None = None
    align_policy: AlignPolicy | None = None


class Model(_Camel, frozen=True):
    """model: name, version and hash of what answers; null until there is one."""

    model_id: str
    created_time: str
    last_updated_time: str
    model_info: ModelInfo
    model: ModelRef | None = None


class ModelList(_Camel, frozen=True, omit_defaults=True):
    """next_link: where the list goes on."""

    models: list[Model]
    current_count: int
    max_count: int
    next_link: str | None = None
