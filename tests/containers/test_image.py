"""The image `service`: what is in it, and how it runs without any compose file."""

import json
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.containers import windows
from tests.containers.engine import IMAGE, ROOT, Demo, docker, free_port, inspect, run, wait_until

MEGABYTE = 1_000_000
CONFINED = ("--read-only", "--cap-drop", "ALL", "--user", "10001", "--tmpfs", "/tmp")

FOREIGN_MODULES = [
    *("pip", "setuptools", "wheel", "ensurepip", "hatchling", "editables"),
    *("tensorflow", "keras", "onnx", "scipy", "sklearn", "matplotlib", "polars"),
    *("pytest", "hypothesis", "mypy", "tests"),
]
FOREIGN_COMMANDS = ["pip", "pip3", "gcc", "cc", "g++", "c++", "clang", "ld", "as", "make"]

# Modules, commands and folders that have no place in the image.
FOREIGN = f"""
from importlib.util import find_spec
from pathlib import Path
from shutil import which
import sysconfig
print([module for module in {FOREIGN_MODULES} if find_spec(module)])
print([command for command in {FOREIGN_COMMANDS} if which(command)])
print([str(path) for path in Path(sysconfig.get_paths()["purelib"]).rglob("tests") if path.is_dir()])
"""

# Distributions that nothing requires, following what offnormal requires.
NEEDLESS = """
import re
from importlib.metadata import distributions
from json import dumps
key = lambda name: re.sub(r"[-_.]+", "-", name).lower()
installed = {key(d.metadata["Name"]): d for d in distributions()}
needed, queue = set(), ["offnormal"]
while queue:
    name = queue.pop()
    if name in needed or name not in installed:
        continue
    needed.add(name)
    for requirement in installed[name].requires or ():
        if "extra ==" not in requirement:
            queue.append(key(re.match(r"[\\w.-]+", requirement)[0]))
print(dumps(sorted(set(installed) - needed)))
"""


@pytest.fixture(scope="module")
def image(demo: Demo) -> str:
    """As the demo has built it."""
    return IMAGE


def python(image: str, program: str) -> str:
    return docker(
        "run", "--rm", "--network", "none", *CONFINED, "--entrypoint", "python", image, "-c", program
    )


@contextmanager
def container(image: str, *options: str) -> Iterator[tuple[str, str]]:
    """A confined container of the image, and the URL of its port."""
    port = free_port()
    name = docker("run", "-d", *CONFINED, "-p", f"127.0.0.1:{port}:8000", *options, image).strip()
    try:
        yield name, f"http://127.0.0.1:{port}"
    finally:
        docker("rm", "-f", "-v", name)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_image_brings_a_bill_of_what_it_is_made_of(image: str):
    bill = json.loads(python(image, "print(open('/opt/offnormal/sbom.cdx.json').read())"))
    listed = {part["name"].lower(): part["version"] for part in bill["components"]}
    program = "from importlib.metadata import distributions; import json; "
    program += "print(json.dumps({d.metadata['Name'].lower(): d.version for d in distributions()}))"
    installed = json.loads(python(image, program))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "offnormal"
    assert installed.pop("offnormal") == bill["metadata"]["component"]["version"]
    assert listed == installed
    assert "numpy" in listed


def test_image_is_small(image: str) -> None:
    assert inspect(image)["Size"] < 350 * MEGABYTE


def test_image_adds_little_to_its_base(image: str) -> None:
    lines = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    own = 0
    for line in lines.splitlines():
        size, made_by = line.split("\t", 1)
        own += int(size)
        if "groupadd" in made_by:  # the first instruction above the base
            break
    else:
        pytest.fail(f"where does the base end?\n{lines}")
    assert 50 * MEGABYTE < own < 180 * MEGABYTE


def test_image_has_no_tools_tests_or_training_libraries(image: str) -> None:
    assert python(image, FOREIGN).split() == ["[]", "[]", "[]"]


def test_image_has_only_packages_that_offnormal_requires(image: str) -> None:
    assert json.loads(python(image, NEEDLESS)) == []


def test_image_names_itself_by_the_keys_of_oci(image: str) -> None:
    labels = inspect(image)["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert {"title", "description", "revision", "created"} <= {
        key.removeprefix("org.opencontainers.image.") for key in labels
    }


def test_image_says_how_it_is_run(image: str) -> None:
    config = inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["offnormal"]
    assert config["Cmd"][0] == "serve"
    assert config["StopSignal"] == "SIGTERM"
    assert "8000/tcp" in config["ExposedPorts"]
    assert "/readyz" in " ".join(config["Healthcheck"]["Test"])


def test_image_serves_its_embedded_model_read_only_and_without_capabilities(image: str) -> None:
    with container(image, "-e", "OFFNORMAL_ALLOW_ANONYMOUS=true", "--health-interval", "1s") as (name, url):
        wait_until(lambda: ready(url), 30, lambda: docker("logs", name))
        answer = httpx.post(f"{url}/classify", json=windows.request(), timeout=10)
        assert answer.status_code == 200, answer.text

        def health() -> str:
            status: str = inspect(name)["State"]["Health"]["Status"]
            return status

        wait_until(lambda: health() == "healthy", 20, lambda: json.dumps(inspect(name)["State"]["Health"]))


def test_image_obeys_sigterm(image: str) -> None:
    with container(image, "-e", "OFFNORMAL_ALLOW_ANONYMOUS=true") as (name, url):
        wait_until(lambda: ready(url), 30, lambda: docker("logs", name))
        start = time.monotonic()
        docker("stop", "--time", "20", name)
        assert time.monotonic() - start < 5
        assert inspect(name)["State"]["ExitCode"] == 0


def test_image_does_not_listen_to_a_network_without_keys(image: str) -> None:
    with container(image) as (name, _):
        code = docker("wait", name).strip()
        assert code not in {"", "0"}
        said = run(("sh", "-c", f"docker logs {name} 2>&1"), 30)
        assert "OFFNORMAL_KEYS_FILE" in said


def test_embedded_model_proves_itself_in_the_image(image: str) -> None:
    """Hashes are compared and golden windows replayed, with the libraries that the image has."""
    shown = docker("run", "--rm", "--network", "none", *CONFINED, image, "inspect", windows.MODEL)
    assert windows.MODEL in shown
