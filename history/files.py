"""Which files are meant by the paths that people name."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from history.errors import NoSuchFile

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A file to be read, and the name by which people are told of it."""

    path: Path
    name: str


def find_files(paths: Sequence[Path], layout: str = "files") -> tuple[HistoryFile, ...]:
    """Files as given, and the CSV and Parquet files of folders, recursively and in order of their paths.

    layout: see ReadOptions; in that of `lookout` a folder counts as one file.
    Names are paths below the folder that all files share. Raises NoSuchFile.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir() and layout == "lookout":
            found[path.resolve()] = None
        elif path.is_dir():
            inside = [
                p
                for p in path.rglob("*")
                if p.suffix.lower() in SUFFIXES and p.is_file() and not _hidden(p, path)
            ]
            if not inside:
                raise NoSuchFile(
                    f"holds no file named {', '.join('*' + s for s in SUFFIXES)}", place=str(path)
                )
            found.update(dict.fromkeys(sorted(p.resolve() for p in inside)))
        elif path.exists():
            found[path.resolve()] = None
        else:
            raise NoSuchFile("does not exist", place=str(path))
    if not found:
        raise NoSuchFile("no file is named", place="paths")
    try:
        root = Path(os.path.commonpath([path.parent for path in found]))
    except ValueError:
        return tuple(HistoryFile(path, str(path)) for path in found)
    return tuple(HistoryFile(path, path.relative_to(root).as_posix()) for path in found)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
