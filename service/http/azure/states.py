"""From verdicts and readings to what the retired API says of timestamps and of variables."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from detector import Detector, Ruling, Verdict
from detector.windows import Floats
from service.http.azure import wire
from service.http.azure.relations import changed_relations

TOO_SHORT = wire.Error(
    "InsufficientHistoricalData", "fewer readings lead up to this timestamp than the model needs"
)


def iso(seconds: float) -> str:
    """Seconds since the epoch as the API writes them: with a fraction only where there is one."""
    moment = datetime.fromtimestamp(round(seconds, 6), UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")[:-6] + "Z"


def state(
    detector: Detector, seconds: float, values: Floats, verdict: Verdict, contributors: int
) -> wire.State:
    """One timestamp. values: of the window that ends there. contributors: how many to name, at most."""
    if verdict.ruling is Ruling.CANNOT_JUDGE or verdict.probabilities is None or verdict.p_value is None:
        issues = ", ".join(
            f"{item.sensor}: {item.issue}" if item.sensor else item.issue for item in verdict.quality.issues
        )
        message = f"too little of the window can be used for a verdict ({issues})"
        return wire.State(iso(seconds), errors=[wire.Error("NoData", message)])
    anomalous = verdict.ruling is Ruling.ANOMALOUS
    fault = min(max(math.fsum(verdict.probabilities[1:]), 0.0), 1.0)
    return wire.State(
        iso(seconds),
        wire.Value(
            is_anomaly=anomalous,
            # For an anomaly it is always above 0, as clients expect.
            severity=max(fault, 1e-6) if anomalous else 0.0,
            score=min(max(1.0 - verdict.p_value, 0.0), 1.0),
            interpretation=_interpretation(detector, values, verdict, contributors) if anomalous else [],
        ),
    )


def _interpretation(
    detector: Detector, values: Floats, verdict: Verdict, contributors: int
) -> list[wire.Interpretation]:
    changed = changed_relations(detector, values)
    return [
        wire.Interpretation(item.sensor, item.share, wire.CorrelationChanges(changed[item.sensor]))
        for item in (verdict.contributions or ())[:contributors]
    ]


def variable_states(sensors: Sequence[str], times: Floats, values: Floats) -> list[wire.VariableState]:
    """What was there of each sensor. times: (rows,), seconds. values: (rows, sensors), NaN missing."""
    states = []
    for index, name in enumerate(sensors):
        there = np.flatnonzero(np.isfinite(values[:, index]))
        states.append(
            wire.VariableState(
                variable=name,
                filled_na_ratio=1.0 - len(there) / len(times) if len(times) else 0.0,
                effective_count=len(there),
                first_timestamp=iso(float(times[there[0]])) if len(there) else None,
                last_timestamp=iso(float(times[there[-1]])) if len(there) else None,
            )
        )
    return states
