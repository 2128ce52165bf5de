"""Every code of the table of problems is provoked, and says what it should."""

import asyncio
import gzip
import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from detector.windows import Batch
from service.app import create_app
from service.http.problems import BY_CODE, KINDS
from service.models import Models
from tests.contract.app import CheckedClient, faulty, gated, rows, running, settings_for, until
from tests.contract.test_operations import value

JSON = {"Content-Type": "application/json"}
GOOD = json.dumps({"window": rows()})


class Gate:
    """Lets a given number of batches pass, then holds the next until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def __call__(self, batch: Batch) -> None:
        self.reached.set()
        assert self.open.wait(30)

    def shut(self) -> None:
        self.open.clear()
        self.reached.clear()


Place = tuple[Path, Path]


@contextmanager
def app(place: Place, **settings: Any) -> Iterator[CheckedClient]:
    with running(settings_for(*place, **settings)) as client:
        yield client


def post(client: CheckedClient, content: str | bytes = GOOD, **headers: str) -> httpx.Response:
    return client.post(
        "/classify", content=content, headers={**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


def window(client: CheckedClient, **fields: Any) -> httpx.Response:
    return post(client, json.dumps({"windows": [fields]}))


def commission(client: CheckedClient, asset: str, count: int = 60) -> httpx.Response:
    return client.put(f"/assets/{asset}/baseline", json={"values": rows(count)})


def plain(
    *calls: Callable[[CheckedClient], httpx.Response], **settings: Any
) -> Callable[[Place], httpx.Response]:
    """Calls one after another; the last one's answer counts."""

    def provoke(place: Place) -> httpx.Response:
        with app(place, **settings) as client:
            return [call(client) for call in calls][-1]

    return provoke


def with_keys(call: Callable[[CheckedClient], httpx.Response]) -> Callable[[Place], httpx.Response]:
    def provoke(place: Place) -> httpx.Response:
        file = place[1].parent / "keys.json"
        key = {"name": "reader", "sha256": hashlib.sha256(b"secret").hexdigest(), "roles": ["read"]}
        file.write_text(json.dumps({"keys": [key]}))
        with app(place, keys_file=file) as client:
            return call(client)

    return provoke


def while_busy(
    call: Callable[[CheckedClient], httpx.Response], waiting: int = 0, **settings: Any
) -> Callable[[Place], httpx.Response]:
    """A call made while the only worker is held up by one request, and others wait with so many windows."""

    def provoke(place: Place) -> httpx.Response:
        gate = Gate()
        with running(settings_for(*place, **settings), gated(gate)) as client:
            gate.shut()
            first = threading.Thread(target=post, args=(client,))
            first.start()
            assert gate.reached.wait(10)
            others = [threading.Thread(target=post, args=(client,)) for _ in range(waiting)]
            for other in others:
                other.start()
            queued = {"name": "offnormal_queue_windows", "model": "tiny", "version": "2"}
            until(lambda: value(client, **queued) == waiting)
            try:
                return call(client)
            finally:
                gate.open.set()
                for thread in [first, *others]:
                    thread.join(10)

    return provoke


def broken_runtime(place: Place) -> httpx.Response:
    broken = threading.Event()

    def gate(batch: Batch) -> None:
        if broken.is_set():
            raise RuntimeError(f"secret reading {batch.readings[0, 0, 0]}")

    with running(settings_for(*place), gated(gate)) as client:
        broken.set()
        answer = post(client)
        broken.clear()
        assert post(client).status_code == 200
        return answer


def not_loaded(place: Place) -> httpx.Response:
    gate = Gate()
    gate.shut()
    with running(settings_for(*place), gated(gate), wait=False) as client:
        assert gate.reached.wait(10)
        try:
            assert client.get("/readyz").status_code == 503
            return post(client)
        finally:
            gate.open.set()


def broken_state(place: Place) -> httpx.Response:
    with app(place) as client:
        assert commission(client, "P-101").status_code == 201
        with sqlite3.connect(place[1] / "offnormal.sqlite3") as connection:
            connection.execute("DROP TABLE baselines")
        return window(client, asset="P-101", values=rows())


def raw(place: Place, messages: list[dict[str, Any]], **settings: Any) -> httpx.Response:
    """A request whose body comes as the messages say; after them, nothing comes any more."""

    async def run() -> httpx.Response:
        settings_ = settings_for(*place, **settings)
        app = create_app(settings_)
        sent: list[dict[str, Any]] = []
        rest = iter(messages)

        async def receive() -> dict[str, Any]:
            for message in rest:
                return message
            await asyncio.sleep(30)
            raise AssertionError("waited for the body in vain")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async with app.router.lifespan_context(app) as state:
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/classify",
                "raw_path": b"/classify",
                "query_string": b"",
                "headers": [(b"content-type", b"application/json")],
                "state": dict(state),
            }
            await app(scope, receive, send)
        head, *body = sent
        return httpx.Response(
            head["status"], headers=head["headers"], content=b"".join(m["body"] for m in body)
        )

    return asyncio.run(run())


def csv(client: CheckedClient, content: str) -> httpx.Response:
    return client.put("/assets/P-101/baseline", content=content, headers={"Content-Type": "text/csv"})


TIMES = [1_790_000_000.0 + s for s in range(12)]
PROVOCATIONS: dict[str, Callable[[Place], httpx.Response]] = {
    "not_json": plain(lambda c: post(c, "{")),
    "not_npy": plain(lambda c: post(c, "{", Content_Type="application/x-npy")),
    "client_left": lambda place: raw(place, [{"type": "http.disconnect"}]),
    "key_required": with_keys(post),
    "key_unknown": with_keys(lambda c: post(c, X_API_Key="guess")),
    "key_not_allowed": with_keys(lambda c: post(c, Authorization="Bearer secret")),
    "not_found": plain(lambda c: c.get("/nothing")),
    "model_not_found": plain(lambda c: c.get("/models/other")),
    "baseline_not_found": plain(lambda c: c.get("/assets/P-101/baseline")),
    "method_not_allowed": plain(lambda c: c.get("/classify")),
    "body_too_slow": lambda place: raw(
        place, [{"type": "http.request", "body": b"{", "more_body": True}], request_timeout_s=0.1
    ),
    "too_many_assets": plain(lambda c: commission(c, "A"), lambda c: commission(c, "B"), max_assets=1),
    "body_too_large": plain(post, max_body_mb=0.0001),
    "unsupported_media_type": plain(
        lambda c: c.post("/classify", content=GOOD, headers={"Content-Type": "text/plain"})
    ),
    "unsupported_encoding": plain(lambda c: post(c, Content_Encoding="br")),
    "wrong_content": plain(lambda c: post(c, '{"window": 3}')),
    "ragged_window": plain(lambda c: post(c, '{"window": [[1]]}')),
    "repeated_sensor": plain(lambda c: post(c, '{"windows": [{"readings": {"Flow": [1], "Flow": [2]}}]}')),
    "too_many_windows": plain(lambda c: post(c, '{"windows": [{}, {}]}'), max_windows=1),
    "too_many_steps": plain(post, max_steps=11),
    "invalid_asset": plain(lambda c: c.get("/assets/%20P-101/baseline")),
    "unreadable_file": plain(lambda c: csv(c, "only words\nand more words\n")),
    "unknown_sensor": plain(lambda c: window(c, readings={"Presure": [1]})),
    "window_too_short": plain(lambda c: window(c, values=rows(1))),
    "bad_timestamps": plain(lambda c: window(c, values=rows(), timestamps=[])),
    "wrong_sampling_period": plain(lambda c: window(c, values=rows(), timestamps=[60 * s for s in TIMES])),
    "unsupported_false_alarm_rate": plain(
        lambda c: post(c, json.dumps({"window": rows(), "false_alarm_rate": 1e-9}))
    ),
    "baseline_refused": plain(lambda c: commission(c, "P-101", 20)),
    "queue_full": while_busy(post, waiting=2, queue_windows=2, max_windows=2),
    "rate_exceeded": plain(lambda c: c.get("/models"), lambda c: c.get("/models"), requests_per_s=0.1),
    "internal_error": broken_runtime,
    "not_ready": not_loaded,
    "state_unavailable": broken_state,
    "deadline_passed": while_busy(lambda c: post(c, Request_Timeout="0.2")),
}
# A base class in the table, so that a kind of bad window added later is not answered as a defect.
UNUSED = {"bad_window"}


@pytest.mark.parametrize("code", sorted(PROVOCATIONS))
def test_problem_is_answered_with_its_status_and_code(code: str, trained_store: Path, tmp_path: Path) -> None:
    response = PROVOCATIONS[code]((trained_store, tmp_path / "state"))
    problem = response.json()
    assert problem["code"] == code, problem
    assert response.status_code == problem["status"] == BY_CODE[code].status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/docs#{code}"
    assert problem["title"] == BY_CODE[code].title
    assert problem["request_id"] == response.headers["x-request-id"]


def test_every_code_of_the_table_is_provoked() -> None:
    assert set(PROVOCATIONS) | UNUSED == set(BY_CODE)


def test_no_two_errors_share_a_code() -> None:
    assert len(BY_CODE) == len(KINDS)


def test_codes_of_the_detector_are_those_of_the_table() -> None:
    assert {error.code: error.code for error in KINDS if hasattr(error, "code")} == {
        error.code: kind.code for error, kind in KINDS.items() if hasattr(error, "code")
    }


def test_internal_error_shows_a_request_id_and_nothing_of_the_inside(
    trained_store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    response = broken_runtime((trained_store, tmp_path / "state"))
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    (record,) = [record for record in caplog.records if record.getMessage() == "unforeseen error"]
    assert record.fields["request_id"] == response.json()["request_id"]
    assert record.fields["error"]["type"] == "RuntimeError"
    assert "secret" not in str(record.fields)


def test_internal_error_of_any_route_is_a_problem_document(
    trained_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Models) -> None:
        raise RuntimeError("secret")

    with running(settings_for(trained_store, tmp_path / "state")) as client:
        monkeypatch.setattr(Models, "default_name", broken)
        response = client.get("/models")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert [each.getMessage() for each in caplog.records].count("unforeseen error") == 1


def test_full_queue_says_when_to_come_back(trained_store: Path, tmp_path: Path) -> None:
    response = PROVOCATIONS["queue_full"]((trained_store, tmp_path / "state"))
    assert int(response.headers["retry-after"]) >= 1


def test_method_not_allowed_says_which_are(trained_store: Path, tmp_path: Path) -> None:
    response = PROVOCATIONS["method_not_allowed"]((trained_store, tmp_path / "state"))
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan", "inf"])
def test_request_timeout_must_be_a_number_of_seconds(onnx_client: CheckedClient, timeout: str) -> None:
    problem = post(onnx_client, Request_Timeout=timeout).json()
    assert (problem["code"], problem["place"]) == ("wrong_content", "header.Request-Timeout")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no gzip at all", "unsupported_encoding"),
        (gzip.compress(GOOD.encode())[:-9], "unsupported_encoding"),
        (gzip.compress(b" " * 40_000_000), "body_too_large"),
    ],
    ids=["not gzip", "cut short", "bomb"],
)
def test_bad_gzip_is_refused(onnx_client: CheckedClient, content: bytes, code: str) -> None:
    assert post(onnx_client, content, Content_Encoding="gzip").json()["code"] == code


def test_bodies_under_way_are_bounded_together(trained_store: Path, tmp_path: Path) -> None:
    large = json.dumps({"windows": [{"values": rows(200)}] * 10})
    limit = len(large) * 1.5 / 1e6
    place = (trained_store, tmp_path / "state")
    gate = Gate()
    with running(settings_for(*place, max_body_mb=limit, max_bodies_mb=limit), gated(gate)) as client:
        gate.shut()
        first = threading.Thread(target=post, args=(client, large))
        first.start()
        assert gate.reached.wait(10)
        assert post(client, large).json()["code"] == "queue_full"
        gate.open.set()
        first.join(10)
        assert post(client, large).status_code == 200


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"'])
def test_json_with_a_charset_is_read(onnx_client: CheckedClient, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert onnx_client.post("/classify", content=GOOD, headers=headers).status_code == 200


def test_requests_that_wait_share_the_next_batch(trained_store: Path, tmp_path: Path) -> None:
    gate, sizes = Gate(), []

    def count(batch: Batch) -> None:
        sizes.append(len(batch))
        gate(batch)

    place = (trained_store, tmp_path / "state")
    with running(settings_for(*place), gated(count)) as client:
        gate.shut()
        sizes.clear()
        answers: list[httpx.Response] = []
        threads = [threading.Thread(target=lambda: answers.append(post(client))) for _ in range(9)]
        threads[0].start()
        assert gate.reached.wait(10)
        for thread in threads[1:]:
            thread.start()
        until(lambda: value(client, "offnormal_queue_windows", model="tiny", version="2") == 8)
        gate.open.set()
        for thread in threads:
            thread.join(10)
    assert sizes == [1, 8]
    assert {answer.status_code for answer in answers} == {200}
    # Batches of different sizes differ in the last digits.
    first, *others = [answer.json()["results"][0] for answer in answers]
    for other in others:
        assert other["verdict"] == first["verdict"]
        assert other["probabilities"] == pytest.approx(first["probabilities"], abs=1e-6)
        assert other["p_value"] == first["p_value"]


def test_error_of_one_request_does_not_reach_the_others_of_its_batch(
    trained_store: Path, tmp_path: Path
) -> None:
    """The runtime breaks on every batch that has a certain window in it."""
    gate, poison = Gate(), 12345.0

    def break_on_poison(batch: Batch) -> None:
        gate(batch)
        if (batch.readings == poison).any():
            raise RuntimeError("poisoned")

    place = (trained_store, tmp_path / "state")
    bad = rows()
    bad[3][1] = poison
    bodies = [GOOD, json.dumps({"window": bad}), json.dumps({"window": faulty()}), GOOD]
    with running(settings_for(*place), gated(break_on_poison)) as client:
        gate.shut()
        first = threading.Thread(target=post, args=(client,))
        first.start()
        assert gate.reached.wait(10)
        answers: dict[int, httpx.Response] = {}
        threads = [
            threading.Thread(target=lambda k=k, body=body: answers.update({k: post(client, body)}))
            for k, body in enumerate(bodies)
        ]
        for thread in threads:
            thread.start()
        until(lambda: value(client, "offnormal_queue_windows", model="tiny", version="2") == 4)
        gate.open.set()
        for thread in [first, *threads]:
            thread.join(10)
        assert [answers[k].status_code for k in range(4)] == [200, 500, 200, 200]
        assert answers[2].json() == post(client, bodies[2]).json()
