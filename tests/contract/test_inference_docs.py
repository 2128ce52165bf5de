"""What docs/api.md shows of the Open Inference Protocol, run as it is printed; only the ports are others."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.contract.app import until
from tests.contract.inference import OUTPUTS, free_port
from tests.e2e.server import ROOT, Server, serving

API = (ROOT / "docs" / "api.md").read_text()
SECTION = API.partition("## Open Inference Protocol")[2].partition("\n## ")[0]
FIRST_COMMANDS = re.findall(r"```sh\n(.*?)```", API, re.DOTALL)[0]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    port = free_port()
    state = tmp_path_factory.mktemp("state")
    with serving(ROOT / "models", state, OFFNORMAL_GRPC_PORT=str(port)) as server:
        until(lambda: "examples" in classify_body(server))  # a busy machine goes without for a while
        yield server, port


def classify_body(server: Server) -> dict[str, Any]:
    """What the service says of bodies for /classify."""
    described = httpx.get(f"{server.url}/openapi.json", timeout=30).json()
    found: dict[str, Any] = described["paths"]["/classify"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    return found


def test_commands_print_an_answer(service: tuple[Server, int], tmp_path: Path) -> None:
    server, _ = service
    (commands,) = blocks("sh")
    first = FIRST_COMMANDS.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", first + commands],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer.get("model_name") == "pump-loop", answer
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert tuple(found) == OUTPUTS
    assert found["verdict"] == ["normal"]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_python_prints_a_verdict(
    service: tuple[Server, int], way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server, port = service
    windows = np.array([classify_body(server)["examples"]["shorthand"]["value"]["window"]])
    (code,) = (block for block in blocks("python") if f"tritonclient import {way}" in block)
    address = server.url.removeprefix("http://")
    code = code.replace("127.0.0.1:8000", address).replace("127.0.0.1:8001", f"127.0.0.1:{port}")
    exec(code, {"windows": windows})
    assert capsys.readouterr().out.startswith("[b'normal'] [0.")
