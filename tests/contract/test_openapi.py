"""/openapi.json and /docs: what they say is what the service does."""

import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from service.http.problems import BY_CODE
from tests.contract.app import CheckedClient, gated, running, settings_for


@pytest.fixture(scope="module")
def document(onnx_client: CheckedClient) -> dict[str, Any]:
    return onnx_client.get("/openapi.json").json()


def examples(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    content = document["paths"][path][method]["requestBody"]["content"]["application/json"]
    return {name: example["value"] for name, example in content["examples"].items()}


@pytest.mark.parametrize("name", ["shorthand", "readings", "batch"])
def test_example_of_classify_works_when_pasted(client: CheckedClient, name: str) -> None:
    body = examples(client.get("/openapi.json").json(), "/classify", "post")[name]
    results = client.post("/classify", json=body).json()["results"]
    assert results[0]["verdict"] == "normal"
    assert len(results) == len(body.get("windows", [None]))
    if name == "batch":
        assert results[1]["verdict"] == "anomalous"


def test_example_of_commissioning_works_when_pasted(
    onnx_client: CheckedClient, document: dict[str, Any]
) -> None:
    (body,) = examples(document, "/assets/{asset}/baseline", "put").values()
    assert onnx_client.put("/assets/pasted/baseline", json=body).status_code in (200, 201)


def test_examples_are_short_enough_to_read(document: dict[str, Any]) -> None:
    for body in examples(document, "/classify", "post").values():
        assert max(len(number) for number in re.findall(r"-?\d+\.\d+", json.dumps(body))) <= 9


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    for name in set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document))):
        assert name in document["components"]["schemas"]


def test_operations_have_short_names_of_their_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(names) == len(set(names))
    assert {"classify", "put_baseline", "show_model"} <= set(names)


def test_document_says_to_generators_what_schemas_imply(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Result"]["properties"]["verdict"]["type"] == "string"
    assert schemas["ModelDetail"]["properties"]["metrics"]["additionalProperties"] is True
    assert '"default": null' not in json.dumps(document)


def test_every_code_is_documented(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for code in BY_CODE:
        assert f"`{code}`" in text


def test_every_field_of_a_request_is_described(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["ClassifyRequest"]["properties"]
    assert set(fields) == {
        *("windows", "window", "model", "version", "explain", "reconstruct", "false_alarm_rate", "on_error")
    }
    window = document["components"]["schemas"]["Window"]["properties"]
    assert set(window) == {"readings", "values", "timestamps", "id", "asset"}
    assert window["readings"]["additionalProperties"]["type"] == "array"


def test_schemas_refuse_what_the_service_refuses(
    onnx_client: CheckedClient, document: dict[str, Any]
) -> None:
    import jsonschema

    schema = {"$ref": "#/components/schemas/ClassifyRequest", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    for body in examples(document, "/classify", "post").values():
        validator.validate(body)
    for body in (
        {},
        {"window": [[1]], "windows": []},
        {"windows": [{"readings": {"a": ["1"]}}]},
        {"windows": [{"readings": {}, "values": []}]},
        {"window": [[1]], "other": 1},
        {"window": [[1]], "on_error": "x"},
    ):
        assert not validator.is_valid(body)
        assert onnx_client.post("/classify", json=body).status_code == 422


def test_document_is_there_before_any_model_is(trained_store: Path, tmp_path: Path) -> None:
    import threading

    opened = threading.Event()
    settings = settings_for(trained_store, tmp_path / "state")
    with running(settings, gated(lambda batch: opened.wait(30) and None), wait=False) as client:
        assert client.get("/openapi.json").status_code == 200
        assert client.get("/livez").status_code == 200
        opened.set()


def test_page_loads_nothing_from_elsewhere(onnx_client: CheckedClient) -> None:
    response = onnx_client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", response.text)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "unsafe-inline" not in response.headers["content-security-policy"]


def test_type_of_a_problem_leads_to_its_line_in_the_page(onnx_client: CheckedClient) -> None:
    problem = onnx_client.get("/models/other").json()
    assert urllib.parse.urlparse(problem["type"]).path == "/docs"
