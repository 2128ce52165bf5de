"""The framework inside of its middlewares."""

import pytest
from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.enclosed import EnclosedApi


class Noting:
    """Notes who saw a request, in order."""

    def __init__(self, app: ASGIApp, seen: list[str], name: str, answers: str = "") -> None:
        self._app, self._seen, self._name, self._answers = app, seen, name, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._seen.append(self._name)
        if scope["path"] == self._answers:
            await Response("by the middleware")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _refuse(request: Request, error: Exception) -> Response:
    return Response(f"refused: {error}", 500)


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def app(seen: list[str]) -> FastAPI:
    app = EnclosedApi(
        around=[
            Middleware(Noting, seen=seen, name="outer"),
            Middleware(Noting, seen=seen, name="inner", answers="/short"),
        ],
        exception_handlers={Exception: _refuse},
    )

    @app.get("/route")
    async def route(request: Request) -> str:
        return request.app.title

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("unforeseen")

    return app


def test_first_middleware_is_the_outermost(app: FastAPI, seen: list[str]) -> None:
    assert TestClient(app).get("/route").json() == app.title
    assert seen == ["outer", "inner"]


def test_what_a_middleware_answers_never_reaches_the_framework(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(app)
    client.get("/route")
    monkeypatch.setattr(app, "middleware_stack", None)
    assert client.get("/short").text == "by the middleware"
    assert app.middleware_stack is None


def test_unforeseen_error_is_answered_and_still_seen_around(app: FastAPI) -> None:
    assert TestClient(app, raise_server_exceptions=False).get("/broken").text == "refused: unforeseen"
    with pytest.raises(RuntimeError, match="unforeseen"):
        TestClient(app).get("/broken")
