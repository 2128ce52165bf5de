"""Coverage-guided fuzzing: `python -m tests.fuzz body --runs 200000`, in an environment that has atheris.

`make fuzz` does so for every target. A selection of what reached new code is kept in
tests/fuzz/corpus/<target>/, where every run of the tests tries it again; an input that breaks something is
written there as `found-<hash>`, and ends the run.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
INSTRUMENTED = ("detector", "history", "service", "tomllib", "zipfile", "numpy.lib")
# What is kept is small and not much: the seeds are kept as code, and large inputs find little more.
_MOST_KEPT, _MOST_KEPT_BYTES = 40, 2000


def main() -> None:
    """Entry point. Ends with the exit code of the fuzzer."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder is not None:
        fuzz(given.target, given.folder, given.runs, given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch, "found")
        found.mkdir()
        # The fuzzer does not return, so it has a process of its own.
        again = [sys.executable, "-m", "tests.fuzz", given.target, "--in", str(found)]
        done = subprocess.run([*again, "--runs", str(given.runs), "--seed", str(given.seed)], check=False)
        keep(given.target, found)
    raise SystemExit(done.returncode)


def fuzz(name: str, folder: Path, runs: int, seed: int) -> None:
    """Fill `folder` with inputs that reach new code. Does not return."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, seeds

    target = TARGETS[name]
    kept = CORPUS / name

    def once(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"found-{digest(data)}").write_bytes(data)
            raise

    longest = 4096
    for number, content in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(content)
        longest = max(longest, 2 * len(content))
    options = [
        *(f"-runs={runs}", f"-seed={seed}", f"-max_len={longest}", f"-artifact_prefix={folder}/../"),
        *("-timeout=30", "-rss_limit_mb=3000", "-print_final_stats=1"),
    ]
    # The first folder gets what is new; what is kept already is tried as well.
    folders = [str(folder), *([str(kept)] if kept.is_dir() else [])]
    atheris.Setup([sys.argv[0], *options, *folders], once)
    atheris.Fuzz()


def keep(name: str, found: Path) -> None:
    """Put the smallest of the new inputs beside those that are kept already."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    new = [path for path in found.iterdir() if not path.name.startswith("seed-")]
    small = [path.read_bytes() for path in new if path.stat().st_size <= _MOST_KEPT_BYTES]
    for content in sorted(small, key=lambda content: (len(content), content)):
        if len(list(kept.iterdir())) >= _MOST_KEPT:
            return
        (kept / digest(content)).write_bytes(content)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


if __name__ == "__main__":
    main()
