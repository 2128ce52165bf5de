"""A Grafana dashboard as data: its panels' queries, with variables filled in as Grafana does it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What Grafana puts in at a scrape interval of 5 s and a range of two minutes.
RANGE_S = 120
STEP_S = 5
BUILT_IN = {
    "__rate_interval": "20s",
    "__interval": "5s",
    "__interval_ms": "5000",
    "__range": f"{RANGE_S}s",
    "__range_s": str(RANGE_S),
    "__range_ms": str(RANGE_S * 1000),
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]|\$(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((?:(.+),)?\s*(\w+)\s*\)")


@dataclass(frozen=True)
class Query:
    """One query of one panel. instant: of the newest moment only."""

    dashboard: str
    panel: str
    ref: str
    expression: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} [{self.ref}]"


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def queries(path: Path) -> Iterator[Query]:
    for panel in panels(read(path)):
        for target in panel.get("targets", ()):
            if "expr" in target:
                instant = bool(target.get("instant")) and not target.get("range")
                yield Query(path.stem, panel["title"], target.get("refId", "A"), target["expr"], instant)


def panels(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, those of folded rows too."""
    for panel in content.get("panels", ()):
        yield panel
        yield from panels(panel)


def variables(
    content: Mapping[str, Any], label_values: Callable[[str | None, str], list[str]]
) -> dict[str, str]:
    """Values by name: all of them, as a regular expression, where a variable takes several; else the first.

    label_values: what Prometheus has for a selector (or None) and a label.
    """
    found = dict(BUILT_IN)
    for variable in content.get("templating", {}).get("list", ()):
        name, kind = variable["name"], variable["type"]
        if kind == "datasource":
            found[name] = "prometheus"
        elif kind == "query":
            values = label_values(*_parts(variable, found))
            assert values, f"the variable {name} has no values"
            several = variable.get("multi") or variable.get("includeAll")
            found[name] = f"({'|'.join(values)})" if several else values[0]
        else:
            found[name] = _chosen(variable)
    return found


def _parts(variable: Mapping[str, Any], known: Mapping[str, str]) -> tuple[str | None, str]:
    query = variable["query"]
    text = filled_in(query["query"] if isinstance(query, dict) else query, known)
    match = _LABEL_VALUES.fullmatch(text.strip())
    assert match, f"the variable {variable['name']}: {text} is not label_values(...)"
    return match[1], match[2]


def _chosen(variable: Mapping[str, Any]) -> str:
    value = variable.get("current", {}).get("value") or str(variable["query"]).split(",")[0].strip()
    return "|".join(value) if isinstance(value, list) else str(value)


def filled_in(expression: str, values: Mapping[str, str]) -> str:
    """Raises KeyError for a variable that has no value. `$1` of label_replace and the like stays as it is."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        return match[0] if name.isdigit() else values[name]

    return _VARIABLE.sub(value, expression)
