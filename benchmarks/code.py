"""Which code something was made with."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(root: Path, files: Iterable[Path]) -> str:
    """Of files below `root`, in any order: their names and what they hold."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
