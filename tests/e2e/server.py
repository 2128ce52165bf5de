"""A real server process on a free port."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_S = 60.0


class Server:
    """`offnormal serve` with its output as it comes."""

    def __init__(self, *options: str, module: str = "cli.main", **variables: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFNORMAL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", *options],
            cwd=ROOT,
            env={**environment, **variables, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=lambda s=stream, k=lines: k.extend(s), daemon=True).start()

    def until_ready(self) -> "Server":
        """Waits for the announcement, which comes once models are loaded."""
        limit = time.monotonic() + START_S
        while not self.said("documentation: "):
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < limit, self.stderr
            time.sleep(0.02)
        return self

    def said(self, words: str) -> bool:
        return words in self.stderr

    @property
    def stderr(self) -> str:
        return "".join(self.err)

    @property
    def url(self) -> str:
        found = re.search(r"https?://[\w.\[\]:]+\d", self.stderr)
        assert found, self.stderr
        return found[0]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(30)


@contextmanager
def serving(store: Path, state: Path, **variables: str) -> Iterator[Server]:
    """A server that is ready; killed at the end if it still runs."""
    server = Server("--port", "0", "--models", str(store), "--state", str(state), **variables)
    try:
        yield server.until_ready()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)
