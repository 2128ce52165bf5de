"""What a run of the benchmark found, as it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. visit: the server and how it was set up. figures: see `benchmarks.speed.probes`."""

    round: int
    visit: str
    probe: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """failures: why something is missing, by visit. versions: by peer, then by library."""

    began: str
    seconds: float
    rounds: int
    quick: bool
    machine: str
    versions: Mapping[str, Mapping[str, str]]
    models: Mapping[str, str]
    samples: Sequence[Sample]
    failures: Mapping[str, str]

    def values(self, visit: str, probe: str, figure: str) -> dict[int, float]:
        """One figure by round."""
        return {
            sample.round: sample.figures[figure]
            for sample in self.samples
            if (sample.visit, sample.probe) == (visit, probe) and figure in sample.figures
        }


def save(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))


def load(path: Path) -> Run:
    """Raises msgspec.ValidationError, OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Run)


def pooled(runs: Sequence[Run]) -> Run:
    """Runs of one machine as if they had been one: their rounds follow each other. Machine and versions are
    those of the last."""
    samples: list[Sample] = []
    rounds = 0
    for run in runs:
        samples += [replace(sample, round=sample.round + rounds) for sample in run.samples]
        rounds += run.rounds
    return replace(runs[-1], samples=samples, rounds=rounds, seconds=sum(run.seconds for run in runs))
