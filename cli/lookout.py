"""Verdicts as the lines of JSON that Amazon Lookout for Equipment wrote for a scheduled inference."""

import math
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from cli.errors import CommandError
from evaluation.verdict_row import ANOMALOUS, BASELINE, NORMAL, VerdictRow
from history.lookout import SEPARATOR, component_of

_REASONS = {ANOMALOUS: "ANOMALY_DETECTED", NORMAL: "NO_ANOMALY_DETECTED"}
# Not one of Lookout's: it had no word for readings that allow no verdict, and MACHINE_OFF would be a claim.
CANNOT_JUDGE = "CANNOT_JUDGE"


def lookout_line(row: VerdictRow) -> dict[str, Any] | None:
    """One judged row; None for a row of the baseline, of which nothing is said.

    anomaly_score: calibrated probability of a fault, 0..1. diagnostics: each sensor's share of the evidence,
    largest first, together 1; a sensor whose name has no component gets that of the file.
    Raises CommandError for a row without time.
    """
    if row.verdict == BASELINE:
        return None
    if row.timestamp is None:
        raise CommandError(f"{row.file}: has no time column, and every line of this format names a time")
    moment = datetime.fromtimestamp(round(row.timestamp, 6), UTC).replace(tzinfo=None)
    line: dict[str, Any] = {
        "timestamp": moment.isoformat(timespec="microseconds"),
        "prediction": int(row.verdict == ANOMALOUS),
        "prediction_reason": _REASONS.get(row.verdict, CANNOT_JUDGE),
    }
    if row.probabilities is None:
        return line
    component = component_of(PurePath(row.file).stem)
    return {
        **line,
        "anomaly_score": round(math.fsum(row.probabilities[1:]), 5),
        "diagnostics": [
            {"name": _full(sensor, component), "value": round(share, 5)}
            for sensor, share in row.contributions
        ],
    }


def _full(sensor: str, component: str) -> str:
    return sensor if SEPARATOR in sensor else f"{component}{SEPARATOR}{sensor}"
