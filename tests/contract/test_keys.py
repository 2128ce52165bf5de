"""API keys: off by default; once there are any, every route but the probes and the page asks for one."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import KeysUnreadable
from service.http.keys import Keyring
from tests.contract.app import CheckedClient, rows, running, settings_for

ROLES = ("classify", "read", "admin")


def entry(name: str, *roles: str) -> dict:
    return {
        "name": name,
        "sha256": hashlib.sha256(f"key of {name}".encode()).hexdigest(),
        "roles": list(roles),
    }


@pytest.fixture(scope="module")
def guarded(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckedClient]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys.json").write_text(json.dumps({"keys": [entry(role, role) for role in ROLES]}))
    with running(settings_for(trained_store, folder / "state", keys_file=folder / "keys.json")) as client:
        yield client


ROUTES = {
    ("POST", "/classify"): {"classify", "admin"},
    ("GET", "/models"): {"classify", "read", "admin"},
    ("GET", "/models/tiny"): {"classify", "read", "admin"},
    ("GET", "/assets"): {"read", "admin"},
    ("GET", "/assets/A/baseline"): {"read", "admin"},
    ("PUT", "/assets/A/baseline"): {"admin"},
    ("DELETE", "/assets/A/baseline"): {"admin"},
    ("GET", "/metrics"): {"read", "admin"},
    ("GET", "/openapi.json"): {"classify", "read", "admin"},
    ("GET", "/livez"): {*ROLES, "nobody"},
    ("GET", "/readyz"): {*ROLES, "nobody"},
    ("GET", "/docs"): {*ROLES, "nobody"},
}


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_role_opens_its_routes_and_no_other(
    guarded: CheckedClient, method: str, path: str, role: str
) -> None:
    headers = {} if role == "nobody" else {"Authorization": f"Bearer key of {role}"}
    response = guarded.request(method, path, headers=headers, json={} if method in ("POST", "PUT") else None)
    if role in ROUTES[method, path]:
        assert response.status_code not in (401, 403)
    else:
        assert response.status_code == (401 if role == "nobody" else 403)


def test_every_route_is_in_the_list_above(guarded: CheckedClient) -> None:
    described = {
        (method.upper(), path.replace("{name}", "tiny").replace("{asset}", "A"))
        for path, methods in guarded.document["paths"].items()
        for method in methods
    }
    assert described == set(ROUTES)


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": "key of classify"}, {"Authorization": "bearer key of classify"}],
    ids=["X-API-Key", "lower case scheme"],
)
def test_key_may_come_in_either_header(guarded: CheckedClient, headers: dict[str, str]) -> None:
    assert guarded.post("/classify", json={"window": rows()}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "key of nobody"},
        {"X-API-Key": hashlib.sha256(b"key of admin").hexdigest()},
        {"Authorization": "Bearer " + "x" * 5000},
        {"X-API-Key": b"\xff\xfe"},
    ],
    ids=["wrong", "its hash", "very long", "not ascii"],
)
def test_wrong_key_is_refused(guarded: CheckedClient, headers: dict) -> None:
    response = guarded.post("/classify", json={"window": rows()}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "key_unknown")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("value", ["Basic a2V5", "Bearer", "Bearer  "])
def test_other_schemes_are_no_key(guarded: CheckedClient, value: str) -> None:
    response = guarded.get("/models", headers={"Authorization": value})
    assert (response.status_code, response.json()["code"]) == (401, "key_required")


def test_log_names_the_key_and_never_shows_it(
    guarded: CheckedClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "service.requests"):
        guarded.get("/models", headers={"X-API-Key": "key of read"})
    (record,) = [r for r in caplog.records if r.getMessage() == "request"]
    assert record.fields["key"] == "read"
    assert "key of" not in str(record.__dict__)


def test_without_a_file_no_key_is_asked_for(onnx_client: CheckedClient) -> None:
    assert onnx_client.get("/models").status_code == 200


def test_toml_file_is_read(tmp_path: Path) -> None:
    key = entry("scada", "classify", "read")
    (tmp_path / "keys.toml").write_text(
        f'[[keys]]\nname = "scada"\nsha256 = "{key["sha256"]}"\nroles = ["classify", "read"]\n'
    )
    assert Keyring.read(tmp_path / "keys.toml").enabled


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"keys": []}',
        '{"keys": [{"name": "a", "sha256": "short", "roles": ["read"]}]}',
        json.dumps({"keys": [{**entry("a", "read"), "roles": ["root"]}]}),
        json.dumps({"keys": [{**entry("a", "read"), "key": "plain"}]}),
        json.dumps({"keys": [entry("a", "read"), entry("a", "admin")]}),
    ],
    ids=["not JSON", "no keys", "empty", "no hash", "unknown role", "unknown field", "same name"],
)
def test_file_that_is_not_right_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(KeysUnreadable, match="keys"):
        Keyring.read(tmp_path / "keys.json")


def test_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysUnreadable, match="No such file"):
        Keyring.read(tmp_path / "keys.json")
