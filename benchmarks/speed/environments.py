"""A Python environment for each peer, of its own pinned versions."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.places import CACHE, PEERS

_STAMP = ".installed"
_LIMIT_S = 600.0


class NotInstalled(Exception):
    """A peer's environment could not be made."""


def python_of(peer: str) -> Path:
    return CACHE / peer / "bin" / "python"


def is_installed(peer: str) -> bool:
    stamp = CACHE / peer / _STAMP
    return stamp.is_file() and stamp.read_text() == _wanted(peer)


def install(peer: str, say: Callable[[str], None]) -> None:
    """Make the peer's environment, unless it is there as wanted. Raises NotInstalled."""
    if is_installed(peer):
        return
    folder = CACHE / peer
    requirements = str(PEERS / peer / "requirements.txt")
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    say(f"Installing {peer}")
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python_of(peer)), "-r", requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python_of(peer)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "-r", requirements])
    (folder / _STAMP).write_text(_wanted(peer))


def versions(peer: str) -> dict[str, str]:
    """What the requirements pin, by name."""
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    pins = [line.strip().partition("==") for line in lines if line.strip() and not line.startswith("#")]
    return {name: version for name, _, version in pins}


def _wanted(peer: str) -> str:
    known = (PEERS / peer / "requirements.txt").read_bytes() + sys.version.encode()
    return hashlib.sha256(known).hexdigest()


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise NotInstalled(" ".join(lines[-3:]))
