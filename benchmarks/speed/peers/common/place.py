"""What the benchmark tells a peer: which model, which port."""

import os
from pathlib import Path


def model() -> Path:
    return Path(os.environ["BENCH_MODEL"])


def port() -> int:
    return int(os.environ["BENCH_PORT"])
