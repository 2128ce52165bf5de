"""One judged row of a file: what `score` and `replay` write and count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NORMAL, ANOMALOUS, CANNOT_JUDGE = "normal", "anomalous", "cannot_judge"
# A row that went into the asset's baseline and is therefore not judged.
BASELINE = "baseline"
# Why a row is not judged, beside the issues that the detector finds in readings.
TOO_SHORT = "window_too_short"


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """The verdict on the window that ends at one row.

    row: 1-based data row of the file. timestamp: seconds since the epoch, or None.
    verdict: normal, anomalous, cannot_judge or baseline; whatever follows is None where it does not apply.
    probabilities: by class, in the model's order. contributions: (sensor, share), largest first.
    issues: as `sensor:issue`, or the issue alone where it is of the whole window.
    label: what the file says of the row, empty where it says nothing.
    """

    file: str
    row: int
    timestamp: float | None
    verdict: str
    decided_by: str | None = None
    probabilities: tuple[float, ...] | None = None
    reconstruction_error: float | None = None
    score: float | None = None
    p_value: float | None = None
    contributions: tuple[tuple[str, float], ...] = ()
    observed: float | None = None
    issues: tuple[str, ...] = ()
    label: str = ""

    def record(self, classes: Sequence[str]) -> dict[str, str | int | float | None]:
        """Flat, in the order of the columns of a file of verdicts; numbers to six significant digits."""
        probabilities = self.probabilities or (None,) * len(classes)
        sensor, share = self.contributions[0] if self.contributions else (None, None)
        return {
            "file": self.file,
            "row": self.row,
            "timestamp": iso_time(self.timestamp),
            "verdict": self.verdict,
            "decided_by": self.decided_by,
            **{f"probability_{name}": _short(p) for name, p in zip(classes, probabilities, strict=True)},
            "reconstruction_error": _short(self.reconstruction_error),
            "score": _short(self.score),
            "p_value": _short(self.p_value),
            "top_sensor": sensor,
            "top_share": _short(share),
            "observed": _short(self.observed),
            "issues": ";".join(self.issues) or None,
            "label": self.label or None,
        }


def column_types(classes: Sequence[str]) -> dict[str, type]:
    """Columns of a file of verdicts, in order, and what they hold."""
    numbers = {"reconstruction_error", "score", "p_value", "top_share", "observed"}
    numbers |= {f"probability_{name}" for name in classes}
    columns = VerdictRow("", 0, None, BASELINE).record(classes)
    return {name: int if name == "row" else float if name in numbers else str for name in columns}


def iso_time(seconds: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond where there is a fraction."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")[:-6] + "Z"


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")
