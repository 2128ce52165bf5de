"""From what the detector says to what the caller is told."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from fastapi import Response

from detector import Options, Verdict
from detector.windows import Floats
from service.http import wire
from service.http.window_reader import ReadWindow
from service.models import LoadedModel, Version

_JSON = (b"content-type", b"application/json")


class EncodedJson(Response):
    """JSON that was encoded already; its two headers are all it needs."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = [(b"content-length", b"%d" % len(content)), _JSON]


def json_response(answer: msgspec.Struct, status: int = 200) -> Response:
    return EncodedJson(msgspec.json.encode(answer), status)


def result(model: LoadedModel, window: ReadWindow, verdict: Verdict, options: Options) -> wire.Result:
    """One window's answer."""
    quality = verdict.quality
    return wire.Result(
        id=window.id,
        asset=window.asset,
        # As text, without the property `value`, which is Python.
        verdict=str(verdict.ruling),  # type: ignore[arg-type]
        decided_by=None if verdict.decided_by is None else str(verdict.decided_by),  # type: ignore[arg-type]
        probabilities=None
        if verdict.probabilities is None
        else dict(zip(model.detector.manifest.classes, verdict.probabilities, strict=True)),
        reconstruction_error=_finite(verdict.reconstruction_error),
        p_value=_finite(verdict.p_value),
        baseline="asset" if verdict.by_asset_baseline else "model",
        quality=wire.Quality(
            quality.observed,
            quality.steps,
            [wire.Issue(issue.sensor, issue.issue) for issue in quality.issues],
        ),
        contributions=_contributions(verdict) if options.explain else msgspec.UNSET,
        reconstruction=_reconstruction(model.detector.sensors, verdict.expected)
        if options.reconstruct
        else msgspec.UNSET,
    )


def versions(known: Sequence[Version]) -> list[wire.VersionSummary]:
    return [
        wire.VersionSummary(
            version.number,
            version.state,
            version.reason,
            version.loaded.ref.sha256 if version.loaded else None,
            version.loaded.detector.manifest.created if version.loaded else None,
            version.loaded is not None and version.loaded.in_memory,
        )
        for version in known
    ]


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def _contributions(verdict: Verdict) -> list[wire.Contribution] | None:
    if verdict.contributions is None:
        return None
    return [wire.Contribution(item.sensor, item.share, item.error) for item in verdict.contributions]


def _reconstruction(
    sensors: tuple[str, ...], expected: Floats | None
) -> dict[str, list[float] | None] | None:
    if expected is None:
        return None
    return {
        name: None if any(map(math.isnan, column)) else column
        for name, column in zip(sensors, expected.T.tolist(), strict=True)
    }
