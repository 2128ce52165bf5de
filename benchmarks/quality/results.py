"""Measurements on disk, one JSON file a task, found again only while nothing they depend on has changed."""

import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks import code
from benchmarks.quality import embedded
from benchmarks.quality.datasets import fingerprint
from benchmarks.quality.protocol import Protocol, Report, Task, Work

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "results" / "quality"
MODELS = ROOT / "models"
PACKAGES = ("detector", "history", "evaluation", "training")
# What only shows results may change without their being measured anew.
SHOWING = (
    "__main__.py",
    "detection.py",
    "page.py",
    "plots.py",
    "pool.py",
    "progress.py",
    "sections.py",
    "tables.py",
)
LIBRARIES = ("numpy", "scipy", "scikit-learn", "tensorflow", "keras", "onnx", "onnxruntime")

T = TypeVar("T")


class CodeChanged(Exception):
    """The code is not the one that the result would be filed under."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds. measured: see `Protocol.measure`, as JSON has it."""

    task: str
    protocol: str
    part: str
    seed: int
    quick: bool
    code: str
    data: str
    recipe: dict[str, Any] | None
    libraries: dict[str, str]
    machine: str
    seconds: float
    measured: Any

    def read(self, kind: type[T]) -> T:
        return msgspec.convert(self.measured, kind)


def code_sha256(root: Path = ROOT) -> str:
    """Of all code that a measurement depends on."""
    files = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    files += [p for p in (root / "benchmarks" / "quality").glob("*.py") if p.name not in SHOWING]
    return code.sha256(root, files)


def data_sha256(protocol: Protocol, data: Path) -> str:
    """Of the data set, and of the embedded model where that is what is measured."""
    own = embedded.sha256(MODELS) if protocol is embedded.EMBEDDED else ""
    return hashlib.sha256((fingerprint(data / protocol.data) + own).encode()).hexdigest()


def libraries() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **versions}


def machine() -> str:
    """The processor and the system, in words."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file():
        names = [line for line in described.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


@dataclass(frozen=True, slots=True)
class Filing:
    """Where a task's result goes. code, data: SHA-256 of what it depends on."""

    task: Task
    code: str
    data: str
    folder: Path = FOLDER

    @property
    def path(self) -> Path:
        task = self.task
        known = [self._recipe, self.code, self.data, libraries()]
        key = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
        part = f"{task.part}-" if task.part else ""
        return self.folder / task.protocol.name / f"{part}seed-{task.seed}-{key}.json"

    @property
    def _recipe(self) -> dict[str, Any] | None:
        return self.task.recipe.model_dump(mode="json") if self.task.protocol.recipe else None

    def load(self) -> Stored | None:
        """None where it is yet to be measured."""
        if not self.path.is_file():
            return None
        return msgspec.json.decode(self.path.read_bytes(), type=Stored)

    def measure(self, data: Path, scratch: Path, report: Report) -> None:
        """Measure and file the result, whole or not at all. Raises CodeChanged and whatever goes wrong."""
        # The code was read when this process began; what is under way must not be filed as something else.
        if code_sha256() != self.code:
            raise CodeChanged("the code was changed while the benchmark ran: start it again")
        task, began = self.task, time.monotonic()
        measured = task.protocol.measure(Work(data, MODELS, scratch, report), task.part, task.recipe)
        stored = Stored(
            task=task.name,
            protocol=task.protocol.name,
            part=task.part,
            seed=task.seed,
            quick=task.quick,
            code=self.code,
            data=self.data,
            recipe=self._recipe,
            libraries=libraries(),
            machine=machine(),
            seconds=round(time.monotonic() - began, 1),
            measured=msgspec.to_builtins(measured),
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(f".{os.getpid()}.part")
        aside.write_bytes(msgspec.json.encode(stored))
        aside.rename(self.path)


@dataclass(frozen=True, slots=True)
class Results:
    """All measurements that there are, of the tasks that were asked for."""

    stored: Sequence[Stored]

    def of(self, protocol: Protocol, kind: type[T]) -> dict[int, dict[str, T]]:
        """By seed, then by part, in the order of the protocol."""
        found: dict[int, dict[str, T]] = {}
        for seed in sorted({item.seed for item in self.stored if item.protocol == protocol.name}):
            parts = {
                item.part: item.read(kind)
                for item in self.stored
                if item.protocol == protocol.name and item.seed == seed
            }
            found[seed] = {part: parts[part] for part in protocol.parts if part in parts}
        return found
