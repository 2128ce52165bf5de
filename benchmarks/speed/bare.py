"""ONNX Runtime by itself, on the core of the servers: what is left when nothing is around it.

python -m benchmarks.speed.bare CORE MODEL WINDOWS STEPS SENSORS SECONDS
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.places import ROOT
from benchmarks.speed.processes import stop_with_parent


def measure(core: int, model: Path, shape: tuple[int, int, int], seconds: float) -> float:
    """Windows a second, in a process of its own."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.speed.bare",
        str(core),
        str(model),
        *map(str, shape),
        str(seconds),
    ]
    done = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=seconds + 60,
        start_new_session=True,
        preexec_fn=stop_with_parent,
    )
    return float(json.loads(done.stdout))


def main() -> None:
    """Runs the same batch over and over for the time, after a tenth of it that does not count."""
    from benchmarks.speed.peers.common.network import Network

    core, model, *shape, seconds = sys.argv[1:]
    os.sched_setaffinity(0, [int(core)])
    network = Network(Path(model))
    windows = np.random.default_rng(0).normal(size=tuple(map(int, shape)))
    warm = time.monotonic() + float(seconds) / 10
    while time.monotonic() < warm:
        network.run(windows)
    runs, began = 0, time.monotonic()
    while (now := time.monotonic()) < began + float(seconds):
        network.run(windows)
        runs += 1
    print(json.dumps(runs * len(windows) / (now - began)))


if __name__ == "__main__":
    main()
