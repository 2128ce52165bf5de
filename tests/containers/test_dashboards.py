"""What the dashboards ask, asked of the real Prometheus after a minute of plant's traffic.

A panel that may rightly be empty, such as one of errors, ends its query in `or vector(0)`.
"""

import math
import time
from typing import Any

import pytest

from tests.containers import dashboard
from tests.containers.dashboard import RANGE_S, STEP_S, Query
from tests.containers.engine import ROOT, Demo

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
DASHBOARDS = sorted(FOLDER.glob("*.json"))
QUERIES = [query for path in DASHBOARDS for query in dashboard.queries(path)]
# A query may need one more scrape than there has been.
PATIENCE_S = 15.0


@pytest.mark.skipif(not FOLDER.exists(), reason="there are no dashboards in deploy/grafana")
def test_there_are_dashboards_with_queries() -> None:
    assert DASHBOARDS
    silent = {path.stem for path in DASHBOARDS} - {query.dashboard for query in QUERIES}
    assert silent == set()


def ask(demo: Demo, path: str, **parameters: str | float) -> Any:
    """Data of Prometheus' answer. Fails with its words when it refuses."""
    answer = demo.get("prometheus", f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, f"{parameters}\n{answer.text}"
    return answer.json()["data"]


def values_of(demo: Demo, name: str) -> dict[str, str]:
    """What the variables of a dashboard stand for."""

    def label_values(selector: str | None, label: str) -> list[str]:
        found: list[str] = ask(demo, f"label/{label}/values", **({"match[]": selector} if selector else {}))
        return found

    return dashboard.variables(dashboard.read(FOLDER / f"{name}.json"), label_values)


def data(demo: Demo, expression: str, instant: bool) -> list[float]:
    """Every number that a query returns, except NaN."""
    now = time.time()
    if instant:
        result = ask(demo, "query", query=expression, time=now)["result"]
        pairs = [series["value"] for series in result]
    else:
        span = {"start": now - RANGE_S, "end": now, "step": STEP_S}
        result = ask(demo, "query_range", query=expression, **span)["result"]
        pairs = [pair for series in result for pair in series["values"]]
    return [number for number in (float(value) for _, value in pairs) if not math.isnan(number)]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_query_of_a_panel_returns_data(watched: Demo, query: Query) -> None:
    expression = dashboard.filled_in(query.expression, values_of(watched, query.dashboard))
    limit = time.monotonic() + PATIENCE_S
    while not (found := data(watched, expression, query.instant)) and time.monotonic() < limit:
        time.sleep(1)
    assert found, f"no data: {expression}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_annotations_are_valid_queries(watched: Demo, path: Any) -> None:
    content = dashboard.read(path)
    values = values_of(watched, path.stem)
    for annotation in content.get("annotations", {}).get("list", ()):
        if "expr" in annotation:
            data(watched, dashboard.filled_in(annotation["expr"], values), instant=False)
