"""The dashboards: generated, valid by Grafana's own schema, and complete."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.measuring.metrics import Metrics

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "grafana"
_spec = importlib.util.spec_from_file_location("grafana_build", FOLDER / "build.py")
assert _spec is not None
assert _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)
NAMES = sorted(build.DASHBOARDS)
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name in NAMES
    for panel in build.DASHBOARDS[name]()["panels"]
]


@pytest.mark.parametrize("name", NAMES)
def test_committed_dashboard_is_what_the_code_builds(name: str) -> None:
    committed = (FOLDER / "dashboards" / f"{name}.json").read_text()
    assert committed == build.text_of(build.DASHBOARDS[name]()), "run: python deploy/grafana/build.py"


def test_there_is_no_other_dashboard() -> None:
    assert sorted(path.stem for path in (FOLDER / "dashboards").iterdir()) == NAMES


def plain(value: Any) -> Any:
    """What Grafana's own types make of a dashboard, as JSON again."""
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    return json.loads(encoder.JSONEncoder(sort_keys=True).encode(value))


def lost(given: Any, known: Any, at: str = "") -> list[str]:
    """Places of what was given and is not known, or is known otherwise."""
    if isinstance(given, dict) and isinstance(known, dict):
        return [
            place
            for key, value in given.items()
            for place in (lost(value, known[key], f"{at}.{key}") if key in known else [f"{at}.{key}"])
            if value is not None
        ]
    if isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        pairs = enumerate(zip(given, known, strict=True))
        return [place for i, (a, b) in pairs for place in lost(a, b, f"{at}[{i}]")]
    return [] if given == known else [f"{at}: {given!r} became {known!r}"]


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_keeps_to_the_schema_that_grafana_publishes(name: str) -> None:
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    content = build.DASHBOARDS[name]()
    parsed = models.Dashboard.from_json(content)
    assert dataclasses.is_dataclass(parsed) or parsed is not None
    assert lost(content, plain(parsed)) == []


@pytest.mark.parametrize("panel", PANELS)
def test_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.parametrize("panel", PANELS)
def test_panel_asks_for_metrics_that_exist(panel: dict[str, Any]) -> None:
    known = {name for name, _, _ in Metrics().described()} | {"offnormal_plant_anomalous"}
    for query in panel["targets"]:
        for name in re.findall(r"\boffnormal_\w+", query["expr"]):
            assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_has_its_variables_and_leads_to_the_others(name: str) -> None:
    content = build.DASHBOARDS[name]()
    assert [each["name"] for each in content["templating"]["list"]] == ["datasource", "model", "asset"]
    (link,) = content["links"]
    assert link["tags"] == content["tags"]
    assert link["includeVars"]
    assert link["keepTime"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in build.DASHBOARDS[name]()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
