"""The servers that are compared: how each is started, asked, and its answer read."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.environments import python_of
from benchmarks.speed.load import Question
from benchmarks.speed.places import PEERS
from benchmarks.speed.processes import Command, free_ports
from detector.windows import Floats

OFFNORMAL, MLSERVER, LITSERVE, BENTOML = "offnormal", "mlserver", "litserve", "bentoml"
FASTAPI, EMPTY, RAY = "fastapi", "empty", "ray"
MLSERVER_UNBATCHED = "mlserver-unbatched"


@dataclass(frozen=True, slots=True)
class Server:
    """name: in results. title: for people. setup: what its own documentation advises and was done.

    peer: folder under `peers` and name of its environment; None for Offnormal, which runs in this one.
    question: one window (steps, sensors) as this server wants it. read: its answer, as (1 + classes,) like
    `peers.common.network.Network.answer`; None where it answers nothing about the window.
    """

    name: str
    title: str
    setup: str
    peer: str | None
    command: Callable[[Path, Path], Command]
    path: str
    body: Callable[[Floats], bytes]
    read: Callable[[bytes], Floats] | None = None

    def question(self, windows: Sequence[Floats]) -> Question:
        return Question(self.path, [self.body(window) for window in windows])


def _environment(model: Path, port: int, **more: str) -> dict[str, str]:
    """This process's, without settings of Offnormal or of a peer, which would change what is measured."""
    foreign = ("OFFNORMAL_", "MLSERVER_", "BENTOML_", "LITSERVE_", "RAY_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "BENCH_MODEL": str(model),
        "BENCH_PORT": str(port),
        "PYTHONPATH": str(PEERS / "common"),
        **more,
    }


def offnormal(workers: int = 1) -> Callable[[Path, Path], Command]:
    """Its own defaults, except that it does not log each request, which the peers do not either."""

    def command(model: Path, folder: Path) -> Command:
        (port,) = free_ports(1)
        environment = _environment(model, port, OFFNORMAL_LOG_LEVEL="warning")
        del environment["PYTHONPATH"]
        return Command(
            [
                str(Path(sys.executable).parent / "offnormal"),
                "serve",
                *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
                *("--models", str(model.parent.parent), "--state", str(folder / "state")),
            ],
            environment,
            folder,
            port,
            ready="/readyz",
            stop=signal.SIGINT,
        )

    return command


def _script(peer: str, ready: str) -> Callable[[Path, Path], Command]:
    def command(model: Path, folder: Path) -> Command:
        (port,) = free_ports(1)
        more = {"RAY_USAGE_STATS_ENABLED": "0"} if peer == RAY else {}
        return Command(
            [str(python_of(peer)), str(PEERS / peer / "serve.py")],
            _environment(model, port, **more),
            folder,
            port,
            ready,
        )

    return command


def _bentoml(model: Path, folder: Path) -> Command:
    (port,) = free_ports(1)
    words = ["-m", "bentoml", "serve", "service:Classify", "--host", "127.0.0.1", "--port", str(port)]
    environment = _environment(model, port, BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(folder / "home"))
    environment["PYTHONPATH"] += f":{PEERS / BENTOML}"
    return Command(
        [str(python_of(BENTOML)), *words, "--working-dir", str(PEERS / BENTOML)],
        environment,
        folder,
        port,
        ready="/readyz",
    )


def _mlserver(batching: bool) -> Callable[[Path, Path], Command]:
    def command(model: Path, folder: Path) -> Command:
        port, grpc, metrics = free_ports(3)
        settings = json.loads((PEERS / MLSERVER / "model-settings.json").read_text())
        if not batching:
            settings |= {"max_batch_size": 0, "max_batch_time": 0.0}
        (folder / "model-settings.json").write_text(json.dumps(settings))
        environment = _environment(
            model,
            port,
            MLSERVER_HOST="127.0.0.1",
            MLSERVER_HTTP_PORT=str(port),
            MLSERVER_GRPC_PORT=str(grpc),
            MLSERVER_METRICS_PORT=str(metrics),
            MLSERVER_DEBUG="false",
            MLSERVER_PARALLEL_WORKERS=str(MLSERVER_WORKERS),
        )
        environment["PYTHONPATH"] += f":{PEERS / MLSERVER}"
        return Command(
            [str(python_of(MLSERVER).with_name("mlserver")), "start", "."],
            environment,
            folder,
            port,
            ready="/v2/models/classify/ready",
        )

    return command


MLSERVER_WORKERS = 1


def window_body(window: Floats) -> bytes:
    """`{"window": rows}`: the same bytes for Offnormal, plain FastAPI, LitServe and Ray Serve."""
    return json.dumps({"window": window.tolist()}).encode()


def explained_body(window: Floats) -> bytes:
    return json.dumps({"window": window.tolist(), "explain": True}).encode()


def windows_body(windows: Floats) -> bytes:
    return json.dumps({"windows": [{"values": window.tolist()} for window in windows]}).encode()


def npy_body(windows: Floats) -> bytes:
    file = io.BytesIO()
    np.save(file, windows)
    return file.getvalue()


def _v2_body(window: Floats) -> bytes:
    data = {
        "name": "window",
        "shape": [1, *window.shape],
        "datatype": "FP64",
        "data": window.ravel().tolist(),
    }
    return json.dumps({"inputs": [data]}).encode()


def _flat(answer: Any) -> Floats:
    return np.array([answer["reconstruction_error"], *answer["probabilities"]], np.float64)


def read_offnormal(body: bytes) -> Floats:
    (result,) = json.loads(body)["results"]
    return np.array([result["reconstruction_error"], *result["probabilities"].values()], np.float64)


def _read_flat(body: bytes) -> Floats:
    return _flat(json.loads(body))


def _read_v2(body: bytes) -> Floats:
    return np.array(json.loads(body)["outputs"][0]["data"], np.float64)


def _read_rows(body: bytes) -> Floats:
    return np.array(json.loads(body)[0], np.float64)


_PLAIN = _script(FASTAPI, "/ready")

SERVERS: dict[str, Server] = {
    server.name: server
    for server in [
        Server(
            OFFNORMAL,
            "Offnormal",
            "`offnormal serve` with its defaults: validation, calibrated probabilities, p-value, quality and "
            "metrics. It does not log each request, as none of the others does.",
            None,
            offnormal(),
            "/classify",
            window_body,
            read_offnormal,
        ),
        Server(
            MLSERVER,
            "MLServer",
            "[A custom runtime](https://docs.seldon.ai/mlserver/user-guide/custom), one inference worker "
            "(its default, and as many as there are cores), "
            "[adaptive batching](https://docs.seldon.ai/mlserver/user-guide/adaptive-batching) of up to 16 "
            "requests within 1 ms.",
            MLSERVER,
            _mlserver(batching=True),
            "/v2/models/classify/infer",
            _v2_body,
            _read_v2,
        ),
        Server(
            MLSERVER_UNBATCHED,
            "MLServer without batching",
            "The same without adaptive batching, which is its default.",
            MLSERVER,
            _mlserver(batching=False),
            "/v2/models/classify/infer",
            _v2_body,
            _read_v2,
        ),
        Server(
            LITSERVE,
            "LitServe",
            "One worker on the CPU, [batches](https://lightning.ai/docs/litserve/features/batching) of up "
            "to 16 requests within 1 ms, and `fast_queue`, which it advises above 100 requests/s.",
            LITSERVE,
            _script(LITSERVE, "/health"),
            "/classify",
            window_body,
            _read_flat,
        ),
        Server(
            BENTOML,
            "BentoML",
            "One worker, [adaptive batching](https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html)"
            " of up to 16 requests; arrays in and out.",
            BENTOML,
            _bentoml,
            "/classify",
            lambda window: json.dumps({"windows": [window.tolist()]}).encode(),
            _read_rows,
        ),
        Server(
            FASTAPI,
            "plain FastAPI",
            "[A pydantic body](https://fastapi.tiangolo.com/tutorial/body/) of lists, an array made of them, "
            "ONNX Runtime, a pydantic answer; uvicorn with uvloop and httptools.",
            FASTAPI,
            _PLAIN,
            "/classify",
            window_body,
            _read_flat,
        ),
        Server(
            EMPTY,
            "empty FastAPI route",
            "The same application and body, and a route that ignores it: the floor of the stack.",
            FASTAPI,
            _PLAIN,
            "/empty",
            window_body,
        ),
        Server(
            RAY,
            "Ray Serve",
            "One replica, [batches](https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html) "
            "of up to 16 requests within 1 ms. Only with `--ray`.",
            RAY,
            _script(RAY, "/-/healthz"),
            "/classify",
            window_body,
            _read_flat,
        ),
    ]
}
