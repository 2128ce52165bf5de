"""What a browser may do with answers, who may see the documentation, and what callers cannot reach."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError

from service.http.request_log import JsonLines
from service.settings import Settings
from tests.contract.app import CheckedClient, by_sensor, faulty, rows, running, settings_for
from tests.contract.test_keys import entry

ORIGIN = "https://hmi.plant.example:8443"


def routes(client: CheckedClient) -> Iterator[tuple[str, str]]:
    """Every route of the app, those that the description leaves out among them: method, path with names."""
    for route in iter_route_contexts(client.app.routes):  # type: ignore[attr-defined]
        path = re.sub(r"\{[^}]*\}", "x", route.path or "")
        yield from ((method, path) for method in sorted(route.methods or ()) if method != "HEAD")


@contextmanager
def with_key(store: Path, folder: Path, **settings: Any) -> Iterator[CheckedClient]:
    (folder / "keys.json").write_text(json.dumps({"keys": [entry("reader", "read")]}))
    with running(settings_for(store, folder / "state", keys_file=folder / "keys.json", **settings)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/docs", 200),
        ("GET", "/metrics", 200),
        ("POST", "/classify", 415),
        ("GET", "/nowhere", 404),
        ("PATCH", "/classify", 405),
    ],
)
def test_every_answer_has_the_headers(
    onnx_client: CheckedClient, method: str, path: str, status: int
) -> None:
    response = onnx_client.request(method, path)
    assert response.status_code == status
    names = [name.lower() for name in response.headers]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert len(names) == len(set(names))
    assert "server" not in names
    assert "strict-transport-security" not in names


def test_tls_is_asked_for_from_then_on_where_it_is_spoken(trained_store: Path, tmp_path: Path) -> None:
    pem = tmp_path / "pem"
    settings = settings_for(trained_store, tmp_path / "state", tls_certificate=pem, tls_key=pem)
    with running(settings, wait=False) as client:
        assert client.get("/livez").headers["strict-transport-security"].startswith("max-age=")


def test_no_page_of_others_may_read_answers_by_default(onnx_client: CheckedClient) -> None:
    answer = onnx_client.get("/models", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    assert onnx_client.options("/classify", headers=headers).status_code == 405


@pytest.mark.parametrize("origin", [ORIGIN, "https://elsewhere.example", "null"])
def test_named_origin_may_read_answers_and_no_other(trained_store: Path, tmp_path: Path, origin: str) -> None:
    settings = settings_for(trained_store, tmp_path / "state", cors_origins=f"http://localhost {ORIGIN}")
    with running(settings) as client:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key,content-type",
        }
        asked = super(CheckedClient, client).request("OPTIONS", "/classify", headers=headers)
        answer = client.post("/classify", json={"window": rows()}, headers={"Origin": origin})
    allowed = origin if origin == ORIGIN else None
    assert asked.status_code == (200 if allowed else 400)
    assert asked.headers.get("access-control-allow-origin") == allowed
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origins", ["*", "https://a.example/path", "plant.example", "https://a.example, https://b"]
)
def test_origin_that_is_none_stops_the_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="no origin"):
        Settings(cors_origins=origins)


@pytest.mark.parametrize("alone", ["tls_certificate", "tls_key"])
def test_half_of_tls_stops_the_start(alone: str) -> None:
    with pytest.raises(ValidationError, match="go together"):
        Settings(**{alone: "file.pem"})


@pytest.mark.parametrize(
    ("docs", "without", "with_it"), [("open", 200, 200), ("key", 401, 200), ("off", 404, 404)]
)
def test_page_is_shown_to_whom_the_settings_say(
    trained_store: Path, tmp_path: Path, docs: str, without: int, with_it: int
) -> None:
    with with_key(trained_store, tmp_path, docs=docs) as client:
        assert client.get("/docs").status_code == without
        assert client.get("/docs", headers={"X-API-Key": "key of reader"}).status_code == with_it


def test_every_registered_route_asks_for_a_key(trained_store: Path, tmp_path: Path) -> None:
    # Whatever protocol a route belongs to: what is open has to be said here.
    open_to_all = re.compile(r"/(livez|readyz|docs|v2/health/(live|ready)|v2/?)")
    with with_key(trained_store, tmp_path) as client:
        asked = {
            (method, path): super(CheckedClient, client).request(method, path).status_code
            for method, path in routes(client)
        }
    assert ("POST", "/classify") in asked
    left_open = {path for (_, path), status in asked.items() if status not in (401, 403)}
    assert {path for path in left_open if not open_to_all.fullmatch(path)} == set()


NASTY = (
    '\n{"event": "forged"}',
    "\r\nlevel=error",
    "\x1b[2J\x1b]0;owned\x07",
    "\u2028\u2029\x85",
    "%n%s%x{0}",
    "\u202e gnp.exe",
    "\x00",
)


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_what_callers_send_stays_inside_its_line_of_the_log(
    onnx_client: CheckedClient, caplog: pytest.LogCaptureFixture, nasty: str
) -> None:
    window = {"id": nasty, "asset": nasty, "readings": {nasty: [1.0]}}
    with caplog.at_level(logging.DEBUG):
        onnx_client.post("/classify", json={"windows": [window], "on_error": "skip"})
        onnx_client.post("/classify", json={"windows": [window], "model": nasty})
        quoted = "".join(f"%{byte:02x}" for byte in nasty.encode())
        onnx_client.get(f"/models/{quoted}")
        onnx_client.get(f"/assets/{quoted}/baseline")
        onnx_client.get(f"/{quoted}?{quoted}={quoted}")
        onnx_client.get("/models", headers={"X-Request-Id": quoted, "User-Agent": quoted})
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("service")]
    assert len(lines) >= 6
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] != "forged"


PATHS = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\win.ini",
    "file:///etc/passwd",
    "tiny/../tiny",
    "tiny/1/manifest.json",
    "~/.ssh/id_rsa",
    "/proc/self/environ",
    "\\\\host\\share\\x",
    "con",
    "tiny\x00.json",
)


class Opened:
    """Names of all files that the process opens, lists or asks about while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.names: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in (
            "open",
            "os.listdir",
            "os.scandir",
            "sqlite3.connect",
            "os.mkdir",
            "os.remove",
        ):
            self.names.append(str(arguments[0]))


@pytest.fixture(scope="module")
def opened() -> Opened:
    # A hook of this kind stays for the life of the process; this one is silent but during its tests.
    return Opened()


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_no_path_from_a_caller_reaches_the_file_system(
    onnx_client: CheckedClient, opened: Opened, path: str
) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in path.encode())
    window = {"id": path, "asset": path, "values": rows()}
    opened.names.clear()
    opened.on = True
    try:
        onnx_client.post("/classify", json={"windows": [window], "model": path})
        onnx_client.post("/classify", json={"windows": [window], "on_error": "skip"})
        for name in (path, quoted):
            onnx_client.get(f"/models/{quoted}", params={"version": name})
            onnx_client.get(f"/assets/{quoted}/baseline", params={"model": name})
            onnx_client.put(f"/assets/{quoted}/baseline", params={"model": name}, json={"values": rows(60)})
        onnx_client.put(
            f"/assets/{quoted}/baseline", content=f"{path},Flow\n1,2\n", headers={"Content-Type": "text/csv"}
        )
        onnx_client.delete(f"/assets/{quoted}/baseline")
        onnx_client.get(f"/{quoted}")
    finally:
        opened.on = False
    word = re.split(r"[/\\\x00]", path)[-1]
    assert [name for name in opened.names if path in name or word in Path(name).name] == []


def test_labels_stay_few_however_callers_name_things(trained_store: Path, tmp_path: Path) -> None:
    with running(settings_for(trained_store, tmp_path / "state", metric_assets=5)) as client:

        def series() -> set[str]:
            lines = client.get("/metrics").text.splitlines()
            # Not the bounds: a histogram writes those that it has seen.
            return {
                re.sub(r'(_bucket|_sum|_count)|,?le="[^"]*"', "", line.rpartition(" ")[0]).strip()
                for line in lines
            }

        def provoke(count: int, first: int) -> None:
            for i in range(first, first + count):
                client.post("/classify", json={"windows": [{"asset": f"pump {i}", "values": rows()}]})
                client.post(
                    "/classify", json={"windows": [{"asset": f"fan {i}", "readings": by_sensor(faulty())}]}
                )
                client.post("/classify", json={"window": [], "model": f"model {i}"})
                client.get(f"/models/m{i}")
                client.get(f"/nowhere/{i}")
                super(CheckedClient, client).request(f"VERB{i}", "/models")
                client.get(f"/assets/a{i}/baseline")

        provoke(20, 0)
        series()  # is a request as well, and counted
        before = series()
        provoke(60, 100)
        assert series() == before
