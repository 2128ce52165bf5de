"""A second version in the shadow of the one that answers."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector import Detector, Window
from detector.windows import Batch
from service.models import shadow
from tests.contract.app import CheckedClient, classify, faulty, gated, rows, running, settings_for, until
from tests.contract.test_operations import samples, value
from tests.contract.test_reload import answering, choose, model
from tests.publishing import append, publish

PAIR = {"model": "tiny", "version": "2", "challenger": "1"}


@pytest.fixture
def client(tiny_store: Path, tmp_path: Path) -> Iterator[CheckedClient]:
    with running(settings_for(tiny_store, tmp_path / "state", models_poll_s=0)) as client:
        yield client


def pairs(client: CheckedClient) -> dict[tuple[str, str], float]:
    found = {}
    for (name, labels), count in samples(client).items():
        given = dict(labels)
        if name == "offnormal_challenger_windows_total" and PAIR.items() <= given.items():
            found[given["verdict"], given["challenger_verdict"]] = count
    return found


def judged(client: CheckedClient) -> float:
    return sum(pairs(client).values())


def windows_of_all_kinds() -> list[dict[str, Any]]:
    calm = [rows(12, seed=k) for k in range(10)]
    strange = [faulty(12, seed=k, size=k / 2) for k in range(20)]
    unknown = [[[None] * 3] * 12]
    return [{"values": values} for values in (*calm, *strange, *unknown)]


def test_challenger_judges_the_windows_that_the_live_version_answers(
    client: CheckedClient, tiny_store: Path
) -> None:
    assert choose(client, 1, "challenger").json()["challenger"] == 1
    given = windows_of_all_kinds()
    live = classify(client, *given)
    assert live["model"]["version"] == 2
    until(lambda: judged(client) == len(given))
    expected: dict[tuple[str, str], float] = {}
    other = classify(client, *given, version=1)["results"]
    for one, two in zip(live["results"], other, strict=True):
        pair = (one["verdict"], two["verdict"])
        expected[pair] = expected.get(pair, 0) + 1
    assert pairs(client) == expected
    assert judged(client) == len(given)  # what was asked of version 1 itself is not compared
    detectors = [Detector.load(tiny_store / "tiny" / number) for number in ("2", "1")]
    windows = [Window(_array(window)) for window in given[:-1]]
    scores = [detector.score(windows).combined for detector in detectors]
    name = "offnormal_challenger_score_difference"
    assert value(client, f"{name}_count", **PAIR) == len(windows)
    assert value(client, f"{name}_sum", **PAIR) == pytest.approx(
        float((scores[1] - scores[0]).sum()), abs=1e-3
    )
    assert value(client, "offnormal_challenger_dropped_windows_total", **PAIR) == 0
    # Verdicts that nobody was given are not counted as given.
    counted = value(client, "offnormal_verdicts_total", model="tiny", version="1", verdict="normal")
    assert counted == sum(result["verdict"] == "normal" for result in other)


def _array(window: dict[str, Any]) -> Any:
    import numpy as np

    return np.array(window["values"], float)


def test_challenger_knows_the_assets(client: CheckedClient) -> None:
    assert client.put("/assets/P/baseline", json={"values": rows(100)}).status_code == 201
    choose(client, 1, "challenger")
    given = [{"asset": "P", "values": faulty(12, seed=k, size=k / 4)} for k in range(30)]
    live, other = (classify(client, *given, version=number)["results"] for number in (2, 1))
    until(lambda: judged(client) == 30)
    assert {result["baseline"] for result in other} == {"asset"}
    agreeing = sum(one["verdict"] == two["verdict"] for one, two in zip(live, other, strict=True))
    assert sum(count for (one, two), count in pairs(client).items() if one == two) == agreeing


def test_challenger_that_is_promoted_answers_and_challenges_no_more(client: CheckedClient) -> None:
    choose(client, 1, "challenger")
    assert answering(client) == 2
    choose(client, 1)
    assert answering(client) == 1
    assert (model(client)["challenger"], model(client)["live"]) == (None, 1)
    classify(client, {"values": rows()})
    assert value(client, "offnormal_challenger_windows_total", model="tiny", version="1", challenger="1") == 0


def test_newest_version_that_challenges_does_not_answer(client: CheckedClient, tiny_store: Path) -> None:
    choose(client, 2)
    publish(tiny_store, 3)
    client.post("/models/reload")
    choose(client, 3, "challenger")
    choose(client, None)
    assert answering(client) == 2
    choose(client, None, "challenger")
    assert answering(client) == 3


@pytest.mark.parametrize("number", [2, 9, 3], ids=["the live one", "not there", "refused"])
def test_version_that_cannot_challenge(client: CheckedClient, tiny_store: Path, number: int) -> None:
    publish(tiny_store, 3, harm=append)
    answer = choose(client, number, "challenger")
    assert answer.status_code == (422 if number == 2 else 404)
    assert model(client)["challenger"] is None


def test_live_answers_never_wait_for_a_challenger_that_hangs_and_what_it_misses_is_counted(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MOST_WAITING", 40)
    opened, reached = threading.Event(), threading.Event()

    def gate(batch: Batch) -> None:
        if threading.current_thread().name == "offnormal tiny/1":
            reached.set()
            assert opened.wait(30)

    with running(settings_for(tiny_store, tmp_path / "state"), gated(gate)) as client:
        choose(client, 1, "challenger")
        classify(client, {"values": rows()})
        assert reached.wait(10)
        for _ in range(10):
            assert len(classify(client, *[{"values": rows()}] * 10)["results"]) == 10
        dropped = value(client, "offnormal_challenger_dropped_windows_total", **PAIR)
        assert dropped == 100 - 40
        opened.set()
        until(lambda: judged(client) == 41)


def test_windows_that_are_too_short_for_the_challenger_are_counted_as_dropped(
    client: CheckedClient, tiny_store: Path
) -> None:
    choose(client, 2)
    publish(tiny_store, 3, edit=lambda manifest: manifest["window"].update(minimum_steps=8))
    client.post("/models/reload")
    choose(client, 3, "challenger")
    classify(client, {"values": rows(5)}, {"values": rows(12)})
    names = {"model": "tiny", "version": "2", "challenger": "3"}
    until(lambda: value(client, "offnormal_challenger_dropped_windows_total", **names) == 1)
    until(lambda: value(client, "offnormal_challenger_score_difference_count", **names) == 1)
