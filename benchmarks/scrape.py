"""What a scrape of /metrics costs with many models.

    python -m benchmarks.scrape [MODELS] [SENSORS] [ASSETS]

The models are made up; every asset has had an anomalous window, and every sensor has traffic between two
scrapes, which is the worst case.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Counter, generate_latest

from detector import Detector, ModelStore, Window
from detector.verdict import Ruling
from service.measuring.ledger import Ledger
from service.measuring.metrics import Metrics
from service.measuring.model_metrics import ModelMetrics

ROUNDS = 30


class _Wide:
    """As much of a detector as its metrics ask for, with as many sensors as wanted."""

    def __init__(self, real: Detector, number: int, sensors: int) -> None:
        known = real.manifest.sensors
        wide = [replace(known[i % len(known)], name=f"sensor-{i}") for i in range(sensors)]
        self.manifest = replace(real.manifest, name=f"model-{number}", sensors=wide)
        self.artefact, self.runtime, self.score_limit = real.artefact, real.runtime, real.score_limit


def main(models: int = 50, sensors: int = 300, assets: int = 200) -> None:
    """Print what rendering takes, and what the client library takes for as many counters."""
    real = Detector.load(ModelStore(Path("models")).folder("pump-loop"))
    rng = np.random.default_rng(0)
    shape = (real.manifest.window.steps, len(real.sensors))
    window = Window(real.manifest.center + real.manifest.scale * (5 + rng.normal(size=shape)))
    (verdict,) = real.judge([window])
    if verdict.ruling is not Ruling.ANOMALOUS:
        raise SystemExit("the window should be anomalous")
    ledger = Ledger()
    metrics = Metrics(most_assets=assets, ledger=ledger)
    moving = {f.name for f in (metrics.sensor_error, metrics.sensor_windows, metrics.drift, metrics.blame)}
    everything: list[ModelMetrics] = []
    for number in range(models):
        model = ModelMetrics(metrics, _Wide(real, number, sensors))  # type: ignore[arg-type]
        errors = rng.gamma(1.0, 1.0, (1, sensors))
        for asset in range(assets // models):
            model.judged([window], [f"P-{asset}"], [verdict], errors)
        everything.append(model)
    counting = []
    for _ in range(200):
        errors = rng.gamma(1.0, 1.0, (1, sensors))
        started = time.perf_counter()
        everything[0].judged([window], ["P-0"], [verdict], errors)
        counting.append((time.perf_counter() - started) * 1e6)
    took = []
    for _ in range(ROUNDS):
        for page in (ledger.own, ledger.common):
            for block in (block for block in page.blocks if block.metric in moving):
                cells = page.values(block)
                cells += rng.gamma(1.0, 100.0, len(cells))
        started = time.perf_counter()
        text = metrics.render()
        took.append((time.perf_counter() - started) * 1e3)
    lines = sum(not line.startswith(b"#") for line in text.splitlines())
    print(f"{models} models x {sensors} sensors, {assets} assets: {lines} series, {len(text) / 1e6:.1f} MB")
    print(
        f"first scrape {took[0]:.1f} ms, later median {statistics.median(took[1:]):.1f}, best {min(took):.1f}"
    )
    print(f"counting one anomalous window of {sensors} sensors: {statistics.median(counting):.0f} us")

    registry = CollectorRegistry()
    counter = Counter("peer", "The same number of series.", ("model", "version", "sensor"), registry=registry)
    for number in range(lines):
        counter.labels(f"model-{number // sensors}", "1", f"sensor-{number % sensors}").inc(number + 0.5)
    started = time.perf_counter()
    generate_latest(registry)
    print(f"prometheus_client, as many counters: {(time.perf_counter() - started) * 1e3:.0f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
