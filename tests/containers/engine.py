"""A container engine, if there is one, and the demo that docker-compose.yml describes."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
ENGINE_VARIABLE = "OFFNORMAL_ENGINE"
IMAGE = "offnormal/service:local"
SERVICES = ("service", "plant", "prometheus", "grafana")
START_ENGINE_S = 300.0
BUILD_S = 540.0
COMMAND_S = 60.0


def starters() -> list[str]:
    """Scripts that start an engine, as OFFNORMAL_ENGINE names them, separated as in PATH."""
    return [script for script in os.environ.get(ENGINE_VARIABLE, "").split(os.pathsep) if script]


def start() -> None:
    """Run the scripts that start an engine, if any are named. Fails when there is none afterwards."""
    for script in starters():
        run([script], START_ENGINE_S)
    reason = why_none()
    assert reason is None, reason


def why_none() -> str | None:
    """Why containers cannot be run here, None if they can."""
    if shutil.which("docker") is None:
        reason = "there is no command docker"
    elif not _works("docker", "info"):
        reason = "no container engine answers `docker info`"
    elif compose_command() is None:
        reason = "there is neither `docker compose` nor docker-compose"
    else:
        return None
    return f"{reason}; start an engine, or name a script that does in {ENGINE_VARIABLE}"


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def compose_command() -> tuple[str, ...] | None:
    for command in (("docker", "compose"), ("docker-compose",)):
        if _works(*command, "version"):
            return command
    return None


def docker(*arguments: str, timeout: float = COMMAND_S) -> str:
    """Standard output of a docker command. Fails with its errors when it does."""
    return run(("docker", *arguments), timeout)


def run(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool], seconds: float, what: Callable[[], str]) -> float:
    """Seconds that it took. Fails with `what()` when it takes longer than `seconds`."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, f"not within {seconds:.0f} s: {what()}"
        time.sleep(0.2)
    return time.monotonic() - start


class Demo:
    """The containers of the unmodified docker-compose.yml, under a project name and on ports of their own."""

    def __init__(self) -> None:
        command = compose_command()
        assert command is not None
        self._command = (
            *command,
            "-p",
            f"offnormal-test-{os.getpid()}",
            "-f",
            str(ROOT / "docker-compose.yml"),
        )
        self.ports = {"service": free_port(), "prometheus": free_port(), "grafana": free_port()}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")},
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "GRAFANA_ADMIN_PASSWORD": "",
        }
        self.healthy_since = 0.0

    def compose(self, *arguments: str, timeout: float = COMMAND_S) -> str:
        return run((*self._command, *arguments), timeout, self._environment)

    def up(self, *options: str, within_s: float) -> float:
        """Seconds until everything was healthy, counted from when all containers had been started."""
        self.compose("up", "-d", *options, timeout=BUILD_S)
        took = wait_until(
            lambda: set(self.health().values()) == {"healthy"},
            within_s,
            lambda: f"{self.health()}{self.logs()}",
        )
        self.healthy_since = time.monotonic()
        return took

    def down(self) -> None:
        self.compose("down", "-v", "--remove-orphans", timeout=120)

    def container(self, service: str) -> str:
        """Id of the container of a service, running or not."""
        return self.compose("ps", "-a", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        return inspect(self.container(service))

    def health(self) -> dict[str, str]:
        """By service: `healthy`, `starting`, `unhealthy`, or `exited` and the like where it does not run."""
        found = {}
        for service in SERVICES:
            state = self.inspect(service)["State"]
            found[service] = state["Health"]["Status"] if state["Running"] else state["Status"]
        return found

    def exec(self, service: str, *command: str) -> str:
        return docker("exec", self.container(service), *command)

    def logs(self) -> str:
        return "\n" + self.compose("logs", "--no-color", "--tail=15")

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def get(self, service: str, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url(service) + path, timeout=10, **options)
