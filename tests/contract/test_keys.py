"""API keys: off by default; once there are any, every route but the probes and the page asks for one."""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import KeysUnreadable, KeyUnknown
from service.http import keys
from service.http.keys import read_keys
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
    ("POST", "/models/reload"): {"admin"},
    ("PUT", "/models/tiny/live"): {"admin"},
    ("PUT", "/models/tiny/challenger"): {"admin"},
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


class Rotation:
    """A service whose key file can be written while it runs; each request looks at it."""

    def __init__(self, client: CheckedClient, file: Path) -> None:
        self._client = client
        self.file = file

    def write(self, *names: str) -> None:
        aside = self.file.with_suffix(".new")
        aside.write_text(json.dumps({"keys": [entry(name, "read") for name in names]}))
        aside.rename(self.file)

    def status(self, name: str) -> int:
        return self._client.get("/models", headers={"X-API-Key": f"key of {name}"}).status_code


@pytest.fixture
def rotation(trained_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotation]:
    monkeypatch.setattr(keys, "WATCH_S", 0.0)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [entry("old", "read")]}))
    with running(settings_for(trained_store, tmp_path / "state", keys_file=file)) as client:
        yield Rotation(client, file)


def test_key_is_rotated_without_a_restart(rotation: Rotation) -> None:
    rotation.write("old", "new")
    assert (rotation.status("old"), rotation.status("new")) == (200, 200)
    rotation.write("new")
    assert (rotation.status("old"), rotation.status("new")) == (401, 200)


@pytest.mark.parametrize("harm", ["gone", "empty", "half"])
def test_spoilt_file_leaves_the_keys_as_they_were(
    rotation: Rotation, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    content = rotation.file.read_text()
    if harm == "gone":
        rotation.file.unlink()
    else:
        rotation.file.write_text("" if harm == "empty" else content[:30])
    assert (rotation.status("old"), rotation.status("new")) == (200, 401)
    assert [r.levelname for r in caplog.records if r.getMessage() == "keys not changed"] == ["ERROR"]
    rotation.write("new")
    assert (rotation.status("old"), rotation.status("new")) == (401, 200)


def test_file_is_looked_at_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: now[0])
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [entry("old", "read")]}))
    ring = keys.KeyFile(file)
    file.write_text(json.dumps({"keys": [entry("new", "read")]}))
    headers = keys.Headers({"x-api-key": "key of new"})
    now[0] += keys.WATCH_S / 2
    with pytest.raises(KeyUnknown):
        ring.admit(headers, frozenset({keys.Role.READ}))
    now[0] += keys.WATCH_S / 2
    admitted = ring.admit(headers, frozenset({keys.Role.READ}))
    assert admitted is not None
    assert admitted.name == "new"


def test_every_key_is_compared_in_constant_time(
    guarded: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return real(known, given)

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    for name in (*ROLES, "nobody"):
        compared.clear()
        guarded.get("/models", headers={"X-API-Key": f"key of {name}"})
        assert len(compared) == len(ROLES)


def test_without_a_file_no_key_is_asked_for(onnx_client: CheckedClient) -> None:
    assert onnx_client.get("/models").status_code == 200


def test_toml_file_is_read(tmp_path: Path) -> None:
    key = entry("scada", "classify", "read")
    (tmp_path / "keys.toml").write_text(
        f'[[keys]]\nname = "scada"\nsha256 = "{key["sha256"]}"\nroles = ["classify", "read"]\n'
    )
    (read,) = read_keys(tmp_path / "keys.toml")
    assert (read.name, read.roles) == ("scada", {"classify", "read"})


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
        json.dumps({"keys": [entry("a\n", "read")]}),
        json.dumps({"keys": [{**entry("a", "read"), "requests_per_s": 0}]}),
        "[" * 100_000,
    ],
    ids=[
        *("not JSON", "no keys", "empty", "no hash", "unknown role", "unknown field", "same name"),
        *("line break in a name", "no requests at all", "nested deeply"),
    ],
)
def test_file_that_is_not_right_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(KeysUnreadable, match="keys"):
        read_keys(tmp_path / "keys.json")


def test_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysUnreadable, match="No such file"):
        read_keys(tmp_path / "keys.json")
