"""A trained model in use: artefact, runtime, scores, verdict. Knows neither HTTP nor TensorFlow."""

from detector.baseline import Baseline
from detector.detector import Detector, Options, Scores, Window
from detector.store import ModelStore
from detector.verdict import Contribution, DecidedBy, Ruling, Verdict

__all__ = [
    "Baseline",
    "Contribution",
    "DecidedBy",
    "Detector",
    "ModelStore",
    "Options",
    "Ruling",
    "Scores",
    "Verdict",
    "Window",
]
