"""examples/typescript: types generated from what the service says of itself, compiled strictly, and run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, serving

# Compilers take seconds alone, and minutes on a machine that is busy.
pytestmark = pytest.mark.timeout(900)
EXAMPLE = ROOT / "examples" / "typescript"


@pytest.fixture(scope="module")
def server(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained_store, tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.fixture(scope="module")
def project(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, its libraries installed, beside the description of the running service."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", "tsconfig.json", "example.ts"):
        shutil.copy(EXAMPLE / name, folder)
    if (EXAMPLE / "node_modules").is_dir():
        (folder / "node_modules").symlink_to(EXAMPLE / "node_modules")
    else:
        installed = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        if installed.returncode != 0:
            pytest.skip(f"npm cannot install the example's libraries: {installed.stderr[-300:]}")
    (folder / "openapi.json").write_text(server.get("/openapi.json").text)
    return folder


def npm(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["npm", "run", "--silent", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_types_are_generated_compile_strictly_and_the_example_runs(project: Path, server: Server) -> None:
    npm(project, "generate")
    types = (project / "offnormal.d.ts").read_text()
    assert 'verdict: "anomalous" | "cannot_judge" | "normal"' in types
    assert re.search(r"\bclassify: \{", types)
    assert (
        "Record<string, never>;"
        not in types.partition("export interface components")[2].partition("responses: never")[0]
    )
    npm(project, "check")
    printed = npm(project, "start", "--", server.url).splitlines()
    assert len(printed) == 3
    assert re.fullmatch(r"steady: (normal|anomalous), p = [01]\.\d{4}, most by \w+", printed[0])
    assert re.fullmatch(r"shifted: anomalous, p = 0\.\d{4}, most by Pressure", printed[1])
    assert re.fullmatch(r"by tiny 2 \([0-9a-f]{64}\)", printed[2])


def test_misspelt_field_does_not_compile(project: Path) -> None:
    if not (project / "offnormal.d.ts").exists():
        npm(project, "generate")
    example = project / "example.ts"
    text = example.read_text()
    example.write_text(text.replace("verdict}, p", "verdct}, p"))
    try:
        with pytest.raises(AssertionError, match="Property 'verdct' does not exist"):
            npm(project, "check")
    finally:
        example.write_text(text)
