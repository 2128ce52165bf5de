"""pandas in, pandas out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from offnormal.client.answers import Classification, ModelDetail, Result
from offnormal.client.calls import Choices

if TYPE_CHECKING:
    from pandas import DataFrame

_TIME = "timestamp"


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a frame that go in one request. csv: with the rows before them that their windows need.

    first: position in the frame of the first row sent. rows: how many of the newest are judged.
    """

    csv: bytes
    first: int
    rows: int


def check(frame: "DataFrame", rows_per_request: int, choices: Choices) -> None:
    """Raises ValueError, saying what is wrong."""
    if len(frame) < 2:
        raise ValueError(f"the frame has {len(frame)} rows, expected at least 2")
    if rows_per_request < 2:
        raise ValueError(f"rows_per_request is {rows_per_request}, expected at least 2")
    if choices.get("reconstruct"):
        raise ValueError("a reconstruction does not fit a row of a frame; `classify` gives it")


def pieces(frame: "DataFrame", steps: int, rows: int | Literal["all", "last"], most: int) -> Iterator[Piece]:
    """The rows to be judged, at most so many at a time. steps: of the model's window."""
    wanted = len(frame) if rows == "all" else 1 if rows == "last" else min(rows, len(frame))
    for start in range(len(frame) - wanted, len(frame), most):
        stop = min(start + most, len(frame))
        # The service takes a file of two rows at least.
        first = max(0, min(start - steps + 1, stop - 2))
        yield Piece(as_csv(frame.iloc[first:stop]), first, stop - start)


def as_csv(frame: "DataFrame") -> bytes:
    """As the service reads it: time in UTC where the index has it, readings with all their digits."""
    import pandas as pd

    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        return bytes(frame.to_csv(index=False).encode())
    if index.tz is not None:
        frame = frame.set_axis(index.tz_convert("UTC").tz_localize(None))
    text = frame.to_csv(index_label=_TIME, date_format="%Y-%m-%dT%H:%M:%S.%f")
    return bytes(text.encode())


def joined(
    frame: "DataFrame", model: ModelDetail, answers: Sequence[tuple[Piece, Classification]]
) -> "DataFrame":
    """One row for each that was judged, in the frame's order and with its index."""
    import pandas as pd

    positions: list[int] = []
    records: list[dict[str, Any]] = []
    for piece, answer in answers:
        for result in answer.results:
            positions.append(piece.first + int(result.id or 0) - 1)
            records.append(_record(result, model))
    table = pd.DataFrame.from_records(records, index=frame.index[positions])
    ref = answers[-1][1].model
    table.attrs["model"] = {"name": ref.name, "version": ref.version, "sha256": ref.sha256}
    return table


def _record(result: Result, model: ModelDetail) -> dict[str, Any]:
    probabilities = result.probabilities or {}
    issues = (f"{item.sensor}:{item.issue}" if item.sensor else item.issue for item in result.quality.issues)
    shares = {item.sensor: item.share for item in result.contributions or ()}
    return {
        "verdict": result.verdict,
        "decided_by": result.decided_by,
        **{f"probability_{name}": probabilities.get(name, float("nan")) for name in model.classes},
        "reconstruction_error": _number(result.reconstruction_error),
        "p_value": _number(result.p_value),
        "baseline": result.baseline,
        "observed": result.quality.observed,
        "steps": result.quality.steps,
        "issues": ";".join(issues),
        **{f"share_{sensor.name}": shares[sensor.name] for sensor in model.sensors if sensor.name in shares},
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
