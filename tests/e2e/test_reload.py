"""Models change under real servers: every worker follows, nothing is lost, nothing grows."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.contract.app import faulty, rows, until
from tests.e2e.server import ROOT, Server, serving
from tests.e2e.test_workers import one_caller_each, read, scrape, value, workers
from tests.publishing import append, publish

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc to look into")


@pytest.fixture
def two(tiny_store: Path, tmp_path: Path) -> Iterator[Server]:
    """Two workers that look at the store only when somebody asks."""
    with workers(2, tiny_store, tmp_path / "state", OFFNORMAL_MODELS_POLL_S="0") as server:
        yield server


def command(server: Server, *words: str) -> str:
    """The output of `offnormal …` against a server; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *words, "--url", server.url],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def version_by(ask: Callable[..., httpx.Response]) -> int:
    number: int = ask("POST", "/classify", json={"window": rows()}).json()["model"]["version"]
    return number


def test_reload_that_one_worker_was_asked_for_reaches_the_others(two: Server, tiny_store: Path) -> None:
    with one_caller_each(two) as callers:
        assert [version_by(caller.ask) for caller in callers.values()] == [2, 2]
        publish(tiny_store, 3)
        first, second = callers.values()
        changed = first.ask("POST", "/models/reload").json()["changes"]
        assert [(change["version"], change["change"]) for change in changed] == [(3, "loaded")]
        assert version_by(first.ask) == 3
        until(lambda: version_by(second.ask) == 3, timeout_s=5)
        publish(tiny_store, 4, harm=append)
        second.ask("POST", "/models/reload")
        for caller in callers.values():
            until(
                lambda caller=caller: (
                    caller.ask("GET", "/models").json()["models"][0]["versions"][0]["state"] == "refused"
                )
            )
            assert version_by(caller.ask) == 3


def test_roll_back_is_one_command_and_every_worker_follows_within_a_second(
    two: Server, record_property: Callable[[str, object], None]
) -> None:
    with one_caller_each(two) as callers:
        body = {"version": 1}
        started = time.monotonic()
        next(iter(callers.values())).ask("PUT", "/models/tiny/live", json=body)
        for caller in callers.values():
            until(lambda caller=caller: version_by(caller.ask) == 1)
        took = time.monotonic() - started
        record_property("seconds until every worker had rolled back", round(took, 3))
        assert took < 1.0
        assert "version 2 answers (chosen), before it was 1" in command(two, "promote", "tiny@2")
        until(lambda: {version_by(caller.ask) for caller in callers.values()} == {2}, timeout_s=1.0)
        assert "version 1 answers (chosen), before it was 2" in command(two, "rollback", "tiny")
        until(lambda: {version_by(caller.ask) for caller in callers.values()} == {1}, timeout_s=1.0)


def test_worker_that_is_started_anew_answers_with_the_version_that_was_chosen(two: Server) -> None:
    command(two, "rollback", "tiny")
    with one_caller_each(two) as callers:
        psutil.Process(next(iter(callers))).kill()
    until(lambda: two.said("is ready again"))
    with one_caller_each(two) as callers:
        assert [version_by(caller.ask) for caller in callers.values()] == [1, 1]


def test_challenger_of_several_workers_is_compared_and_promoted_by_commands(
    two: Server, tiny_store: Path
) -> None:
    command(two, "promote", "tiny@2")
    publish(tiny_store, 3, source=1)
    httpx.post(two.url + "/models/reload")
    assert "version 3 is tried beside it" in command(two, "challenge", "tiny@3")
    pair = {"model": "tiny", "version": "2", "challenger": "3"}

    def judged() -> float:
        return sum(
            count
            for (name, labels), count in scrape(two).items()
            if name == "offnormal_challenger_windows_total" and frozenset(pair.items()) <= labels
        )

    with one_caller_each(two) as callers:

        def loaded(ask: Callable[..., httpx.Response]) -> bool:
            shown = ask("GET", "/models").json()["models"][0]
            return shown["challenger"] == 3 and shown["versions"][0]["state"] == "ready"

        for caller in callers.values():
            until(lambda caller=caller: loaded(caller.ask))
            body = {"windows": [{"values": rows()}] * 20 + [{"values": faulty()}] * 10}
            assert caller.ask("POST", "/classify", json=body).status_code == 200
    until(lambda: judged() == 60)
    shown = command(two, "compare", "tiny")
    assert "version 2 and its challenger, version 3" in shown
    assert "of 60 windows" in shown
    assert value(scrape(two), "offnormal_challenger_score_difference_count", **pair) == 60
    assert "version 3 answers (chosen), before it was 2" in command(two, "promote", "tiny")
    assert "version 2 answers (chosen), before it was 3" in command(two, "rollback", "tiny")
    assert "the newest good one" in command(two, "promote", "tiny", "--newest")


def test_switch_under_load_loses_no_request(tiny_store: Path, tmp_path: Path) -> None:
    variables = {"OFFNORMAL_MODELS_POLL_S": "0.2", "OFFNORMAL_VERSIONS_PER_MODEL": "1"}
    with workers(2, tiny_store, tmp_path / "state", **variables) as server:
        done = threading.Event()
        answers: list[tuple[int, int]] = []
        failed: list[str] = []

        def call() -> None:
            with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:
                while not done.is_set():
                    answer = client.post("/classify", json={"window": rows()})
                    if answer.status_code == 200:
                        answers.append((answer.status_code, answer.json()["model"]["version"]))
                    else:
                        failed.append(answer.text)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(3, 9):
            publish(tiny_store, number)
            until(lambda number=number: {version for _, version in answers[-8:]} == {number})
        done.set()
        for thread in threads:
            thread.join(30)
        assert failed == []
        assert {version for _, version in answers} == set(range(2, 9))


def test_memory_threads_and_descriptors_do_not_grow_over_reloads(
    tiny_store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The same version number, one whole artefact after the other: each is loaded, switched to and let go."""
    rounds, warm = 60, 15

    def name(k: int) -> Callable[[dict], None]:
        # Two manifests in turn: each is another artefact, and the series of the metrics stay the same.
        return lambda manifest: manifest.update(created=f"2026-01-0{1 + k % 2}T00:00:00+00:00")

    with (
        serving(
            tiny_store, tmp_path / "state", OFFNORMAL_MODELS_POLL_S="0", OFFNORMAL_VERSIONS_PER_MODEL="1"
        ) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        client.put("/assets/P/baseline", json={"values": rows(100)})
        process = psutil.Process(server.process.pid)
        seen: list[tuple[int, int, int]] = []
        took: list[float] = []
        body = {"windows": [{"asset": "P", "values": rows()}] * 64}
        for k in range(rounds):
            publish(tiny_store, 2, edit=name(k))
            started = time.monotonic()
            (change,) = client.post("/models/reload").json()["changes"]
            took.append(time.monotonic() - started)
            assert change["change"] == "loaded"
            for _ in range(3):
                assert client.post("/classify", json=body).json()["results"][0]["baseline"] == "asset"
            seen.append((process.memory_info().rss, process.num_threads(), process.num_fds()))
        memory = [rss / 1e6 for rss, _, _ in seen]
        record_property(
            "megabytes after warming up, and at the end", [round(memory[warm]), round(memory[-1])]
        )
        record_property("median seconds of a reload", round(sorted(took)[rounds // 2], 3))
        # 45 reloads that each kept their network would take 45 × 0.5 MB and more.
        assert memory[-1] < memory[warm] + 12
        assert max(threads for _, threads, _ in seen[warm:]) <= seen[warm][1] + 2
        assert max(files for _, _, files in seen[warm:]) <= seen[warm][2] + 2
        samples = read(client.get("/metrics").text)
        assert value(samples, "offnormal_networks") <= 4
