"""`docker compose up`, as it is printed in the compose file."""

import re

import httpx
import pytest

from tests.containers import windows
from tests.containers.engine import ROOT, SERVICES, Demo, wait_until

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"


def test_every_container_becomes_healthy(demo: Demo) -> None:
    assert demo.health() == dict.fromkeys(SERVICES, "healthy")


def test_window_is_classified_through_the_published_port(demo: Demo) -> None:
    answer = httpx.post(f"{demo.url('service')}/classify", json=windows.request(3), timeout=10)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == 3
    assert {result["verdict"] for result in results} <= {"normal", "anomalous"}
    assert sum(results[0]["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)


def test_fault_is_found_through_the_published_port(demo: Demo) -> None:
    body = windows.request(shifted="Pressure")
    result = httpx.post(f"{demo.url('service')}/classify", json=body, timeout=10).json()["results"][0]
    assert result["verdict"] == "anomalous"
    assert result["contributions"][0]["sensor"] == "Pressure"


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_loopback_only(demo: Demo, service: str) -> None:
    published = demo.inspect(service)["NetworkSettings"]["Ports"] or {}
    hosts = {binding["HostIp"] for bindings in published.values() for binding in bindings or ()}
    assert hosts == (set() if service == "plant" else {"127.0.0.1"})


@pytest.mark.parametrize("service", SERVICES)
def test_container_is_confined(demo: Demo, service: str) -> None:
    facts = demo.inspect(service)
    host = facts["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert {"max-size", "max-file"} <= set(host["LogConfig"]["Config"])
    assert facts["Config"]["User"].split(":")[0] not in {"", "0", "root"}


@pytest.mark.parametrize("place", ["/models", "/opt/offnormal", "/etc", "/"])
def test_service_cannot_write_outside_its_state(demo: Demo, place: str) -> None:
    attempt = (
        f"import tempfile\ntry: tempfile.TemporaryFile(dir={place!r})\nexcept OSError as e: print(e.strerror)"
    )
    assert demo.exec("service", "python", "-c", attempt).strip() == "Read-only file system"


def test_service_runs_as_the_ordinary_user_of_its_image(demo: Demo) -> None:
    assert demo.exec("service", "id", "-u").strip() == "10001"


def test_plant_commissions_its_machines_and_is_judged(demo: Demo) -> None:
    def assets() -> set[str]:
        return {asset["asset"] for asset in demo.get("service", "/assets").json()["assets"]}

    wait_until(lambda: assets() >= {"P-101", "P-102", "P-103"}, 30, lambda: f"{assets()}{demo.logs()}")


def test_prometheus_scrapes_the_service_and_the_plant(demo: Demo) -> None:
    def targets() -> dict[str, tuple[str, str]]:
        found = demo.get("prometheus", "/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in found}

    up = {"offnormal": ("up", ""), "plant": ("up", "")}
    wait_until(lambda: targets() == up, 20, lambda: f"{targets()}{demo.logs()}")


@pytest.mark.skipif(not RULES, reason="there are no alert rules in deploy/prometheus/rules")
def test_every_alert_rule_is_loaded_and_evaluates(demo: Demo) -> None:
    named = sorted(re.findall(r"^\s*- alert: *(\S+)", "\n".join(path.read_text() for path in RULES), re.M))

    def rules() -> list[dict[str, str]]:
        groups = demo.get("prometheus", "/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), 30, lambda: f"{rules()}")
    assert sorted(rule["name"] for rule in rules() if rule["type"] == "alerting") == named
    assert [rule for rule in rules() if rule["health"] != "ok" or rule.get("lastError")] == []


def test_grafana_is_given_the_dashboards_and_the_data_source(demo: Demo) -> None:
    given = demo.exec("grafana", "find", "/etc/grafana", "-type", "f").split()
    wanted = {f"/etc/grafana/dashboards/{path.name}" for path in DASHBOARDS.glob("*.json")}
    wanted |= {
        f"/etc/grafana/provisioning/{path.relative_to(ROOT / 'deploy/grafana/provisioning')}"
        for path in (ROOT / "deploy/grafana/provisioning").rglob("*.yml")
    }
    assert wanted <= set(given)


def test_grafana_has_no_administrator_unless_a_password_is_set(demo: Demo) -> None:
    environments = demo.exec("grafana", "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null").split("\0")
    assert "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=true" in environments
    assert "GF_AUTH_BASIC_ENABLED=false" in environments
    assert demo.get("grafana", "/api/admin/stats", auth=("admin", "admin")).status_code != 200
