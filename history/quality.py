"""How good the readings of a recording are, sensor by sensor, before anybody trains on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A step longer than this many sampling periods is a gap.
GAP_PERIODS = 1.5
# Share of readings missing or invalid from which a sensor is graded medium, and low.
MEDIUM_MISSING, LOW_MISSING = 0.01, 0.2
# A run of equal readings is suspicious from this many rows, and this many times the sensor's usual run.
LEAST_FLAT, FLAT_FACTOR = 20, 10
# A run of equal readings over this share of the rows makes a sensor low.
LOW_FLAT = 0.5
# A reading this many robust deviations away from both its neighbours is a spike.
SPIKE_DEVIATIONS = 10.0
# Share of spikes from which a sensor is graded medium.
MEDIUM_SPIKES = 0.002


class Grade(StrEnum):
    """`high`: use it. `medium`: usable, look at the reason. `low`: little to be learnt from it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class SensorQuality:
    """Readings of one sensor.

    missing: cells that were empty, or say so (NA, null). invalid: cells with text, an error or an infinity
    in place of a number. longest_flat: most equal readings in a row, rows. constant: never changes.
    dead: no reading at all. minimum, maximum, mean, sd: engineering units, None when dead. spikes: isolated
    readings far away from both their neighbours. reason: the grade in words, empty when high.
    """

    sensor: str
    missing: int
    invalid: int
    longest_flat: int
    constant: bool
    dead: bool
    minimum: float | None
    maximum: float | None
    mean: float | None
    sd: float | None
    spikes: int
    grade: Grade
    reason: str


@dataclass(frozen=True, slots=True)
class RecordingQuality:
    """The data-quality report of a recording.

    rows: kept. period_s: median step, None without time. gaps: steps longer than GAP_PERIODS periods;
    longest_gap_s: the longest of those, 0 when there is none. duplicates: rows dropped because the next row
    has the same stamp. backward: steps that go back in time; their rows are kept.
    notes: everything else that was found or decided while reading, one sentence each.
    """

    rows: int
    period_s: float | None
    gaps: int
    longest_gap_s: float
    duplicates: int
    backward: int
    sensors: tuple[SensorQuality, ...]
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether at least one sensor has readings that change."""
        return any(not (sensor.dead or sensor.constant) for sensor in self.sensors)


def sampling_period(timestamps: Floats | None) -> float | None:
    """Median positive step, seconds; None when there is none."""
    if timestamps is None or len(timestamps) < 2:
        return None
    steps = np.diff(timestamps)
    forward = steps[steps > 0]
    return float(np.median(forward)) if len(forward) else None


def measure_quality(
    sensors: Sequence[str],
    values: Floats,
    invalid: Bools,
    timestamps: Floats | None,
    duplicates: int = 0,
    notes: Sequence[str] = (),
) -> RecordingQuality:
    """Report on the rows of a recording.

    values: (rows, sensors), NaN where missing or invalid. invalid: bool, same shape.
    timestamps: (rows,), seconds, in file order.
    """
    measured = [measure_sensor(name, values[:, i], invalid[:, i]) for i, name in enumerate(sensors)]
    return report(measured, len(values), timestamps, duplicates, notes)


def report(
    sensors: Sequence[SensorQuality],
    rows: int,
    timestamps: Floats | None,
    duplicates: int = 0,
    notes: Sequence[str] = (),
) -> RecordingQuality:
    """As `measure_quality`, of sensors that are measured."""
    period = sampling_period(timestamps)
    gaps, longest, backward = 0, 0.0, 0
    if timestamps is not None:
        steps = np.diff(timestamps)
        backward = int((steps < 0).sum())
        if period is not None:
            silent = steps[steps > GAP_PERIODS * period]
            gaps, longest = len(silent), float(silent.max(initial=0.0))
    return RecordingQuality(
        rows=rows,
        period_s=period,
        gaps=gaps,
        longest_gap_s=longest,
        duplicates=duplicates,
        backward=backward,
        sensors=tuple(sensors),
        notes=tuple(notes),
    )


def measure_sensor(name: str, column: Floats, invalid: Bools) -> SensorQuality:
    """Report on one sensor. column: (rows,), NaN where missing or invalid. invalid: bool (rows,)."""
    seen = column[np.isfinite(column)]
    bad = int(invalid.sum())
    missing = len(column) - len(seen) - bad
    if len(seen) == 0:
        return SensorQuality(
            name, missing, bad, 0, False, True, None, None, None, None, 0, Grade.LOW, "no reading at all"
        )
    longest, usual = flat_runs(seen)
    spikes = count_spikes(seen)
    constant = bool(len(seen) > 1 and longest == len(seen))
    grade, reason = _grade(len(column), missing, bad, longest, usual, spikes, constant)
    # Around a reading, so that squares neither overflow nor cancel.
    moved = seen - seen[0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = float(seen[0] + moved.mean()), float(moved.std())
    return SensorQuality(
        sensor=name,
        missing=missing,
        invalid=bad,
        longest_flat=longest,
        constant=constant,
        dead=False,
        minimum=float(seen.min()),
        maximum=float(seen.max()),
        mean=mean,
        sd=sd,
        spikes=spikes,
        grade=grade,
        reason=reason,
    )


def flat_runs(seen: Floats) -> tuple[int, float]:
    """Longest and mean run of equal readings, rows. seen: (readings,), at least one, all finite."""
    edges = np.flatnonzero(np.diff(seen) != 0) + 1
    runs = np.diff(np.concatenate(([0], edges, [len(seen)])))
    return int(runs.max()), float(len(seen) / len(runs))


def count_spikes(seen: Floats) -> int:
    """Readings that stand out from the median of themselves and their two neighbours.

    The yardstick is the median size of those steps that change the reading: a sensor that mostly repeats
    itself has a median step of 0. seen: (readings,), all finite.
    """
    if len(seen) < 10:
        return 0
    with np.errstate(over="ignore", invalid="ignore"):
        left, here, right = seen[:-2], seen[1:-1], seen[2:]
        middle = np.maximum(np.minimum(left, here), np.minimum(np.maximum(left, here), right))
        distance = np.abs(here - middle)
        steps = np.abs(np.diff(seen))
    moving = steps[steps > 0]
    if len(moving) == 0:
        return 0
    yardstick = 1.4826 * float(np.median(moving))
    return int((distance > SPIKE_DEVIATIONS * yardstick).sum())


def _grade(
    rows: int, missing: int, invalid: int, longest: int, usual: float, spikes: int, constant: bool
) -> tuple[Grade, str]:
    """The worst of what was found; all findings are named."""
    findings: list[tuple[Grade, str]] = []
    if constant:
        findings.append((Grade.LOW, "never changes"))
    lost = (missing + invalid) / rows
    if lost >= MEDIUM_MISSING:
        grade = Grade.LOW if lost >= LOW_MISSING else Grade.MEDIUM
        kind = "missing" if not invalid else "invalid" if not missing else "missing or invalid"
        findings.append((grade, f"{100 * lost:.3g} % of the readings are {kind}"))
    elif invalid:
        findings.append((Grade.MEDIUM, f"{invalid} invalid {'cell' if invalid == 1 else 'cells'}"))
    if not constant and longest >= max(LEAST_FLAT, FLAT_FACTOR * usual):
        grade = Grade.LOW if longest >= LOW_FLAT * rows else Grade.MEDIUM
        findings.append((grade, f"repeats one value for {longest} rows"))
    if spikes > MEDIUM_SPIKES * rows:
        findings.append((Grade.MEDIUM, f"{spikes} isolated {'spike' if spikes == 1 else 'spikes'}"))
    if not findings:
        return Grade.HIGH, ""
    worst = Grade.LOW if any(grade is Grade.LOW for grade, _ in findings) else Grade.MEDIUM
    return worst, "; ".join(reason for _, reason in findings)
