"""The layouts in which Amazon Lookout for Equipment took its data: one recording from a machine's files.

Its data set is a folder with a folder for each component of the machine, in which lie CSV files of time stamp
and sensors, one file for all sensors of the component or one for each. What it was sent to be judged lies in
one folder, each file named after its component and a time: `pump_20260131120000.csv`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from history.errors import NoSuchFile, NoSuchSensors
from history.files import find_files
from history.joining import join, renamed
from history.options import ReadOptions
from history.recording import Recording

# Reads one file, by its path and under the name that people are told.
Read = Callable[[Path, ReadOptions, str | None], Recording]

# Between a component and a sensor, in the names of sensors.
SEPARATOR = "\\"
# What the scheduler's settings allowed behind a component in the name of a file.
_STAMPED = re.compile(
    r"(?P<component>.+?)(?:[-_ ]|(?<=\D))\d{4}-?\d{2}-?\d{2}[-_ T]?\d{2}-?\d{2}(-?\d{2})?", re.ASCII
)


def component_of(name: str) -> str:
    """The component that a file's name, without its ending, speaks of."""
    match = _STAMPED.fullmatch(name)
    return match["component"] if match else name


def read_dataset(path: Path, options: ReadOptions, name: str, read_file: Read) -> Recording:
    """One file, or all files of a folder, joined by time; sensors are named `component\\sensor`.

    A sensor of which several files tell gets the readings of all. Labels in files are not used.
    Raises HistoryError, naming the file.
    """
    parts = list(_parts(path, options, read_file))
    joined = join(parts, name)
    if options.ignore:
        kept = [sensor for sensor in joined.sensors if sensor not in options.ignore]
        joined = joined.select(kept)
    if options.sensors is None:
        return joined
    unknown = [sensor for sensor in options.sensors if sensor not in joined.sensors]
    if unknown:
        raise NoSuchSensors(f"has no sensor {unknown[0]!r}; it has {', '.join(joined.sensors)}", place=name)
    return joined.select(options.sensors)


def _parts(path: Path, options: ReadOptions, read_file: Read) -> Iterator[Recording]:
    each = replace(options, layout="files", sensors=None, ignore=())
    if not path.is_dir():
        yield _named(read_file(path, each, None), component_of(path.stem))
        return
    for file in find_files([path]):
        within = file.path.relative_to(path.resolve()).parts
        if len(within) > _DEEPEST:
            raise NoSuchFile(
                "lies too deep: expected a folder for each component, with its files in it", place=file.name
            )
        component = within[0] if len(within) == _DEEPEST else component_of(file.path.stem)
        yield _named(read_file(file.path, each, "/".join(within)), component)


# Component and file.
_DEEPEST = 2


def _named(part: Recording, component: str) -> Recording:
    return renamed(part, [f"{component}{SEPARATOR}{sensor}" for sensor in part.sensors])
