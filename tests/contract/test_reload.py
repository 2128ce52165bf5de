"""Models change while the service runs: picked up, refused, switched, rolled back."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detector.windows import Batch
from service.assets import Assets
from service.errors import StateUnavailable
from service.models import loading
from tests.contract.app import CheckedClient, classify, gated, rows, running, settings_for, until, verdict
from tests.contract.test_operations import value
from tests.publishing import (
    append,
    later_schema,
    make,
    other_golden,
    other_order,
    other_sensors,
    other_unit,
    publish,
    truncate,
)

POLL_S = 0.1


@pytest.fixture
def watching(tiny_store: Path, tmp_path: Path) -> Iterator[CheckedClient]:
    """A service that looks at its store all the time."""
    with running(settings_for(tiny_store, tmp_path / "state", models_poll_s=POLL_S)) as client:
        yield client


@pytest.fixture
def asked(tiny_store: Path, tmp_path: Path) -> Iterator[CheckedClient]:
    """A service that looks at its store only when it is told to."""
    with running(settings_for(tiny_store, tmp_path / "state", models_poll_s=0)) as client:
        yield client


def answering(client: httpx.Client, **fields: Any) -> int:
    """The version that answers."""
    number: int = client.post("/classify", json={"window": rows(), **fields}).json()["model"]["version"]
    return number


def model(client: CheckedClient, name: str = "tiny") -> dict[str, Any]:
    (found,) = [m for m in client.get("/models").json()["models"] if m["name"] == name]
    return found


def versions(client: CheckedClient) -> dict[int, dict[str, Any]]:
    return {version["version"]: version for version in model(client)["versions"]}


def state(client: CheckedClient, number: int) -> str | None:
    known = versions(client)
    return known[number]["state"] if number in known else None


def reload(client: CheckedClient) -> list[dict[str, Any]]:
    answer = client.post("/models/reload")
    assert answer.status_code == 200, answer.text
    changes: list[dict[str, Any]] = answer.json()["changes"]
    return changes


def choose(client: CheckedClient, number: int | None, what: str = "live") -> httpx.Response:
    return client.put(f"/models/tiny/{what}", json={"version": number})


def changes(client: CheckedClient, what: str) -> float:
    return value(client, "offnormal_model_changes_total", change=what)


def test_new_version_answers_without_a_restart(watching: CheckedClient, tiny_store: Path) -> None:
    assert answering(watching) == 2
    publish(tiny_store, 3)
    until(lambda: answering(watching) == 3)
    assert model(watching)["live"] == 3
    assert value(watching, "offnormal_live_version", model="tiny") == 3
    assert answering(watching, version=2) == 2


def test_new_model_answers_without_a_restart(watching: CheckedClient, tiny_store: Path) -> None:
    publish(tiny_store, 1, name="other")
    until(lambda: watching.post("/classify", json={"window": rows(), "model": "other"}).status_code == 200)
    assert watching.get("/models").json()["default"] == "other"  # the first by name: none is set


def test_without_polling_nothing_is_picked_up_until_somebody_asks(
    asked: CheckedClient, tiny_store: Path
) -> None:
    publish(tiny_store, 3)
    time.sleep(0.5)
    assert answering(asked) == 2
    assert reload(asked) == [{"model": "tiny", "version": 3, "change": "loaded", "reason": None}]
    assert answering(asked) == 3
    assert reload(asked) == []


BAD: dict[str, tuple[dict[str, Callable[..., Any]], str]] = {
    "altered": ({"harm": append}, "altered"),
    "truncated": ({"harm": truncate}, "altered"),
    "later schema": ({"edit": later_schema}, "schema version"),
    "golden mismatch": ({"harm": other_golden}, "golden replay failed"),
    "other sensors": ({"edit": other_sensors}, "without Flow; with Vibration"),
    "sensors in another order": ({"edit": other_order}, "another order of its sensors than version 2"),
    "other unit": ({"edit": other_unit}, "other units than version 2"),
    "no manifest": ({"harm": lambda folder: (folder / "manifest.json").unlink()}, "not a model"),
    "another's name": ({"edit": lambda manifest: manifest.update(name="else")}, "else/3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_version_is_refused_counted_logged_and_shown_while_the_good_one_answers(
    watching: CheckedClient, tiny_store: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    how, reason = BAD[name]
    with caplog.at_level(logging.ERROR, "service.models"):
        publish(tiny_store, 3, **how)
        until(lambda: state(watching, 3) == "refused")
    assert reason in versions(watching)[3]["reason"]
    assert str(tiny_store) not in versions(watching)[3]["reason"]
    assert answering(watching) == 2
    assert model(watching)["live"] == 2
    assert changes(watching, "refused") == 1
    assert value(watching, "offnormal_refused_artefacts") == 1
    (record,) = [record for record in caplog.records if record.getMessage() == "model refused"]
    assert record.__dict__["fields"]["version"] == 3
    assert reason in record.__dict__["fields"]["reason"]


def test_refused_version_is_judged_anew_only_when_its_files_change_or_somebody_asks(
    watching: CheckedClient, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    real = loading.open_artefact

    def counting(folder: Path) -> Any:
        judged.append(folder.name)
        return real(folder)

    monkeypatch.setattr(loading, "open_artefact", counting)
    publish(tiny_store, 3, harm=append)
    until(lambda: state(watching, 3) == "refused")
    once = len(judged)
    time.sleep(6 * POLL_S)
    assert len(judged) == once
    reload(watching)
    assert judged[once:] == ["3"]
    assert changes(watching, "refused") == 1  # it is nothing new
    publish(tiny_store, 3)
    until(lambda: answering(watching) == 3)
    assert versions(watching)[3]["reason"] is None
    assert value(watching, "offnormal_refused_artefacts") == 0


@pytest.mark.parametrize("order", ["manifest first", "manifest last"])
def test_version_that_is_being_copied_in_is_never_refused(
    watching: CheckedClient, tiny_store: Path, tmp_path: Path, order: str
) -> None:
    whole = make(tiny_store, tmp_path / "whole", 3)
    files = sorted(
        (path for path in whole.rglob("*") if path.is_file()),
        key=lambda path: (path.name == "manifest.json") == (order == "manifest last"),
    )
    folder = tiny_store / "tiny" / "3"
    for path in files:
        target = folder / path.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        for part in (content[: len(content) // 2], content[len(content) // 2 :]):
            with target.open("ab") as file:
                file.write(part)
            time.sleep(0.15)
            # The last files are for people and might not be listed: what is listed may be whole by now.
            assert state(watching, 3) in (None, "loading", "ready")
    until(lambda: answering(watching) == 3)
    assert changes(watching, "refused") == 0


def test_copy_that_stalls_is_refused_and_picked_up_when_it_goes_on(
    watching: CheckedClient, tiny_store: Path, tmp_path: Path
) -> None:
    whole = make(tiny_store, tmp_path / "whole", 3)
    folder = tiny_store / "tiny" / "3"
    folder.mkdir()
    shutil.copy(whole / "manifest.json", folder)
    until(lambda: state(watching, 3) == "loading")
    assert "still change" in versions(watching)[3]["reason"]
    until(lambda: state(watching, 3) == "refused")
    assert "is missing" in versions(watching)[3]["reason"]
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    until(lambda: answering(watching) == 3)


def threads_of(version: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == f"offnormal {version}"]


def test_requests_in_flight_finish_on_the_version_that_they_started_with(
    tiny_store: Path, tmp_path: Path
) -> None:
    opened, reached = threading.Event(), threading.Event()

    def gate(batch: Batch) -> None:
        if threading.current_thread().name == "offnormal tiny/2":
            reached.set()
            assert opened.wait(30)

    settings = settings_for(tiny_store, tmp_path / "state", models_poll_s=POLL_S, versions_per_model=1)
    with running(settings, gated(gate)) as client:
        before = len(threads_of("tiny/2"))
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(classify(client, {"values": rows()})))
        thread.start()
        assert reached.wait(10)
        publish(tiny_store, 3)
        until(lambda: set(versions(client)) == {3})
        assert answering(client) == 3
        assert answers == []
        assert len(threads_of("tiny/2")) == before  # it is still needed
        opened.set()
        thread.join(20)
        assert answers[0]["model"]["version"] == 2
        assert answers[0]["results"][0]["verdict"] == "normal"
        until(lambda: len(threads_of("tiny/2")) == before - 1)


def test_every_request_is_answered_while_versions_come_and_go(tiny_store: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_store, tmp_path / "state", models_poll_s=POLL_S, versions_per_model=1)
    seen: set[int] = set()
    failed: list[httpx.Response] = []
    done = threading.Event()
    with running(settings) as client:

        def call() -> None:
            while not done.is_set():
                answer = client.post("/classify", json={"window": rows()})
                if answer.status_code != 200:
                    failed.append(answer)
                    return
                seen.add(answer.json()["model"]["version"])

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(3, 9):
            publish(tiny_store, number)
            until(lambda number=number: number in seen)
        done.set()
        for thread in threads:
            thread.join(20)
    assert failed == []
    assert seen == set(range(2, 9))


def test_loaded_version_whose_files_are_altered_goes_on_answering_and_says_so(
    watching: CheckedClient, tiny_store: Path
) -> None:
    append(tiny_store / "tiny" / "2")
    until(lambda: versions(watching)[2]["reason"] is not None)
    shown = versions(watching)[2]
    assert shown["state"] == "ready"
    assert "altered" in shown["reason"]
    assert "goes on answering" in shown["reason"]
    assert answering(watching) == 2
    assert value(watching, "offnormal_refused_artefacts") == 1


def test_version_that_is_replaced_by_another_whole_one_is_switched_to(
    watching: CheckedClient, tiny_store: Path
) -> None:
    before = watching.get("/models/tiny").json()["sha256"]
    publish(tiny_store, 2, edit=lambda manifest: manifest.update(created="2026-01-01T00:00:00+00:00"))
    until(lambda: watching.get("/models/tiny").json()["sha256"] != before)
    assert answering(watching) == 2


def test_touched_version_is_not_loaded_again(watching: CheckedClient, tiny_store: Path) -> None:
    (tiny_store / "tiny" / "2" / "manifest.json").touch()
    time.sleep(5 * POLL_S)
    assert reload(watching) == []
    assert changes(watching, "loaded") == 2  # at the start


def test_removed_version_is_let_go_of(watching: CheckedClient, tiny_store: Path) -> None:
    shutil.rmtree(tiny_store / "tiny" / "2")
    until(lambda: answering(watching) == 1)
    assert set(versions(watching)) == {1}
    assert changes(watching, "removed") == 1


def test_store_that_vanishes_stops_nothing(watching: CheckedClient, tiny_store: Path) -> None:
    tiny_store.rename(tiny_store.with_name("elsewhere"))
    time.sleep(5 * POLL_S)
    assert answering(watching) == 2
    tiny_store.mkdir()  # as a share that is not mounted
    assert reload(watching) == []
    assert answering(watching) == 2


def test_store_that_cannot_be_read_stops_nothing(watching: CheckedClient, tiny_store: Path) -> None:
    moved = tiny_store.rename(tiny_store.with_name("elsewhere"))
    tiny_store.write_bytes(b"no folder")
    time.sleep(5 * POLL_S)
    assert answering(watching) == 2
    assert watching.get("/readyz").status_code == 200
    tiny_store.unlink()
    moved.rename(tiny_store)
    publish(tiny_store, 3)
    until(lambda: answering(watching) == 3)


def test_asset_is_known_to_a_new_version_from_its_first_answer_on(
    watching: CheckedClient, tiny_store: Path
) -> None:
    assert watching.put("/assets/P/baseline", json={"values": rows(100)}).status_code == 201
    publish(tiny_store, 3)
    window = {"asset": "P", "values": rows()}
    until(lambda: classify(watching, window)["model"]["version"] == 3)
    assert verdict(watching, window)["baseline"] == "asset"
    assert watching.get("/assets").json()["assets"][0]["versions"] == [1, 2, 3]


def test_version_whose_assets_cannot_be_set_up_is_tried_again(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [StateUnavailable("the state is busy"), StateUnavailable("the state is busy")]
    real = Assets.adopt

    def adopt(self: Assets, model: Any) -> None:
        if model.ref.version == 3 and failures:
            raise failures.pop()
        real(self, model)

    monkeypatch.setattr(Assets, "adopt", adopt)
    with running(settings_for(tiny_store, tmp_path / "state", models_poll_s=0)) as client:
        publish(tiny_store, 3)
        assert reload(client) == []
        assert answering(client) == 2
        assert "assets could not be set up" in versions(client)[3]["reason"]
        reload(client)
        assert [change["change"] for change in reload(client)] == ["loaded"]
        assert answering(client) == 3


def test_asset_commissioned_by_another_worker_meanwhile_is_caught_up_with(
    tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tiny_store, tmp_path / "state", models_poll_s=POLL_S)
    late = settings_for(tiny_store, tmp_path / "state", models_poll_s=0)
    with running(settings) as first, running(late) as other:
        publish(tiny_store, 3)
        until(lambda: answering(first) == 3)
        assert other.put("/assets/P/baseline", json={"values": rows(100)}).json()["model"]["version"] == 2
        until(lambda: verdict(first, {"asset": "P", "values": rows()})["baseline"] == "asset")


def test_rolling_back_and_promoting_take_effect_at_once(asked: CheckedClient) -> None:
    assert (model(asked)["live"], model(asked)["chosen"], model(asked)["previous"]) == (2, None, 1)
    answer = choose(asked, 1)
    assert answer.status_code == 200
    assert (answer.json()["live"], answer.json()["chosen"]) == (1, 1)
    assert answering(asked) == 1
    assert answering(asked, version=2) == 2
    choose(asked, 2)
    assert answering(asked) == 2
    assert model(asked)["previous"] == 1


def test_roll_back_goes_to_the_version_that_answered_before(asked: CheckedClient, tiny_store: Path) -> None:
    choose(asked, 1)
    publish(tiny_store, 3)
    reload(asked)
    choose(asked, 3)
    assert model(asked)["previous"] == 1  # not 2: that never answered after it
    choose(asked, 1)
    assert model(asked)["previous"] is None


def test_published_version_does_not_answer_where_another_was_chosen(
    asked: CheckedClient, tiny_store: Path
) -> None:
    choose(asked, 2)
    publish(tiny_store, 3)
    reload(asked)
    assert state(asked, 3) == "ready"
    assert answering(asked) == 2
    choose(asked, None)
    assert answering(asked) == 3
    assert model(asked)["chosen"] is None


def test_choice_outlives_a_restart_and_the_newest_versions(tiny_store: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_store, tmp_path / "state", versions_per_model=1, models_poll_s=0)
    with running(settings) as client:
        assert set(versions(client)) == {2}
        assert choose(client, 1).status_code == 200  # is loaded for it
        assert answering(client) == 1
    publish(tiny_store, 3)
    with running(settings) as client:
        assert answering(client) == 1
        assert set(versions(client)) == {1, 3}


@pytest.mark.parametrize(
    ("number", "code"),
    [(9, "model_not_found"), (3, "model_not_found"), (0, "wrong_content"), ("two", "wrong_content")],
)
def test_version_that_cannot_answer_is_not_chosen(
    asked: CheckedClient, tiny_store: Path, number: Any, code: str
) -> None:
    publish(tiny_store, 3, harm=append)
    answer = choose(asked, number)
    assert answer.json()["code"] == code
    assert answering(asked) == 2
    assert model(asked)["chosen"] is None


def test_model_that_is_not_there_cannot_be_decided_about(asked: CheckedClient, tmp_path: Path) -> None:
    for name in ("nothing", "..%2F..", ".hidden"):
        for what in ("live", "challenger"):
            for number in (1, None):
                answer = asked.put(f"/models/{name}/{what}", json={"version": number})
                assert answer.status_code == 404
    assert not (tmp_path / "state" / "models.json").exists()


def test_workers_that_share_a_state_follow_within_a_second(tiny_store: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_store, tmp_path / "state", models_poll_s=0)
    with running(settings) as one, running(settings) as other:
        choose(one, 1)
        assert answering(one) == 1
        until(lambda: answering(other) == 1, timeout_s=1.0)
        choose(other, 2)
        until(lambda: answering(one) == 2, timeout_s=1.0)
        publish(tiny_store, 3, harm=append)
        reload(one)
        until(lambda: state(other, 3) is not None)
        publish(tiny_store, 4)
        reload(other)
        choose(one, None)
        until(lambda: answering(one) == answering(other) == 4)


def test_roll_back_does_not_wait_for_a_version_that_is_being_loaded(tiny_store: Path, tmp_path: Path) -> None:
    opened, reached = threading.Event(), threading.Event()
    armed: list[bool] = []

    def gate(batch: Batch) -> None:
        if armed and threading.current_thread().name.startswith("asyncio"):
            reached.set()
            assert opened.wait(30)

    settings = settings_for(tiny_store, tmp_path / "state", models_poll_s=POLL_S)
    with running(settings, gated(gate)) as client:
        armed.append(True)
        publish(tiny_store, 3)
        assert reached.wait(10)
        started = time.monotonic()
        assert choose(client, 1).status_code == 200
        assert answering(client) == 1
        assert time.monotonic() - started < 1.0
        opened.set()
        until(lambda: state(client, 3) == "ready")
        assert answering(client) == 1


def test_choices_that_cannot_be_read_stop_the_start(tiny_store: Path, tmp_path: Path) -> None:
    """Otherwise a version that was rolled back from would answer again."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "models.json").write_text("{")
    with (
        pytest.raises(StateUnavailable, match=r"models\.json is not valid"),
        running(settings_for(tiny_store, folder), wait=False),
    ):
        pass


def test_choices_that_are_spoiled_while_it_runs_change_nothing(asked: CheckedClient, tmp_path: Path) -> None:
    choose(asked, 1)
    (tmp_path / "state" / "models.json").write_text('{"models": {"tiny": {"live": "two"}}}')
    time.sleep(0.3)
    assert answering(asked) == 1
    assert choose(asked, 2).json()["code"] == "state_unavailable"
    assert answering(asked) == 1


def test_choices_are_plain_json_that_a_person_may_edit(asked: CheckedClient, tmp_path: Path) -> None:
    path = tmp_path / "state" / "models.json"
    path.write_text(json.dumps({"models": {"tiny": {"live": 1}}}))
    until(lambda: answering(asked) == 1, timeout_s=1.0)
