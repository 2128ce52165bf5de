"""A model's folder on disk: what is in it, and the proof that it is whole.

Nothing in it is pickled, and nothing in it is trusted before its hash is checked.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.arrays import read_arrays
from detector.errors import ArtefactRefused
from detector.manifest import MANIFEST_FILE, Manifest, parse_manifest
from detector.operation import OPERATION_FILE
from detector.runtime import Outputs, Runtime
from detector.windows import Batch, Ints

GOLDEN_FILE = "golden.npz"
TWIN_FILE = "twin.npz"
CARD_FILE = "CARD.md"
# Runtimes and processors round differently; anything beyond this is another model.
GOLDEN_TOLERANCE = 1e-4
_GOLDEN_ARRAYS = (
    "readings",
    "observed",
    "lengths",
    "center",
    "scale",
    "standardised",
    "reconstruction",
    "logits",
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A verified folder. sha256: of the manifest, which holds the hashes of all other files."""

    folder: Path
    manifest: Manifest
    sha256: str


@dataclass(frozen=True, slots=True)
class Golden:
    """A few windows with the outputs that the network gave when it was exported."""

    batch: Batch
    outputs: Outputs

    def complete(self) -> "Golden | None":
        """Those that miss nothing, in a batch that says so; None without any.

        A runtime may spare itself the masks of such a batch.
        """
        whole = np.flatnonzero(self.batch.observed.all(axis=(1, 2)))
        if not len(whole):
            return None
        batch = self.batch
        center, scale = (
            np.broadcast_to(each, (len(batch), each.shape[1]))[whole] for each in (batch.center, batch.scale)
        )
        outputs = {name: getattr(self.outputs, name)[whole] for name in Outputs.__slots__}
        return Golden(
            Batch(
                batch.readings[whole],
                batch.observed[whole],
                batch.lengths[whole],
                center,
                scale,
                complete=True,
            ),
            Outputs(**outputs),
        )


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_artefact(folder: Path) -> Artefact:
    """Read the manifest and check every file against it.

    Raises ArtefactRefused, saying which file and why: missing, altered, not listed, or not a manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactRefused(
            folder, f"not a model: {MANIFEST_FILE} cannot be read ({error.strerror})"
        ) from None
    manifest = parse_manifest(content, folder)
    for name, expected in manifest.files.items():
        file = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ArtefactRefused(folder, f"the manifest lists {name!r}, which lies outside the folder")
        if not file.is_file():
            raise ArtefactRefused(folder, f"{name} is missing")
        if file_sha256(file) != expected:
            raise ArtefactRefused(folder, f"{name} was altered: its SHA-256 is not the one in the manifest")
    for name in (GOLDEN_FILE, OPERATION_FILE):
        if name not in manifest.files:
            raise ArtefactRefused(folder, f"the manifest does not list {name}")
    return Artefact(folder, manifest, hashlib.sha256(content).hexdigest())


def save_golden(path: Path, golden: Golden) -> None:
    """Write the arrays of a `Golden` as a compressed npz."""
    arrays = {
        name: getattr(golden.outputs if name in Outputs.__slots__ else golden.batch, name)
        for name in _GOLDEN_ARRAYS
    }
    np.savez_compressed(path, **arrays)


def load_golden(artefact: Artefact) -> Golden:
    """Raises ArtefactRefused when arrays are missing, or are not such as this model takes and gives."""
    arrays = read_arrays(artefact.folder, GOLDEN_FILE, _GOLDEN_ARRAYS)
    manifest = artefact.manifest
    windows, sensors = len(np.atleast_1d(arrays["lengths"])), len(manifest.sensors)
    steps = arrays["readings"].shape[1] if arrays["readings"].ndim == 3 else 0
    full = (windows, min(steps, manifest.window.steps), sensors)
    wanted: dict[str, tuple[type, set[tuple[int, ...]]]] = {
        "readings": (np.float64, {full}),
        "observed": (np.bool_, {full}),
        "lengths": (np.int32, {(windows,)}),
        "center": (np.float64, {(1, sensors), (windows, sensors)}),
        "scale": (np.float64, {(1, sensors), (windows, sensors)}),
        "standardised": (np.float32, {full}),
        "reconstruction": (np.float32, {full}),
        "logits": (np.float32, {(windows, len(manifest.classes))}),
    }
    for name, (kind, shapes) in wanted.items():
        if arrays[name].dtype != kind or arrays[name].shape not in shapes:
            given = f"{arrays[name].dtype} {arrays[name].shape}"
            raise ArtefactRefused(
                artefact.folder, f"{GOLDEN_FILE}: {name} is {given}, which is not the model's"
            )
    lengths: Ints = arrays["lengths"]
    if windows == 0 or not ((lengths >= 1) & (lengths <= full[1])).all():
        raise ArtefactRefused(
            artefact.folder, f"{GOLDEN_FILE}: lengths should be 1 to {full[1]}, of some windows"
        )
    batch = Batch(
        arrays["readings"], arrays["observed"], lengths, center=arrays["center"], scale=arrays["scale"]
    )
    return Golden(batch, Outputs(**{name: arrays[name] for name in Outputs.__slots__}))


def replay_golden(artefact: Artefact, runtime: Runtime) -> None:
    """Run the golden windows. Raises ArtefactRefused when that fails, or gives other than it should."""
    everything = load_golden(artefact)
    for golden in filter(None, (everything, everything.complete())):
        try:
            outputs = runtime.run(golden.batch)
        # A network of other inputs or outputs: libraries raise errors of many kinds.
        except Exception as error:
            raise ArtefactRefused(artefact.folder, f"golden replay failed: {error}") from None
        check_golden(artefact, golden, outputs)


def check_golden(artefact: Artefact, golden: Golden, outputs: Outputs) -> None:
    """Raises ArtefactRefused when outputs differ from the golden ones by more than GOLDEN_TOLERANCE."""
    for name in Outputs.__slots__:
        expected, given = getattr(golden.outputs, name), getattr(outputs, name)
        worst = float(np.max(np.abs(expected - given))) if expected.shape == given.shape else np.inf
        if not worst <= GOLDEN_TOLERANCE:
            raise ArtefactRefused(
                artefact.folder,
                f"golden replay failed: {name} differs by {worst:.2g}, allowed is {GOLDEN_TOLERANCE:g}",
            )
