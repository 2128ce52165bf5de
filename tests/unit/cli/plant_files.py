"""Historian files of the made-up plant, for tests of commands that read files."""

from pathlib import Path

from tests.plant import recording, to_csv


def write_run(
    folder: Path,
    name: str = "run.csv",
    rows: int = 300,
    fault: tuple[int, int] | None = (200, 260),
    seed: int = 50,
    labelled: bool = True,
) -> Path:
    """A file at 1 Hz whose Pressure is shifted in rows [first, last) of `fault`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_csv(recording(name, rows, seed, fault, sensor=0, size=8.0, labelled=labelled)))
    return path
