"""Putting a finished artefact into the store, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from detector.artefact import file_sha256
from detector.manifest import MANIFEST_FILE, Manifest, encode_manifest
from detector.store import ModelStore, is_model_name
from training.errors import TrainingError

STAGING_PREFIX = ".staging-"


def check_name(name: str) -> None:
    """Raises TrainingError when a model cannot be called that."""
    if not is_model_name(name):
        raise TrainingError(
            f"{name!r} cannot name a model: expected 1 to 64 letters, digits, dots, dashes or underscores"
        )


@contextmanager
def staging(store: ModelStore, name: str) -> Iterator[Path]:
    """A folder beside the versions in which an artefact is prepared; removed when the block ends.

    The store never looks into it: its name is not a version. Raises TrainingError for a bad name, and
    for a store that cannot be written to.
    """
    check_name(name)
    parent = store.root / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=parent))
    except OSError as error:
        raise TrainingError(f"{parent}: cannot be written to: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(parent.iterdir()):
            parent.rmdir()


def publish(store: ModelStore, folder: Path, manifest: Manifest) -> Path:
    """Seal a staged artefact and move it into place as the next version.

    Files are hashed into the manifest and flushed to disk before one rename makes them visible, so that a
    crash at any moment leaves the store as it was or with the whole new version.
    Returns the folder of the version.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    folder.chmod(0o755)
    while True:
        version = (store.versions(manifest.name) or [0])[-1] + 1
        sealed = msgspec.structs.replace(manifest, version=version, files=hashes)
        (folder / MANIFEST_FILE).write_bytes(encode_manifest(sealed))
        for path in [*files, folder / MANIFEST_FILE]:
            path.chmod(0o644)
            _flush(path)
        _flush(folder)
        target = store.root / manifest.name / str(version)
        try:
            os.rename(folder, target)
        except OSError as error:
            # Another training took this version meanwhile: a folder that is not empty is never replaced.
            if target.exists():
                continue
            raise TrainingError(f"{target}: cannot be published: {error.strerror}") from error
        _flush(target.parent)
        return target


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
