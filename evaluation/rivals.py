"""The plain detectors' verdicts on a recording: the same rows as the model's, judged by other means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from detector import Detector
from detector.windows import Floats
from evaluation.reference import REFERENCE_FILE, References, normal_stretches, z2
from evaluation.scoring import Passage
from evaluation.verdict_row import ANOMALOUS, BASELINE, CANNOT_JUDGE, NORMAL, VerdictRow

MODEL, ALWAYS_ON, PCA, Z2 = "model", "always_on", "pca", "z2"
NAMES: Mapping[str, str] = {MODEL: "model", ALWAYS_ON: "always on", PCA: "PCA T²+Q", Z2: "mean z²"}


@dataclass(frozen=True, slots=True)
class Rival:
    """rows: with the rival's scores and verdicts. limit: the score of its threshold; None where there is no
    normal operation to set one by, and then no verdict of it means anything."""

    rows: list[VerdictRow]
    limit: float | None


@dataclass(frozen=True, slots=True)
class Rivals:
    """Where the plain detectors come from: the model's folder, or each recording's own baseline.

    stored: None where the folder has no references.
    """

    stored: References | None
    false_alarm_rate: float

    @classmethod
    def of(cls, detector: Detector, false_alarm_rate: float) -> "Rivals":
        """Raises EvaluationError when the folder's references cannot be read."""
        path = detector.artefact.folder / REFERENCE_FILE
        stored = References.load(path, len(detector.sensors)) if path.is_file() else None
        return cls(stored, false_alarm_rate)

    def origin(self, baseline_rows: int) -> str:
        """Where fit and thresholds come from, in words for a report."""
        rate = f"at the model's alarm budget ({self.false_alarm_rate:.3g} of normal windows)"
        if self.stored is not None:
            return (
                "PCA and mean z² were fitted on the model's training data; their thresholds come from the"
                f" normal scores that were stored with it, {rate}."
            )
        if baseline_rows:
            return (
                f"The model's folder has no {REFERENCE_FILE}: PCA and mean z² were fitted on the"
                f" {baseline_rows} baseline rows of each file, and their thresholds come from the same rows,"
                f" {rate}."
            )
        return (
            f"The model's folder has no {REFERENCE_FILE} and no baseline rows were given: PCA is left out,"
            " and mean z² ranks rows but has no threshold."
        )

    def judge(self, passage: Passage, detector: Detector, rows: list[VerdictRow]) -> dict[str, Rival]:
        """By name. rows: the model's, of which verdict and score are replaced.

        A window that the model cannot judge is judged by none of the others but the one that is always on.
        Raises EvaluationError when there is no stretch of the baseline to fit on.
        """
        references = self.stored
        if references is None and passage.baseline is not None:
            references = References.fit(_own_normal(passage, detector), passage.shape.steps)
        rivals = {ALWAYS_ON: Rival([_always_on(row) for row in rows], 0.0)}
        scores = _scores(passage, detector, references)
        for name, values in scores.items():
            limit = None if references is None else references.limit(name, self.false_alarm_rate)
            rivals[name] = Rival(_with_scores(rows, passage, values, limit), limit)
        return rivals


def _scores(passage: Passage, detector: Detector, references: References | None) -> dict[str, Floats]:
    """Score of the window at each of the passage's ends."""
    names = (Z2,) if references is None else (PCA, Z2)
    parts: dict[str, list[Floats]] = {name: [] for name in names}
    center, scale = _baseline(passage, detector)
    for ends in passage.chunks():
        windows = [(window - center) / scale for window in passage.windows(ends)]
        parts[Z2].append(z2(windows))
        if references is not None:
            parts[PCA].append(references.pca(windows))
    return {name: np.concatenate(part) if part else np.empty(0) for name, part in parts.items()}


def _baseline(passage: Passage, detector: Detector) -> tuple[Floats, Floats]:
    """Centre and scale, (sensors,); NaN centre for a sensor that is left out, which hides its readings."""
    baseline = passage.baseline
    left_out = np.array([not sensor.scored for sensor in detector.manifest.sensors])
    if baseline is None:
        return np.where(left_out, np.nan, detector.manifest.center), detector.manifest.scale
    return np.where(left_out | baseline.left_out, np.nan, baseline.center), baseline.scale


def _own_normal(passage: Passage, detector: Detector) -> list[Floats]:
    """Standardised rows of the baseline, by run."""
    center, scale = _baseline(passage, detector)
    values = passage.recording.values
    commissioned = np.arange(len(values)) < passage.baseline_rows
    return normal_stretches((values - center) / scale, commissioned, passage.runs)


def _always_on(row: VerdictRow) -> VerdictRow:
    if row.verdict == BASELINE:
        return row
    return replace(row, verdict=ANOMALOUS, score=None if row.score is None else 0.0, contributions=())


def _with_scores(
    rows: list[VerdictRow], passage: Passage, scores: Floats, limit: float | None
) -> list[VerdictRow]:
    out = rows[: passage.baseline_rows]
    for row, score in zip(rows[passage.baseline_rows :], scores.tolist(), strict=True):
        if row.score is None or np.isnan(score):
            out.append(replace(row, verdict=CANNOT_JUDGE, score=None, contributions=()))
        else:
            verdict = ANOMALOUS if limit is not None and score >= limit else NORMAL
            out.append(replace(row, verdict=verdict, score=score, contributions=()))
    return out
