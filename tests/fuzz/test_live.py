"""A running service, asked by a machine that read its OpenAPI description: what fits it, and what does not.

No answer may be a 500, or of a status, type or form that is not described.
"""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from service.http.openapi import describe
from service.settings import Settings
from tests.contract.app import rows
from tests.e2e.server import Server, serving
from tests.fuzz import amount
from tests.plant import SENSORS

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
STEPS = 12
MODES = {
    "fitting": schemathesis.GenerationMode.POSITIVE,
    "misfitting": schemathesis.GenerationMode.NEGATIVE,
}
# Cases of one operation in one mode; the operation that everything is about gets more.
USUAL, MOST = 40, 150


@dataclass
class Tally:
    """What was asked and how it was answered, by status."""

    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def note(self, path: str, response: Any) -> None:
        self.statuses[f"{path} {response.status_code}"] += 1
        if path == "/classify" and response.status_code == 200 and response.content[:1] == b"{":
            results = json.loads(response.content)["results"]
            self.verdicts.update(result.get("verdict", "failed") for result in results)


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    tally = Tally()
    yield tally
    print(f"\n{tally.statuses.total()} requests made up from the description: {dict(tally.statuses)}")  # noqa: T201


@pytest.fixture(scope="module")
def server(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained_store, tmp_path_factory.mktemp("state"), OFFNORMAL_LOG_LEVEL="warning") as server:
        yield server
        assert "unforeseen error" not in "".join(server.out)
        assert server.stop() == 0


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    return server.get("/openapi.json").json()


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The description with what this model needs said in it: else one case in a thousand would be judged."""
    narrow = copy.deepcopy(document)
    schemas = narrow["components"]["schemas"]
    reading = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    column = {"type": "array", "items": reading, "minItems": STEPS, "maxItems": STEPS}
    row = {"type": "array", "items": reading, "minItems": len(SENSORS), "maxItems": len(SENSORS)}
    readings = {
        "type": "object",
        "properties": dict.fromkeys(SENSORS, column),
        "additionalProperties": False,
        "minProperties": 1,
    }
    rows = {"type": "array", "items": row, "minItems": 4, "maxItems": 20}
    for name, field_, narrower in (
        ("Window", "readings", readings),
        ("Window", "values", rows),
        ("ClassifyRequest", "window", rows),
        ("CommissionRequest", "readings", readings),
        ("CommissionRequest", "values", {**rows, "minItems": 30, "maxItems": 60}),
    ):
        schemas[name]["properties"][field_] = narrower
    for name in ("Window", "CommissionRequest"):
        schemas[name]["properties"].pop("timestamps")
    schemas["Window"]["properties"]["asset"] = {"enum": ["P-101", None]}
    post = narrow["paths"]["/classify"]["post"]
    post["parameters"] = []
    post["requestBody"]["content"] = {"application/json": post["requestBody"]["content"]["application/json"]}
    for name in ("model", "version", "false_alarm_rate"):
        schemas["ClassifyRequest"]["properties"].pop(name)
    return narrow


def operations() -> Iterator[tuple[str, str, str]]:
    """Path, method and mode; what takes no input cannot be asked wrongly."""
    for path, methods in describe(create_app(Settings()))["paths"].items():
        for method, described in methods.items():
            yield path, method, "fitting"
            if described.get("parameters") or "requestBody" in described:
                yield path, method, "misfitting"


def ask(
    document: dict[str, Any], path: str, method: str, mode: str, url: str, count: int, tally: Tally
) -> None:
    """Make up so many requests of one operation, send them, and hold the answers to the description."""
    operation = schemathesis.openapi.from_dict(document)[path][method]

    @hypothesis.given(case=operation.as_strategy(generation_mode=MODES[mode]))
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        derandomize=amount.TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def each(case: schemathesis.Case) -> None:
        response = case.call_and_validate(base_url=url, checks=CHECKS, timeout=30)
        assert response.status_code != 500
        tally.note(path, response)

    each()


@pytest.mark.parametrize(("path", "method", "mode"), operations())
def test_answers_are_as_described(
    server: Server, document: dict[str, Any], tally: Tally, path: str, method: str, mode: str
) -> None:
    ask(document, path, method, mode, server.url, amount.cases(USUAL), tally)


@pytest.mark.parametrize("mode", MODES)
def test_windows_made_for_the_model_are_answered_as_described(
    server: Server, document: dict[str, Any], mode: str, tally: Tally
) -> None:
    everything, tally = tally, Tally()
    ask(narrowed(document), "/classify", "post", mode, server.url, amount.cases(MOST), tally)
    everything.statuses.update(tally.statuses)
    if mode == "fitting":
        assert tally.verdicts["anomalous"] > 0
    else:
        assert sum(count for line, count in tally.statuses.items() if line.split()[1][0] == "4") > 0


def test_service_is_well_after_all_that(server: Server) -> None:
    assert httpx.post(f"{server.url}/classify", json={"window": rows()}).status_code == 200
    assert server.get("/readyz").json()["ready"] is True
