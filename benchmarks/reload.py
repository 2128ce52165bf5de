"""What it costs that models change while the service runs: docs/operations/models.md has the figures.

    python -m benchmarks.reload [ROUNDS]

The embedded model is published again and again under other version numbers and names, in a store of its own.
"""

import ctypes
import gc
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from detector import ModelStore
from detector.artefact import Artefact, load_golden, open_artefact
from detector.onnx_runtime import OnnxRuntime
from detector.windows import Batch
from service.measuring.metrics import Metrics
from service.models.networks import Networks, cost_of

MODEL = "pump-loop"
BATCH = 256
MODELS, BUDGET_MB = 50, 128.0
_numbers = itertools.count(1000)


def publish(store: Path, name: str, version: int) -> None:
    """The embedded model under another name and number, whole at once."""
    aside = store / f".new-{next(_numbers)}"
    shutil.copytree(ModelStore(Path("models")).folder(MODEL), aside)
    manifest = json.loads((aside / "manifest.json").read_bytes())
    (aside / "manifest.json").write_text(json.dumps({**manifest, "name": name, "version": version}))
    (store / name).mkdir(exist_ok=True)
    aside.rename(store / name / str(version))


@contextmanager
def serving(store: Path, state: Path, **variables: str) -> Iterator[tuple[str, psutil.Process]]:
    """`offnormal serve`, ready. Yields its address and process."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cli.main",
            "serve",
            "--port",
            "0",
            "--models",
            str(store),
            "--state",
            str(state),
        ],
        env={**os.environ, **variables, "OFFNORMAL_LOG_LEVEL": "error"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    try:
        while "documentation: " not in said:
            line = process.stderr.readline() if process.stderr else ""
            if not line:
                raise SystemExit(said)
            said += line
        url = re.search(r"http://[\d.]+:\d+", said)
        yield (url[0] if url else ""), psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def network_cost() -> None:
    """Memory of one network, by itself and once it has run full batches, beside what it is charged."""
    artefact = open_artefact(ModelStore(Path("models")).folder(MODEL))
    networks = Networks(OnnxRuntime, 1, BATCH, float("inf"), Metrics())
    process = psutil.Process()
    full = full_batch(artefact)
    networks.of(artefact).run(full)
    count = 30
    start = held(process)
    opened = [networks.of(artefact) for _ in range(count)]
    fresh = process.memory_info().rss
    for network in opened:
        network.run(full)
    used = process.memory_info().rss
    print(
        f"a network: {(fresh - start) / count / 1e6:.1f} MB when opened, "
        f"{(used - start) / count / 1e6:.1f} MB after a batch of {BATCH} windows; "
        f"charged {cost_of(artefact, BATCH) / 1e6:.1f} MB"
    )


def reloads(folder: Path, rounds: int) -> None:
    """Time of a reload, latency of answers meanwhile, memory after many."""
    store = folder / "models"
    store.mkdir()
    publish(store, MODEL, 1)
    window = twin_window()
    variables = {"OFFNORMAL_MODELS_POLL_S": "0", "OFFNORMAL_VERSIONS_PER_MODEL": "1"}
    with serving(store, folder / "state", **variables) as (url, process):
        quiet, meanwhile, took, memory = [], [], [], []
        reloading, done = threading.Event(), threading.Event()

        def call() -> None:
            with httpx.Client(base_url=url) as client:
                while not done.is_set():
                    during = reloading.is_set()
                    started = time.perf_counter()
                    client.post("/classify", json={"window": window}).raise_for_status()
                    (meanwhile if during else quiet).append(time.perf_counter() - started)
                    time.sleep(0.002)

        thread = threading.Thread(target=call)
        thread.start()
        with httpx.Client(base_url=url, timeout=60) as client:
            for version in range(2, rounds + 2):
                publish(store, MODEL, version)
                time.sleep(0.1)
                reloading.set()
                started = time.perf_counter()
                client.post("/models/reload").raise_for_status()
                took.append(time.perf_counter() - started)
                reloading.clear()
                memory.append((process.memory_info().rss, process.num_threads(), process.num_fds()))
        done.set()
        thread.join()
    warm = rounds // 4
    print(f"a reload: {milliseconds(took)}")
    for name, times in (("no reload", quiet), ("a reload under way", meanwhile)):
        print(f"an answer with {name}: {milliseconds(times)}; none refused")
    for index, what in enumerate(("MB", "threads", "descriptors")):
        scale = 1e6 if index == 0 else 1
        first, last = memory[warm][index] / scale, memory[-1][index] / scale
        print(f"after {warm} and {rounds} reloads: {first:.0f}, {last:.0f} {what}")


def switching(folder: Path, rounds: int) -> None:
    """From the request to roll back to the first answer of the other version, by either of two workers."""
    store = folder / "models"
    store.mkdir()
    for version in (1, 2):
        publish(store, MODEL, version)
    window = twin_window()
    with serving(store, folder / "state", OFFNORMAL_WORKERS="2") as (url, _):
        took = []
        with httpx.Client(base_url=url) as first, httpx.Client(base_url=url) as second:
            for k in range(rounds):
                version = 1 + k % 2
                started = time.perf_counter()
                first.put(f"/models/{MODEL}/live", json={"version": version}).raise_for_status()
                for client in (first, second):
                    while (
                        client.post("/classify", json={"window": window}).json()["model"]["version"]
                        != version
                    ):
                        time.sleep(0.002)
                took.append(time.perf_counter() - started)
    print(f"a roll-back until both workers answer so: {milliseconds(took)}")


def many() -> None:
    """Memory of many models' networks on a budget and without one, each having run a full batch."""
    artefact = open_artefact(ModelStore(Path("models")).folder(MODEL))
    process = psutil.Process()
    for budget_mb in (BUDGET_MB, float("inf")):
        networks = Networks(OnnxRuntime, 1, BATCH, budget_mb * 1e6, Metrics())
        networks.of(artefact).run(full_batch(artefact))
        before = held(process)
        made = [networks.of(artefact) for _ in range(MODELS)]
        most = 0
        for network in made:
            network.run(full_batch(artefact))
            most = max(most, process.memory_info().rss)
        print(
            f"{MODELS} networks on {budget_mb:g} MB: {sum(network.is_open for network in made)} in memory, "
            f"{(most - before) / 1e6:.0f} MB at most"
        )
        made[0].close()
        started = time.process_time()
        made[0].run(load_golden(artefact).batch)
        print(f"opening one again: {(time.process_time() - started) * 1e3:.0f} ms of processor time")


def held(process: psutil.Process) -> int:
    """Bytes in memory, without those that were only not given back yet."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(process.memory_info().rss)


def full_batch(artefact: Artefact) -> Batch:
    """As many windows as are run at once."""
    golden = load_golden(artefact).batch
    arrays = (golden.readings, golden.observed, golden.lengths, golden.center, golden.scale)
    return Batch(*(np.resize(array, (BATCH, *array.shape[1:])) for array in arrays))


def milliseconds(times: list[float]) -> str:
    """Of times in seconds."""
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return f"{p50:.1f} ms median, {p99:.1f} ms p99, {max(times) * 1e3:.1f} ms at most, of {len(times)}"


def twin_window() -> list[list[float]]:
    """A window of the embedded model."""
    golden = load_golden(open_artefact(ModelStore(Path("models")).folder(MODEL))).batch
    rows: list[list[float]] = np.nan_to_num(golden.readings[0, : golden.lengths[0]]).astype(float).tolist()
    return rows


def main(rounds: int = 60) -> None:
    network_cost()
    many()
    for measure in (reloads, switching):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
