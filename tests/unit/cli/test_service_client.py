"""The client that replay talks to a service with, under faults of the network and of the service."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cli.errors import CommandError
from cli.service_client import Patience, RequestRefused, ServedModel, ServiceClient, ServiceUnreachable

MODEL = ServedModel("tiny", 2, ("Pressure",), ("normal", "anomalous"), 12, 4, 1.0, 5.0)
RESULT = {"results": [{"verdict": "normal"}]}


def client_of(
    answers: Iterator[httpx.Response | Exception], **patience: Any
) -> tuple[ServiceClient, list[httpx.Request], list[float]]:
    """A client whose service gives these answers in turn; what it was sent, and how long it waited."""
    requests: list[httpx.Request] = []
    pauses: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = ServiceClient(
        "http://plant:8000",
        "secret",
        Patience(**patience),
        transport=httpx.MockTransport(handle),
        sleep=pauses.append,
    )
    return client, requests, pauses


def busy(seconds: str | None = None) -> httpx.Response:
    headers = {} if seconds is None else {"retry-after": seconds}
    return httpx.Response(429, headers=headers, json={"code": "queue_full", "detail": "full"})


def good() -> httpx.Response:
    return httpx.Response(200, json=RESULT)


@pytest.mark.parametrize(
    "passing",
    [
        busy,
        lambda: httpx.Response(503, json={"code": "not_ready"}),
        lambda: httpx.Response(504, json={"code": "deadline_passed"}),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadTimeout("slow"),
        lambda: httpx.RemoteProtocolError("hung up"),
    ],
    ids=["full", "not ready", "deadline", "refused", "timeout", "hung up"],
)
def test_what_may_pass_is_tried_again(passing: Callable[[], httpx.Response | Exception]) -> None:
    client, requests, pauses = client_of(iter([passing(), passing(), good()]))
    assert client.classify(MODEL, [{}]) == RESULT["results"]
    assert len(requests) == 3
    assert 0 < pauses[0] <= 0.25
    assert 0.25 <= pauses[1] <= 0.5


def test_pause_is_what_the_service_asks_for() -> None:
    client, _, pauses = client_of(iter([busy("3"), busy("0"), good()]))
    client.classify(MODEL, [{}])
    assert pauses == [3.0, 0.0]


def test_pause_is_bounded_whatever_the_service_asks_for() -> None:
    client, _, pauses = client_of(iter([busy("86400"), good()]))
    client.classify(MODEL, [{}])
    assert pauses == [20.0]


def test_retry_after_as_a_date_falls_back_to_the_own_pause() -> None:
    client, _, pauses = client_of(iter([busy("Wed, 21 Oct 2026 07:28:00 GMT"), good()]))
    client.classify(MODEL, [{}])
    assert 0 < pauses[0] <= 0.25


def test_patience_ends() -> None:
    client, requests, _ = client_of(iter([httpx.ConnectError("refused")] * 9), attempts=4)
    with pytest.raises(ServiceUnreachable, match=r"no answer from http://plant:8000 in 4 attempts: refused"):
        client.classify(MODEL, [{}])
    assert len(requests) == 4


def test_service_that_stays_busy_is_quoted() -> None:
    client, _, _ = client_of(iter([busy("0")] * 3), attempts=3)
    with pytest.raises(RequestRefused, match="429 queue_full: full"):
        client.classify(MODEL, [{}])


def test_first_question_gives_up_early_so_that_a_wrong_address_is_told_soon() -> None:
    client, requests, pauses = client_of(iter([httpx.ConnectError("refused")] * 9))
    with pytest.raises(ServiceUnreachable):
        client.model(None, None)
    assert len(requests) == 3
    assert sum(pauses) < 1


def test_refusal_is_told_with_code_place_and_what_was_expected_and_is_not_repeated() -> None:
    problem = {
        "code": "bad_window",
        "detail": "a text",
        "place": "windows[0].readings.P[3]",
        "expected": "numbers",
    }
    client, requests, _ = client_of(iter([httpx.Response(422, json=problem)]))
    with pytest.raises(RequestRefused) as caught:
        client.classify(MODEL, [{}])
    assert str(caught.value) == (
        "the service answered 422 bad_window at windows[0].readings.P[3]: a text (expected numbers)"
    )
    assert caught.value.place == "windows[0].readings.P[3]"
    assert len(requests) == 1


@pytest.mark.parametrize("status", [200, 404, 502], ids=str)
def test_other_server_is_recognised(status: int) -> None:
    client, _, _ = client_of(iter([httpx.Response(status, text="<html>hello</html>")] * 9))
    with pytest.raises(CommandError, match=rf"answered {status} and no JSON: is it an Offnormal service\?"):
        client.model(None, None)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://plant", "http://", "http://plant:port"])
def test_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(CommandError, match="is no address of a service"):
        ServiceClient(url)


def test_key_is_sent_and_missing_readings_are_null() -> None:
    client, requests, _ = client_of(iter([good()]))
    client.classify(MODEL, [{"readings": {"Pressure": [1.5, float("nan")]}}])
    assert requests[0].headers["authorization"] == "Bearer secret"
    assert b'{"Pressure":[1.5,null]}' in requests[0].content


def test_names_are_quoted_in_paths() -> None:
    client, requests, _ = client_of(iter([httpx.Response(201, json={})]))
    client.put_baseline("Pump 7/ü", MODEL, {"Pressure": [1.0]}, None)
    assert requests[0].url.raw_path == b"/assets/Pump%207%2F%C3%BC/baseline?model=tiny"
