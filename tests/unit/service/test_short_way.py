"""Which routes are answered without the framework, and that they are answered alike."""

import asyncio
import re
from collections.abc import Iterable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Request, Response
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from service.errors import WrongContent
from service.http import classify
from service.http.admission import Admission, Admitted
from service.http.doors import refusal
from service.http.enclosed import EnclosedApi
from service.http.exchange import EXCHANGE, RawHeader
from service.http.gate import ALWAYS, TURN, Gate
from service.http.problems import kind_of, response_to
from service.http.request_log import Logged, RequestLog, facts_of
from service.http.security import cors
from service.http.short_way import ShortWay, answer_of
from service.measuring.metrics import Metrics


async def _who(request: Request) -> str:
    return request.headers.get("x-who", "nobody")


Who = Annotated[str, Depends(_who)]
router = APIRouter()


@router.post("/short/")
async def short(request: Request, who: Who) -> Response:
    if who == "bad":
        raise WrongContent("no such person", place="header.X-Who")
    if who == "defect":
        raise ZeroDivisionError
    return Response(f"{who} {(await request.body()).decode()} {request.scope['route'].path}")


@router.post("/long/{place}")
async def long(request: Request, place: str, who: Who) -> Response:
    return Response(f"{who} at {place}")


@router.get("/short/")
async def read(request: Request, who: Who) -> Response:
    return Response(f"read by {who}")


async def _refuse(request: Request, error: Exception) -> Response:
    facts_of(request).error_code = kind_of(error).code
    return response_to(error, "id")


class Service:
    """The routes above, answered the short way or by the framework."""

    def __init__(self, *, short: bool, origins: tuple[str, ...] = ()) -> None:
        self.metrics = Metrics()
        self.gate = Gate(1.0)
        log = RequestLog(self.metrics, lambda given: [(b"x-beside", b"1")], refusal)
        admission = Admission(self.gate)
        way = Middleware(
            ShortWay, router=router, log=log, admission=admission, refuse=_refuse, shared=bool(origins)
        )
        self.app = EnclosedApi(
            around=[
                *([way] if short else []),
                Middleware(Logged, log=log),
                Middleware(Admitted, admission=admission),
                *cors(origins),
            ],
            exception_handlers={WrongContent: _refuse, Exception: _refuse},
        )
        self.app.include_router(router)
        self.client = TestClient(self.app)

    def close_the_gate(self) -> None:
        """As if the last requests had taken minutes."""
        for _ in range(ALWAYS):
            self.gate.line.join()
        self.gate.line._pace.took(1000, 60_000.0)

    def counted(self) -> dict[str, float]:
        """Of requests, by labels."""
        found = re.findall(r"offnormal_requests_total{(.*?)} +(\S+)", self.metrics.render().decode())
        return {labels: float(count) for labels, count in found}

    def number(self, name: str) -> float:
        found = re.search(rf"^offnormal_{name} +(\S+)$", self.metrics.render().decode(), re.MULTILINE)
        assert found is not None
        return float(found[1])


@pytest.fixture(params=[True, False], ids=["short", "framework"])
def service(request):
    return Service(short=request.param)


@pytest.fixture
def client(service):
    return service.client


def test_the_handler_has_the_request_and_what_its_dependency_gives(client):
    answer = client.post("/short/", content="body", headers={"X-Who": "Anna"})
    assert answer.text == "Anna body /short/"


def test_an_error_is_refused_as_by_the_framework(client):
    answer = client.post("/short/", headers={"X-Who": "bad"})
    assert (answer.status_code, answer.json()["place"]) == (422, "header.X-Who")


def test_it_is_logged_counted_and_completed_alike(service):
    answer = service.client.post("/short/", headers={"X-Request-Id": "mine"})
    assert (answer.headers["x-request-id"], answer.headers["x-beside"]) == ("mine", "1")
    service.client.post("/short/", headers={"X-Who": "bad"})
    assert service.counted() == {
        'route="/short/",method="POST",status="200"': 1,
        'route="/short/",method="POST",status="422"': 1,
    }
    assert service.number("requests_in_progress") == 0
    assert service.gate.line.waiting == 0


def test_a_defect_is_answered_for(service):
    answer = service.client.post("/short/", headers={"X-Who": "defect"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert service.counted() == {'route="/short/",method="POST",status="500"': 1}
    assert service.gate.line.waiting == 0


def test_whom_the_gate_does_not_let_in_is_refused(service):
    service.close_the_gate()
    answer = service.client.post("/short/", headers={"X-Who": "defect"})
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert "retry-after" in answer.headers
    assert service.gate.line.waiting == ALWAYS


def test_pages_of_other_origins_are_answered_by_their_rules():
    service = Service(short=True, origins=("https://plant.example",))
    answer = service.client.post("/short/", headers={"Origin": "https://plant.example"})
    assert answer.headers["access-control-allow-origin"] == "https://plant.example"
    assert "access-control-allow-origin" not in service.client.post("/short/").headers


class Server:
    """A server that hands over a body at once, and takes an answer whole unless it is `busy`."""

    def __init__(self, body: bytes | None, *, busy: bool = False) -> None:
        self.body, self.busy = body, busy
        self.whole: list[tuple[int, dict[bytes, bytes], bytes]] = []
        self.sent: list[dict[str, Any]] = []

    def arrived(self) -> bytes | None:
        return self.body

    def answer(self, status: int, headers: Iterable[RawHeader], body: bytes) -> bool:
        if not self.busy:
            self.whole.append((status, dict(headers), body))
        return not self.busy

    async def receive(self) -> dict[str, Any]:
        raise AssertionError("the body was there")

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def ask(self, service: Service) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/short/",
            "query_string": b"",
            "headers": [(b"x-who", b"bad")],
            "extensions": {EXCHANGE: self},
            TURN: service.gate.let_in({}),
        }
        asyncio.run(service.app(scope, self.receive, self.send))


def test_a_server_that_takes_answers_whole_gets_no_messages():
    service, server = Service(short=True), Server(b"")
    server.ask(service)
    ((status, headers, body),) = server.whole
    assert (status, headers[b"x-beside"], int(headers[b"content-length"])) == (422, b"1", len(body))
    assert server.sent == []
    assert service.counted() == {'route="/short/",method="POST",status="422"': 1}


def test_an_answer_that_cannot_be_taken_whole_is_sent():
    service, server = Service(short=True), Server(b"", busy=True)
    server.ask(service)
    start, body = server.sent
    assert (start["status"], dict(start["headers"])[b"x-beside"]) == (422, b"1")
    assert int(dict(start["headers"])[b"content-length"]) == len(body["body"])


def test_other_methods_and_other_paths_go_the_usual_way(client):
    assert client.get("/short/").text == "read by nobody"
    assert client.post("/long/here").text == "nobody at here"
    assert client.delete("/short/").status_code == 405
    assert client.post("/nowhere").status_code == 404


def test_only_what_asks_for_nothing_but_the_request_is_short():
    routes = {route.endpoint: route for route in [*router.routes, *classify.router.routes]}
    assert answer_of(routes[classify.classify]) is not None
    assert answer_of(routes[short]) is not None
    assert answer_of(routes[long]) is None
