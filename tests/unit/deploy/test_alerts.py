"""Alert rules: unit tests by Prometheus' own tool, and a page for each alert."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.measuring.metrics import Metrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
TEXT = "\n".join(path.read_text() for path in RULES)
ALERTS = re.findall(r"- alert: (\w+)", TEXT)
RUNBOOK = ROOT / "docs" / "operations" / "alerts.md"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool (Debian: prometheus) is not installed: rules are untested",
)


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_rules_are_valid() -> None:
    promtool("check", "rules", *map(str, RULES))


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_a_test_a_severity_and_a_page(alert: str) -> None:
    rule = TEXT.split(f"- alert: {alert}\n")[1].split("- alert:")[0]
    assert re.search(r"severity: (page|ticket)", rule)
    assert "summary:" in rule
    assert "description:" in rule
    assert f"runbook_url: docs/operations/alerts.md#{alert.lower()}\n" in rule
    assert f"\n## {alert}\n" in RUNBOOK.read_text()
    assert any(f"alertname: {alert}\n" in path.read_text() for path in TESTS)


def test_there_is_no_page_for_an_alert_that_does_not_exist() -> None:
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == ALERTS


def test_rules_ask_for_metrics_that_exist() -> None:
    known = {name for name, _, _ in Metrics().described()}
    for name in re.findall(r"\boffnormal_\w+", TEXT):
        assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name
