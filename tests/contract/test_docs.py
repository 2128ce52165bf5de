"""docs/api.md and docs/settings.md against the code, and their commands against a service."""

import re
from pathlib import Path

import pytest

from service.http.problems import BY_CODE
from service.measuring.metrics import Metrics
from service.settings import ENV_PREFIX, Settings
from tests.contract.app import CheckedClient

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "api.md").read_text()
SETTINGS = (DOCS / "settings.md").read_text()


def table(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table after a heading, without its header."""
    after = text.partition(f"## {heading}\n")[2] if heading else text
    rows = re.search(r"^\|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", after, re.MULTILINE)
    assert rows
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[1].splitlines()]


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    listed = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in table(SETTINGS, "")}
    expected = {
        f"{ENV_PREFIX}{name}".upper(): (
            ""
            if field.default is None
            else str(field.default).lower()
            if field.default is False
            else str(field.default),
            field.description,
        )
        for name, field in Settings.model_fields.items()
    }
    assert listed == expected


def test_every_error_code_is_listed_with_its_status_and_meaning() -> None:
    listed = {row[0].strip("`"): (int(row[1]), row[2]) for row in table(API, "Errors")}
    assert listed == {kind.code: (kind.status, kind.meaning) for kind in BY_CODE.values()}


def test_every_metric_is_listed() -> None:
    listed = {row[0].strip("`"): (row[1], row[-1]) for row in table(API, "Metrics")}
    assert listed == {name: (kind, text) for name, kind, text in Metrics().described()}


def test_every_route_has_a_command(onnx_client: CheckedClient) -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", API, re.DOTALL))
    for path, methods in onnx_client.document["paths"].items():
        for method in methods:
            pattern = (
                re.escape("$URL" + path).replace(r"\{name\}", r"\$\(.*\)").replace(r"\{asset\}", r"[\w-]+")
            )
            flag = rf"-X {method.upper()} " if method in ("put", "delete") else ""
            assert re.search(rf"curl -s {flag}{pattern}(\s|$)", commands, re.MULTILINE), (method, path)


@pytest.mark.parametrize("text", [API, SETTINGS], ids=["api", "settings"])
def test_variables_named_in_the_text_exist(text: str) -> None:
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    assert {name for name in re.findall(r"OFFNORMAL_[A-Z_]+", text) if name != "OFFNORMAL_"} <= known
