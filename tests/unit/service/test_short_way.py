"""Which routes are answered without the framework, and that they are answered alike."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from service.errors import WrongContent
from service.http import classify
from service.http.problems import response_to
from service.http.short_way import ShortWay, answer_of


async def _who(request: Request) -> str:
    return request.headers.get("x-who", "nobody")


Who = Annotated[str, Depends(_who)]
router = APIRouter()


@router.post("/short/")
async def short(request: Request, who: Who) -> Response:
    if who == "bad":
        raise WrongContent("no such person", place="header.X-Who")
    return Response(f"{who} {(await request.body()).decode()} {request.scope['route'].path}")


@router.post("/long/{place}")
async def long(request: Request, place: str, who: Who) -> Response:
    return Response(f"{who} at {place}")


@router.get("/short/")
async def read(request: Request, who: Who) -> Response:
    return Response(f"read by {who}")


async def _refuse(_: Request, error: Exception) -> Response:
    return response_to(error, "id")


@pytest.fixture(params=[True, False], ids=["short", "framework"])
def client(request):
    middleware = [Middleware(ShortWay, router=router, refuse=_refuse)] if request.param else []
    app = FastAPI(middleware=middleware, exception_handlers={WrongContent: _refuse})
    app.include_router(router)
    return TestClient(app)


def test_the_handler_has_the_request_and_what_its_dependency_gives(client):
    answer = client.post("/short/", content="body", headers={"X-Who": "Anna"})
    assert answer.text == "Anna body /short/"


def test_an_error_is_refused_as_by_the_framework(client):
    answer = client.post("/short/", headers={"X-Who": "bad"})
    assert (answer.status_code, answer.json()["place"]) == (422, "header.X-Who")


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
