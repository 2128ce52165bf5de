"""Where the benchmark's files are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
# Environments of the peers and models to be served: made anew when they are gone.
CACHE = ROOT / "benchmarks" / ".peers"
MODELS = CACHE / "models"
RESULTS = ROOT / "benchmarks" / "results" / "speed"
PAGE = ROOT / "docs" / "benchmarks.md"
