"""The public data sets, as recordings."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from detector.artefact import file_sha256
from history.options import ReadOptions
from history.read import read_file, read_paths
from history.recording import Recording

SKAB, TENNESSEE, MACHINE_TEMPERATURE = "skab", "tennessee_eastman", "nab_machine_temperature"
SKAB_FOLDERS = ("other", "valve1", "valve2")
FAULTS = tuple(range(1, 22))


class NoData(Exception):
    """A data set is not where it should be."""


def check(data: Path, names: Iterable[str]) -> None:
    """Raises NoData, naming what is missing."""
    missing = [name for name in dict.fromkeys(names) if not (data / name).is_dir()]
    if missing:
        raise NoData(f"{data} has no folder {' and no folder '.join(missing)}: DATA must hold the data sets")


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of all CSV files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.csv")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def skab(data: Path) -> list[Recording]:
    """The 34 labelled experiments. `anomaly-free` is not among them: half of it is the start of other/5."""
    return list(read_paths([data / SKAB / folder for folder in SKAB_FOLDERS]))


def tennessee(data: Path, part: str, fault: int) -> Recording:
    """part: `train` or `test`. fault: 0 for normal operation, else 1..21; its label is `fault 7`."""
    name = f"d{fault:02d}{'_te' if part == 'test' else ''}.csv"
    options = ReadOptions(label_column="fault", ignore=("step", "anomaly"))
    return read_file(data / TENNESSEE / part / name, options, f"{part}/{name}")


def machine_temperature(data: Path) -> Recording:
    return read_file(data / MACHINE_TEMPERATURE / "machine_temperature_system_failure.csv")


def unlabelled(recording: Recording) -> Recording:
    return replace(recording, labels=None)
