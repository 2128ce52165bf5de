"""Tennessee Eastman: a simulated chemical plant, 52 sensors, one reading in 3 minutes, 21 faults."""

from dataclasses import dataclass

import numpy as np

from benchmarks.quality import contributions, datasets
from benchmarks.quality.contributions import Hits
from benchmarks.quality.protocol import NO_TEST, Protocol, Work, recipe
from detector import Detector, Window
from detector.detector import in_batches
from detector.windows import window_ends, windows_ending_at
from evaluation.evaluate import FileResult, evaluate
from evaluation.rivals import ALWAYS_ON
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


@dataclass(frozen=True, slots=True)
class Rates:
    """One detector. limit: of its score. detected: share of the rows of each fault above it, by fault.
    false_alarms: the same of the rows before it, where the detector judges."""

    limit: float
    detected: dict[str, float]
    false_alarms: dict[str, float]


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
    recordings = [datasets.tennessee(work.data, "test", fault) for fault in (0, *datasets.FAULTS)]
    normal, *faulty = evaluate(detector, recordings).files
    names = [name for name in normal.judged if name != ALWAYS_ON]
    work.report(("stage", "Putting faults in"))
    values = recordings[0].values
    runs = [slice(0, len(values))]
    ends = window_ends(runs, chosen.window_steps)[::HELD_OUT_STRIDE]
    windows = [Window(window) for window in windows_ending_at(values, runs, ends, chosen.window_steps)]
    rng = np.random.default_rng([chosen.seed, 8])
    return FaultDetection(
        chosen.window_steps,
        {name: _rates(name, normal, faulty) for name in names},
        contributions.measure(detector, windows, DRAWS, rng),
    )


def _rates(name: str, normal: FileResult, faulty: list[FileResult]) -> Rates:
    limit = float(np.nanquantile(_scores(name, normal), LIMIT_QUANTILE))
    scores = {
        str(fault): _scores(name, result) for fault, result in zip(datasets.FAULTS, faulty, strict=True)
    }
    before = {fault: rows[:FAULT_FROM] for fault, rows in scores.items()}
    return Rates(
        limit,
        # A row that is not judged raises no alarm.
        {fault: float(np.mean(rows[FAULT_FROM:] > limit)) for fault, rows in scores.items()},
        {fault: float(np.mean(rows[np.isfinite(rows)] > limit)) for fault, rows in before.items()},
    )


def _scores(name: str, result: FileResult) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """By row, NaN where it is not judged."""
    scores = [row.score for row in result.judged[name].rows]
    return np.array([np.nan if score is None else score for score in scores])


def _measure_classes(work: Work, part: str, chosen: Recipe) -> Classes:
    everything = [datasets.tennessee(work.data, "train", fault) for fault in (0, *datasets.FAULTS)]
    detector = work.train(everything, chosen)
    return Classes(list(datasets.FAULTS), [_called(detector, work, fault) for fault in datasets.FAULTS])


def _called(detector: Detector, work: Work, fault: int) -> list[int]:
    """How often each fault is the most probable one, over the rows of one."""
    recording = datasets.tennessee(work.data, "test", fault).select(detector.sensors)
    runs = [slice(0, len(recording))]
    ends = window_ends(runs, SHORT_STEPS)
    ends = ends[ends >= FAULT_FROM]
    windows = [Window(w) for w in windows_ending_at(recording.values, runs, ends, SHORT_STEPS)]
    probabilities = np.concatenate([detector.score(part).probabilities for part in in_batches(windows)])
    # Normal operation and injected faults are no answer to the question which of the faults it is.
    columns = [detector.manifest.classes.index(f"fault {known}") for known in datasets.FAULTS]
    called = probabilities[:, columns].argmax(axis=1)
    return [int((called == place).sum()) for place in range(len(columns))]


FAULT_DETECTION = Protocol(
    "tennessee-fault-detection",
    datasets.TENNESSEE,
    (DEFAULT_WINDOW, SHORT_WINDOW),
    120,
    _detection_recipe,
    _measure_detection,
)
CLASSES = Protocol("tennessee-classes", datasets.TENNESSEE, ("",), 70, _classes_recipe, _measure_classes)
