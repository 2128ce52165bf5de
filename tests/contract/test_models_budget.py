"""More models than memory is given for: those used longest ago are closed, and opened again on demand."""

import threading
from pathlib import Path

import pytest

from detector.artefact import open_artefact
from detector.windows import Batch
from service.models.networks import cost_of
from service.settings import MEGABYTE, Settings
from tests.contract.app import CheckedClient, gated, rows, running, settings_for, until
from tests.contract.test_operations import value
from tests.contract.test_reload import changes
from tests.publishing import append, publish

MODELS = 50


def budget_mb(store: Path, networks: float) -> float:
    """For so many networks of the tiny model."""
    batch_windows: int = Settings.model_fields["batch_windows"].default
    return networks * cost_of(open_artefact(store / "tiny" / "2"), batch_windows) / MEGABYTE


def in_memory(client: CheckedClient) -> set[str]:
    return {
        model["name"]
        for model in client.get("/models").json()["models"]
        for version in model["versions"]
        if version["in_memory"]
    }


def ask(client: CheckedClient, name: str, **headers: str) -> int:
    return client.post("/classify", json={"window": rows(), "model": name}, headers=headers).status_code


def test_fifty_models_answer_on_a_budget_for_ten(tiny_store: Path, tmp_path: Path) -> None:
    names = [f"pump-{k:02}" for k in range(MODELS)]
    for name in names:
        publish(tiny_store, 1, name=name)
    settings = settings_for(
        tiny_store, tmp_path / "state", models_mb=budget_mb(tiny_store, 10.5), versions_per_model=1
    )
    with running(settings) as client:
        assert len(client.get("/models").json()["models"]) == MODELS + 1
        for _ in range(2):
            for name in names:
                assert ask(client, name) == 200
                assert name in in_memory(client)
        assert len(in_memory(client)) == 10
        assert in_memory(client) == set(names[-10:])
        assert value(client, "offnormal_networks") == 10
        limit = value(client, "offnormal_network_bytes_limit")
        assert 0 < value(client, "offnormal_network_bytes") <= limit
        assert changes(client, "opened") >= 2 * MODELS - 10
        opened = changes(client, "opened")
        for name in names[-10:]:
            assert ask(client, name) == 200
        assert changes(client, "opened") == opened  # those used last are still there


def test_model_used_again_and_again_is_not_closed_for_one_that_is_used_once(
    tiny_store: Path, tmp_path: Path
) -> None:
    for k in range(6):
        publish(tiny_store, 1, name=f"pump-{k}")
    settings = settings_for(
        tiny_store, tmp_path / "state", models_mb=budget_mb(tiny_store, 2.5), versions_per_model=1
    )
    with running(settings) as client:
        for k in range(1, 6):
            assert ask(client, "pump-0") == 200
            assert ask(client, f"pump-{k}") == 200
            assert in_memory(client) == {"pump-0", f"pump-{k}"}


def test_request_waits_for_its_model_within_its_deadline_and_others_do_not(
    tiny_store: Path, tmp_path: Path
) -> None:
    publish(tiny_store, 1, name="slow")
    opened, armed = threading.Event(), threading.Event()

    def gate(batch: Batch) -> None:
        # The golden windows, when the network is opened again by its worker.
        if armed.is_set() and threading.current_thread().name == "offnormal slow/1":
            assert opened.wait(30)

    settings = settings_for(
        tiny_store, tmp_path / "state", models_mb=budget_mb(tiny_store, 1.5), versions_per_model=1
    )
    with running(settings, gated(gate)) as client:
        assert in_memory(client) == {"tiny"}
        armed.set()
        answer = client.post(
            "/classify", json={"window": rows(), "model": "slow"}, headers={"Request-Timeout": "0.3"}
        )
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
        assert ask(client, "tiny") == 200
        waiting: list[int] = []
        thread = threading.Thread(target=lambda: waiting.append(ask(client, "slow")))
        thread.start()
        opened.set()
        thread.join(20)
        assert waiting == [200]


def test_model_that_was_altered_while_it_was_closed_is_not_opened(tiny_store: Path, tmp_path: Path) -> None:
    publish(tiny_store, 1, name="other")
    settings = settings_for(
        tiny_store,
        tmp_path / "state",
        models_mb=budget_mb(tiny_store, 1.5),
        versions_per_model=1,
        models_poll_s=0,
    )
    with running(settings) as client:
        assert in_memory(client) == {"tiny"}
        append(tiny_store / "other" / "1")
        answer = client.post("/classify", json={"window": rows(), "model": "other"})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "altered" in answer.json()["detail"]
        assert ask(client, "tiny") == 200
        client.post("/models/reload")
        until(lambda: ask(client, "other") == 404)


@pytest.mark.parametrize("networks", [0.1, 1.5])
def test_budget_that_is_too_small_for_one_still_serves_one(
    tiny_store: Path, tmp_path: Path, networks: float
) -> None:
    settings = settings_for(tiny_store, tmp_path / "state", models_mb=budget_mb(tiny_store, networks))
    with running(settings) as client:
        for version in (1, 2, 1):
            answer = client.post("/classify", json={"window": rows(), "version": version})
            assert answer.json()["model"]["version"] == version
        assert value(client, "offnormal_networks") == 1
