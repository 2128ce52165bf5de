"""The embedded model, as it is in the store, on the experiments that were kept out of its training."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality import datasets, figures
from benchmarks.quality.figures import Figures
from benchmarks.quality.protocol import Protocol, Work
from benchmarks.quality.skab import BASELINE_ROWS
from detector import Detector, ModelStore
from detector.artefact import file_sha256
from detector.errors import ModelNotFound
from detector.manifest import MANIFEST_FILE
from training.recipe import Recipe

NAME = "pump-loop"
FOLDER = "valve2"


@dataclass(frozen=True, slots=True)
class Embedded:
    version: int
    created: str
    figures: Figures


def sha256(models: Path) -> str:
    """Of the manifest, which holds the hashes of everything else; empty where there is no such model."""
    try:
        return file_sha256(ModelStore(models).folder(NAME) / MANIFEST_FILE)
    except ModelNotFound:
        return ""


def _measure(work: Work, part: str, chosen: Recipe) -> Embedded:
    detector = Detector.load(ModelStore(work.models).folder(NAME))
    kept_out = [r for r in datasets.skab(work.data) if r.name.startswith(f"{FOLDER}/")]
    manifest = detector.manifest
    measured = figures.measure(detector, kept_out, BASELINE_ROWS, work.report)
    return Embedded(manifest.version, manifest.created, measured)


EMBEDDED = Protocol("embedded", datasets.SKAB, ("",), 15, None, _measure)
