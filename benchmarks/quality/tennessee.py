"""Tennessee Eastman: a simulated chemical plant, 52 sensors, one reading in 3 minutes, 21 faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality import contributions, datasets
from benchmarks.quality.contributions import Hits
from benchmarks.quality.protocol import NO_TEST, Protocol, Work, recipe
from detector import Detector, Ruling, Window
from detector.detector import in_batches
from detector.windows import Floats, window_ends, windows_ending_at
from evaluation.ranking import roc_auc
from evaluation.reference import REFERENCE_FILE, References, z2
from evaluation.rivals import MODEL, PCA, Z2
from history.recording import Recording
from training.recipe import Recipe

# Rows of a test file before its fault begins.
FAULT_FROM = 160
# Share of normal test rows below the threshold.
LIMIT_QUANTILE = 0.99
DEFAULT_WINDOW, SHORT_WINDOW = "window-default", "window-10"
SHORT_STEPS = 10
# The smallest share of a file of 500 rows that holds a window of SHORT_STEPS.
LEAST_CALIBRATION_SHARE = 0.02
HELD_OUT_STRIDE, DRAWS = 10, 4
# The model's score, but for rows on which it gives no verdict.
JUDGED_ONLY = "model, judged rows"


@dataclass(frozen=True, slots=True)
class Rates:
    """One detector. limit: of its score. detected: share of the rows of each fault above it, by fault.
    false_alarms: the same of the rows before it that have a score. auc: of the rows of a fault that have a
    score against those before it."""

    limit: float
    detected: dict[str, float]
    false_alarms: dict[str, float]
    auc: dict[str, float]


@dataclass(frozen=True, slots=True)
class FaultDetection:
    window_steps: int
    detectors: dict[str, Rates]
    contributions: dict[str, Hits]


@dataclass(frozen=True, slots=True)
class Classes:
    """counts: rows of each true fault, by the fault that was most probable; both in the order of `faults`."""

    faults: list[int]
    counts: list[list[int]]


def _detection_recipe(part: str) -> Recipe:
    shape = {"window_steps": SHORT_STEPS} if part == SHORT_WINDOW else {}
    return recipe(test_share=NO_TEST, **shape)


def _classes_recipe(part: str) -> Recipe:
    return recipe(
        window_steps=SHORT_STEPS,
        recovery_windows=0,
        calibration_share=LEAST_CALIBRATION_SHARE,
        test_share=NO_TEST,
    )


def _measure_detection(work: Work, part: str, chosen: Recipe) -> FaultDetection:
    detector = work.train([datasets.unlabelled(datasets.tennessee(work.data, "train", 0))], chosen)
    references = References.load(detector.artefact.folder / REFERENCE_FILE, len(detector.sensors))
    steps = chosen.window_steps
    normal = _windows(datasets.tennessee(work.data, "test", 0), detector, steps)
    scores = {0: _scores(detector, references, normal)}
    for fault in datasets.FAULTS:
        windows = _windows(datasets.tennessee(work.data, "test", fault), detector, steps)
        scores[fault] = _scores(detector, references, windows)
    work.report(("stage", "Putting faults in"))
    full = [window for window in normal if len(window.values) == steps][::HELD_OUT_STRIDE]
    rng = np.random.default_rng([chosen.seed, 8])
    return FaultDetection(
        steps,
        {name: _rates({fault: by_name[name] for fault, by_name in scores.items()}) for name in scores[0]},
        contributions.measure(detector, full, DRAWS, rng),
    )


def _windows(recording: Recording, detector: Detector, steps: int) -> list[Window]:
    """The window that ends at each row; short ones at the beginning."""
    values = recording.select(detector.sensors).values
    runs = [slice(0, len(values))]
    return [Window(w) for w in windows_ending_at(values, runs, window_ends(runs, 1), steps)]


def _scores(detector: Detector, references: References, windows: Sequence[Window]) -> dict[str, Floats]:
    """By detector, then by row. NaN for a window that is shorter than the model judges, and in JUDGED_ONLY
    also where too many sensors are dead for a verdict."""
    long_enough = np.array([len(w.values) >= detector.manifest.window.minimum_steps for w in windows])
    left_out = np.array([not sensor.scored for sensor in detector.manifest.sensors])
    center = np.where(left_out, np.nan, detector.manifest.center)
    standardised = [(window.values - center) / detector.manifest.scale for window in windows]
    combined = np.concatenate([detector.score(part).combined for part in in_batches(windows)])
    judgeable = np.array([v.ruling is not Ruling.CANNOT_JUDGE for v in detector.judge(windows)])
    found = {
        MODEL: combined,
        JUDGED_ONLY: np.where(judgeable, combined, np.nan),
        PCA: references.pca(standardised),
        Z2: z2(standardised),
    }
    return {name: np.where(long_enough, values, np.nan) for name, values in found.items()}


def _rates(scores: Mapping[int, Floats]) -> Rates:
    """scores: of one detector, by fault, 0 being normal operation."""
    limit = float(np.nanquantile(scores[0], LIMIT_QUANTILE))
    faulty = {str(fault): rows for fault, rows in scores.items() if fault}
    before = {fault: rows[:FAULT_FROM] for fault, rows in faulty.items()}
    return Rates(
        limit,
        # A row that is not judged raises no alarm.
        {fault: float(np.mean(rows[FAULT_FROM:] > limit)) for fault, rows in faulty.items()},
        {fault: float(np.mean(rows[np.isfinite(rows)] > limit)) for fault, rows in before.items()},
        {fault: _auc(rows) for fault, rows in faulty.items()},
    )


def _auc(rows: Floats) -> float:
    scored = np.isfinite(rows)
    return roc_auc((np.arange(len(rows)) >= FAULT_FROM)[scored], rows[scored])


def _measure_classes(work: Work, part: str, chosen: Recipe) -> Classes:
    everything = [datasets.tennessee(work.data, "train", fault) for fault in (0, *datasets.FAULTS)]
    detector = work.train(everything, chosen)
    return Classes(list(datasets.FAULTS), [_called(detector, work, fault) for fault in datasets.FAULTS])


def _called(detector: Detector, work: Work, fault: int) -> list[int]:
    """How often each fault is the most probable one, over the rows of one."""
    recording = datasets.tennessee(work.data, "test", fault)
    windows = _windows(recording, detector, SHORT_STEPS)[FAULT_FROM:]
    probabilities = np.concatenate([detector.score(part).probabilities for part in in_batches(windows)])
    # Normal operation and injected faults are no answer to the question which of the faults it is.
    columns = [detector.manifest.classes.index(f"fault {known}") for known in datasets.FAULTS]
    called = probabilities[:, columns].argmax(axis=1)
    return [int((called == place).sum()) for place in range(len(columns))]


FAULT_DETECTION = Protocol(
    "tennessee-fault-detection",
    datasets.TENNESSEE,
    (DEFAULT_WINDOW, SHORT_WINDOW),
    75,
    _detection_recipe,
    _measure_detection,
)
CLASSES = Protocol("tennessee-classes", datasets.TENNESSEE, ("",), 70, _classes_recipe, _measure_classes)
