"""Verdicts as CSV, for callers who ask for it by `Accept: text/csv`: one line for each window."""

import csv
import io
from collections.abc import Sequence

import msgspec
from starlette.requests import Request

from service.errors import WrongContent
from service.http import wire
from service.http.body import CSV, JSON
from service.models import LoadedModel


def wants_csv(request: Request) -> bool:
    """Whether the caller would rather have CSV than JSON; JSON where both are as welcome."""
    accept = request.headers.get("accept", "*/*")
    return CSV in accept.lower() and _quality(accept, CSV) > _quality(accept, JSON)


def check_reconstruct(reconstruct: bool, at: str) -> None:
    """Raises WrongContent for a reconstruction, which is a table for each window. at: where it was asked."""
    if reconstruct:
        raise WrongContent(
            "a reconstruction is a table of its own for each window, and does not fit a line of CSV",
            place=at,
            expected="no reconstruct, or an answer in JSON",
        )


def encode(model: LoadedModel, results: Sequence[wire.Result | wire.FailedResult]) -> bytes:
    """A header and one line for each result; each line names the model, for a file outlives its headers.

    Numbers have six significant digits, as in the files of `offnormal score`.
    """
    classes = model.detector.manifest.classes
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns(classes))
    origin = (model.ref.name, model.ref.version, model.ref.sha256)
    for result in results:
        if isinstance(result, wire.Result):
            table.writerow((*_cells(result, classes), None, *origin))
        else:
            blank = [None] * (len(columns(classes)) - len(origin) - 2)
            place = f" at {result.error.place}" if result.error.place else ""
            table.writerow((result.id, *blank, f"{result.error.code}{place}", *origin))
    return text.getvalue().encode()


def columns(classes: Sequence[str]) -> list[str]:
    """Of an answer in CSV, in order; `id` is the row's number where the body was a file."""
    return [
        *("id", "asset", "timestamp", "verdict", "decided_by"),
        *(f"probability_{name}" for name in classes),
        *("reconstruction_error", "p_value", "top_sensor", "top_share"),
        *("baseline", "observed", "steps", "issues", "error", "model", "version", "sha256"),
    ]


def _cells(result: wire.Result, classes: Sequence[str]) -> list[str | int | float | None]:
    probabilities = result.probabilities
    top = result.contributions[0] if result.contributions else None
    issues = (f"{item.sensor}:{item.issue}" if item.sensor else item.issue for item in result.quality.issues)
    return [
        result.id,
        result.asset,
        None if result.timestamp is msgspec.UNSET else result.timestamp,
        result.verdict,
        result.decided_by,
        *(_short(probabilities[name]) if probabilities else None for name in classes),
        _short(result.reconstruction_error),
        _short(result.p_value),
        top.sensor if top else None,
        _short(top.share) if top else None,
        result.baseline,
        _short(result.quality.observed),
        result.quality.steps,
        ";".join(issues),
    ]


def _quality(accept: str, wanted: str) -> float:
    """How welcome a media type is, 0..1 (RFC 9110, 12.5.1): the most specific range that fits decides."""
    kind = wanted.partition("/")[0]
    fits = {wanted: 3, f"{kind}/*": 2, "*/*": 1}
    best, quality = 0, 0.0
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        rank = fits.get(name, 0)
        if rank > best:
            best, quality = rank, _weight(parameters)
    return quality


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")
