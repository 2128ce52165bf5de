"""The dashboards as code: `python deploy/grafana/build.py` writes deploy/grafana/dashboards/*.json.

Needs nothing but Python. Change this file, never the JSON: a test holds the two together.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
Json = dict[str, Any]
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
BY_MODEL = 'model=~"$model"'
BY_ASSET = 'model=~"$model",asset=~"$asset"'
GREEN, AMBER, RED, GREY = "green", "orange", "red", "#8e8e8e"
# Only where there is nothing at all: a plain `or` would add a series without labels to every panel.
NEVER_EMPTY = " or on () vector(0)"


def target(expr: str, legend: str = "", instant: bool = False) -> Json:
    """One query. legend: Grafana's `{{label}}` pattern."""
    kind = {"instant": True, "range": False} if instant else {"range": True}
    return {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend or "__auto", **kind}


def panel(
    kind: str,
    title: str,
    text: str,
    targets: list[Json],
    unit: str = "short",
    *,
    width: int = 12,
    height: int = 8,
    steps: list[tuple[float | None, str]] | None = None,
    low: float | None = None,
    high: float | None = None,
    mappings: list[Json] | None = None,
    custom: Json | None = None,
    options: Json | None = None,
    overrides: list[Json] | None = None,
) -> Json:
    """One panel; its place is given by `dashboard`. steps: thresholds, from value on a colour."""
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in steps or [(None, GREEN)]],
        },
        "mappings": mappings or [],
        "custom": custom or {},
    }
    defaults |= {name: value for name, value in (("min", low), ("max", high)) if value is not None}
    if steps and kind in ("stat", "state-timeline", "bargauge"):
        defaults["color"] = {"mode": "thresholds"}
    refs = [{**query, "refId": chr(ord("A") + number)} for number, query in enumerate(targets)]
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": PROMETHEUS,
        "targets": refs,
        "fieldConfig": {"defaults": defaults, "overrides": overrides or []},
        "options": options or {},
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
    }


def lines(
    title: str, text: str, targets: list[Json], unit: str = "short", *, stacked: bool = False, **more: Any
) -> Json:
    """Series over time."""
    logarithmic = more.pop("logarithmic", False)
    custom: Json = {"lineWidth": 1, "fillOpacity": 30 if stacked else 5, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    if logarithmic:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
    if more.get("steps"):
        custom["thresholdsStyle"] = {"mode": "line"}
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, text, targets, unit, custom=custom, options=options, **more)


def stat(title: str, text: str, expr: str, unit: str = "short", **more: Any) -> Json:
    """One number, of now."""
    reduce = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    options = {"reduceOptions": reduce, "colorMode": "background", "graphMode": "none", "textMode": "auto"}
    more = {"width": 6, "height": 4} | more
    return panel("stat", title, text, [target(expr, instant=True)], unit, options=options, **more)


def bars(title: str, text: str, targets: list[Json], unit: str = "short", **more: Any) -> Json:
    """One bar for each series, of now."""
    reduce = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    options = {
        "reduceOptions": reduce,
        "orientation": "horizontal",
        "displayMode": "basic",
        "showUnfilled": True,
    }
    return panel("bargauge", title, text, targets, unit, options=options, **more)


def timeline(title: str, text: str, targets: list[Json], words: list[tuple[str, str]], **more: Any) -> Json:
    """States over time. words: text and colour of the states 0, 1, …"""
    mappings = [
        {
            "type": "value",
            "options": {
                str(number): {"text": word, "color": color, "index": number}
                for number, (word, color) in enumerate(words)
            },
        }
    ]
    steps = [(number or None, color) for number, (_, color) in enumerate(words)]
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"lineWidth": 0, "fillOpacity": 80}
    return panel(
        "state-timeline",
        title,
        text,
        targets,
        mappings=mappings,
        steps=steps,
        options=options,
        custom=custom,
        **more,
    )


def dashed(pattern: str, color: str = GREY) -> Json:
    """Series whose name matches are drawn as a dashed line without filling."""
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
        ],
    }


def variable(name: str, label: str, query: str) -> Json:
    """Some or all values of a label."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all", "selected": True},
    }


def dashboard(uid: str, title: str, text: str, panels: list[Json]) -> Json:
    """Panels in rows from left to right, as wide as they say."""
    x = y = tallest = 0
    for number, each in enumerate(panels, start=1):
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        place |= {"x": x, "y": y}
        each["id"] = number
        x, tallest = x + place["w"], max(tallest, place["h"])
    return {
        "uid": uid,
        "title": title,
        "description": text,
        "tags": ["offnormal"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Offnormal",
                "tags": ["offnormal"],
                "asDropdown": False,
                "icon": "external link",
                "tooltip": "The other dashboards, with the same time, model and asset",
                "url": "",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
            }
        ],
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Data source",
                    "query": "prometheus",
                    "current": {"text": "Prometheus", "value": "prometheus", "selected": True},
                },
                variable("model", "Model", "label_values(offnormal_model_info, model)"),
                variable("asset", "Asset", 'label_values(offnormal_asset_verdict{model=~"$model"}, asset)'),
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": PROMETHEUS,
                    "enable": True,
                    "hide": False,
                    "iconColor": RED,
                    "expr": 'ALERTS{alertname="AssetAnomalous",alertstate="firing"}',
                }
            ]
        },
        "panels": panels,
    }


def rate(counter: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({counter}{{{labels}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, labels: str, by: str = "") -> str:
    """Of a histogram; 0 while nothing is counted."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, grouped)})"


def plant() -> Json:
    """For engineers: which machine, since when, and where to look."""
    rulings = [("normal", GREEN), ("anomalous", RED), ("cannot judge", GREY)]
    truths = [("normal", GREEN), ("fault", RED)]
    anomalous = f"sum(offnormal_asset_verdict{{{BY_ASSET}}} == bool 1)"
    return dashboard(
        "offnormal-plant",
        "Plant",
        "Which machine is off-normal, since when, how sure that is, and which sensors to look at.",
        [
            stat(
                "Machines watched",
                "Assets whose windows were judged in the last five minutes.",
                f"count(time() - offnormal_asset_last_window_timestamp_seconds{{{BY_ASSET}}} < 300){NEVER_EMPTY}",
            ),
            stat(
                "Off-normal now",
                "Assets whose newest window is anomalous.",
                anomalous + NEVER_EMPTY,
                steps=[(None, GREEN), (1, RED)],
            ),
            stat(
                "Alarms",
                "Assets for which the alert AssetAnomalous fires: thirty anomalous windows in a row.",
                f'count(ALERTS{{alertname="AssetAnomalous",alertstate="firing",{BY_ASSET}}}){NEVER_EMPTY}',
                steps=[(None, GREEN), (1, RED)],
            ),
            stat(
                "Cannot be judged",
                "Assets whose newest window had too few live readings for a verdict.",
                f"sum(offnormal_asset_verdict{{{BY_ASSET}}} == bool 2){NEVER_EMPTY}",
                steps=[(None, GREEN), (1, AMBER)],
            ),
            timeline(
                "Verdict",
                "The newest verdict of each asset. Grey: too few live readings for a verdict.",
                [target(f"max by (asset) (offnormal_asset_verdict{{{BY_ASSET}}})", "{{asset}}")],
                rulings,
                width=24,
                height=6,
            ),
            timeline(
                "Truth (demo only)",
                "What is really wrong with the simulated machines; empty in a real plant.",
                [
                    target(
                        'max by (asset) (offnormal_plant_anomalous{asset=~"$asset"})' + NEVER_EMPTY,
                        "{{asset}}",
                    )
                ],
                truths,
                width=24,
                height=6,
            ),
            lines(
                "Probability of a fault",
                "Of the newest window: probability of any class but normal, calibrated.",
                [
                    target(
                        f"max by (asset) (offnormal_asset_anomalous_probability{{{BY_ASSET}}})", "{{asset}}"
                    )
                ],
                "percentunit",
                low=0,
                high=1,
                steps=[(None, "transparent"), (0.5, AMBER)],
            ),
            lines(
                "Reconstruction error",
                "Mean squared error of the newest window. Dashed: median and 99th percentile in the asset's own "
                "normal operation, estimated from the level of its score there; above is unusual.",
                [
                    target(
                        f"max by (asset) (offnormal_asset_reconstruction_error{{{BY_ASSET}}})", "{{asset}}"
                    ),
                    target(
                        "max by (asset, percentile) "
                        f"(offnormal_asset_reconstruction_error_normal{{{BY_ASSET}}})",
                        "normal {{percentile}} % {{asset}}",
                    ),
                ],
                "short",
                low=0,
                overrides=[dashed("/^normal/")],
            ),
            bars(
                "Sensors to blame",
                "Share of the evidence in the anomalous windows of the last five minutes, the five largest: look there "
                "first. 0 while no window is anomalous.",
                [
                    target(
                        "topk(5, sum by (asset, sensor) "
                        f"(increase(offnormal_sensor_blame_total{{{BY_ASSET}}}[5m])) / on (asset) group_left () "
                        f"(sum by (asset) (increase(offnormal_sensor_blame_total{{{BY_ASSET}}}[5m])) > 0)){NEVER_EMPTY}",
                        "{{asset}} {{sensor}}",
                        instant=True,
                    )
                ],
                "percentunit",
                low=0,
                high=1,
                steps=[(None, GREEN), (0.3, AMBER), (0.5, RED)],
            ),
            lines(
                "Blame over time",
                "Anomalous windows a second, split by the sensors that they rest on.",
                [
                    target(
                        f"topk(8, {rate('offnormal_sensor_blame_total', BY_ASSET, 'asset, sensor')} > 0){NEVER_EMPTY}",
                        "{{asset}} {{sensor}}",
                    )
                ],
                "cps",
                stacked=True,
                low=0,
            ),
            lines(
                "p-value",
                "Share of held-out normal windows that looked at least as strange; small is strange.",
                [target(f"min by (asset) (offnormal_asset_p_value{{{BY_ASSET}}})", "{{asset}}")],
                "percentunit",
                low=0.0005,
                logarithmic=True,
                high=1,
            ),
            lines(
                "Anomalous windows in a row",
                "Since the last normal one. The alert fires at thirty.",
                [target(f"max by (asset) (offnormal_asset_anomalous_run{{{BY_ASSET}}})", "{{asset}}")],
                "none",
                low=0,
                steps=[(None, "transparent"), (30, RED)],
            ),
            lines(
                "Readings that were there",
                "Data quality: observed share of the newest window.",
                [target(f"min by (asset) (offnormal_asset_observed_ratio{{{BY_ASSET}}})", "{{asset}}")],
                "percentunit",
                low=0,
                high=1,
                steps=[(None, RED), (0.5, AMBER), (0.9, "transparent")],
            ),
            lines(
                "Time since the last window",
                "Of each asset. The alert AssetSilent fires after five minutes.",
                [
                    target(
                        "time() - max by (asset) "
                        f"(offnormal_asset_last_window_timestamp_seconds{{{BY_ASSET}}})",
                        "{{asset}}",
                    )
                ],
                "s",
                low=0,
                steps=[(None, "transparent"), (300, RED)],
            ),
            lines(
                "Issues of readings",
                "What was wrong with the readings, windows a second; without sensors that are left out because they drift.",
                [
                    target(
                        rate("offnormal_quality_issues_total", BY_MODEL + ',issue!="drifting"', "issue"),
                        "{{issue}}",
                    )
                ],
                "cps",
                low=0,
            ),
            lines(
                "Windows by verdict",
                "Windows judged a second.",
                [target(rate("offnormal_verdicts_total", BY_MODEL, "verdict"), "{{verdict}}")],
                "cps",
                stacked=True,
                low=0,
            ),
        ],
    )


def service() -> Json:
    """For those who run it: does it answer, how fast, and what limits it."""
    classify = 'route="/classify"'
    errors = 'route="/classify",status=~"5.."'
    duration, stages = "offnormal_request_duration_seconds", "offnormal_stage_duration_seconds"
    return dashboard(
        "offnormal-service",
        "Service",
        "Whether the service answers, how fast, and how near its limits it is.",
        [
            stat(
                "Ready",
                "1 while the default model answers.",
                "min(offnormal_ready)",
                "none",
                steps=[(None, RED), (1, GREEN)],
            ),
            stat(
                "Errors",
                "Share of answers to /classify with a status of 5xx.",
                f"sum(rate(offnormal_requests_total{{{errors}}}[5m])) "
                f"/ sum(rate(offnormal_requests_total{{{classify}}}[5m])){NEVER_EMPTY}",
                "percentunit",
                steps=[(None, GREEN), (0.001, AMBER), (0.01, RED)],
            ),
            stat(
                "Late answers",
                "Share of answers to /classify that took over half a second; the objective is 1 %.",
                f'1 - sum(rate({duration}_bucket{{{classify},le="0.5"}}[5m])) '
                f"/ sum(rate({duration}_count{{{classify}}}[5m])){NEVER_EMPTY}",
                "percentunit",
                steps=[(None, GREEN), (0.01, AMBER), (0.06, RED)],
            ),
            stat(
                "Refused versions",
                "Versions in the model store that were refused at load.",
                "sum(offnormal_refused_artefacts)",
                "none",
                steps=[(None, GREEN), (1, AMBER)],
            ),
            lines(
                "Requests",
                "Requests answered a second, by route.",
                [target(rate("offnormal_requests_total", "", "route"), "{{route}}")],
                "reqps",
                low=0,
            ),
            lines(
                "Answers that were no success",
                "Answers of 4xx and 5xx a second, by status.",
                [
                    target(
                        rate("offnormal_requests_total", 'status=~"[45].."', "status") + NEVER_EMPTY,
                        "{{status}}",
                    )
                ],
                "reqps",
                low=0,
            ),
            lines(
                "Duration of /classify",
                "Percentiles, from the first byte to the last.",
                [target(quantile(q, duration, classify), f"{q:.0%}") for q in (0.5, 0.9, 0.99)],
                "s",
                low=0,
                steps=[(None, "transparent"), (0.5, RED)],
            ),
            lines(
                "Duration by stage",
                "99th percentile of each part of classifying: parse, queue, infer, verdict, encode.",
                [target(quantile(0.99, stages, "", "stage"), "{{stage}}")],
                "s",
                low=0,
            ),
            lines(
                "Where the time goes",
                "Seconds of each stage per second of wall time.",
                [target(rate(f"{stages}_sum", "", "stage"), "{{stage}}")],
                "percentunit",
                stacked=True,
                low=0,
            ),
            lines(
                "Windows judged",
                "Windows a second, by model.",
                [
                    target(
                        rate("offnormal_verdicts_total", BY_MODEL, "model, version"), "{{model}}/{{version}}"
                    )
                ],
                "cps",
                low=0,
            ),
            lines(
                "Queue",
                "Share of each model's queue that is taken; at 100 % requests get 429.",
                [
                    target(
                        f"max by (model, version) (offnormal_queue_windows{{{BY_MODEL}}}) "
                        "/ on () group_left () max(offnormal_queue_windows_limit)",
                        "{{model}}/{{version}}",
                    )
                ],
                "percentunit",
                low=0,
                high=1,
                steps=[(None, "transparent"), (0.8, RED)],
            ),
            lines(
                "Batch size",
                "Windows run at once, median and 99th percentile.",
                [target(quantile(q, "offnormal_batch_windows", BY_MODEL), f"{q:.0%}") for q in (0.5, 0.99)],
                "none",
                low=0,
            ),
            lines(
                "Workers",
                "Share of time that each model's worker is judging; at 100 % a queue builds up.",
                [
                    target(
                        rate("offnormal_model_busy_seconds_total", BY_MODEL, "model, version"),
                        "{{model}}/{{version}}",
                    )
                ],
                "percentunit",
                low=0,
                high=1,
                steps=[(None, "transparent"), (0.8, AMBER)],
            ),
            lines(
                "Bodies in memory",
                "Bytes of bodies under way, and the limit.",
                [
                    target("sum(offnormal_body_bytes)", "in memory"),
                    target("sum(offnormal_body_bytes_limit)", "limit"),
                ],
                "decbytes",
                low=0,
                overrides=[dashed("limit", RED)],
            ),
            lines(
                "Refusals",
                "Requests and windows refused a second, by the code of the problem.",
                [
                    target(
                        rate("offnormal_rejected_requests_total", "", "code") + NEVER_EMPTY,
                        "request {{code}}",
                    ),
                    target(
                        rate("offnormal_rejected_windows_total", "", "code") + NEVER_EMPTY, "window {{code}}"
                    ),
                ],
                "reqps",
                low=0,
            ),
            lines(
                "Processor",
                "Cores that the process uses.",
                [
                    target(
                        'rate(process_cpu_seconds_total{job="offnormal"}[$__rate_interval])'
                        " or rate(process_cpu_seconds_total[$__rate_interval])",
                        "{{instance}}",
                    )
                ],
                "none",
                low=0,
            ),
            lines(
                "Memory",
                "Resident memory of the process.",
                [target("process_resident_memory_bytes", "{{job}} {{instance}}")],
                "bytes",
                low=0,
            ),
            bars(
                "Model versions",
                "Age of each version that is loaded.",
                [
                    target(
                        f"time() - offnormal_model_created_timestamp_seconds{{{BY_MODEL}}}",
                        "{{model}}/{{version}}",
                        instant=True,
                    )
                ],
                "s",
                low=0,
                steps=[(None, GREEN), (90 * 86400, AMBER), (180 * 86400, RED)],
            ),
        ],
    )


def model_health() -> Json:
    """For data scientists: is the model still looking at what it was trained on."""
    per_sensor = "model, sensor"
    return dashboard(
        "offnormal-model-health",
        "Model health",
        "Whether a model still sees what it was trained on: scores, inputs, calibration.",
        [
            lines(
                "Score against training",
                "Percentiles of the score of recent windows, faults included. Dashed: the same over the held-out "
                "normal windows of training. They should lie together while the plant is well.",
                [
                    *(
                        target(
                            quantile(q, "offnormal_score", BY_MODEL, "baseline"), f"{q:.0%} {{{{baseline}}}}"
                        )
                        for q in (0.5, 0.95)
                    ),
                    target(
                        f'max by (percentile, baseline) (offnormal_normal_score{{{BY_MODEL},percentile=~"50|95"}})',
                        "training {{percentile}} % {{baseline}}",
                    ),
                ],
                "none",
                overrides=[dashed("/^training/")],
            ),
            lines(
                "Anomalous share against what was promised",
                "Share of windows judged anomalous. In normal operation it stays near the dashed line.",
                [
                    target(
                        f"{rate('offnormal_verdicts_total', BY_MODEL + ',verdict=' + chr(34) + 'anomalous' + chr(34), 'model')}"
                        f" / ({rate('offnormal_verdicts_total', BY_MODEL, 'model')} > 0)",
                        "{{model}}",
                    ),
                    target(
                        f"max by (model) (offnormal_false_alarm_rate{{{BY_MODEL}}})", "promised {{model}}"
                    ),
                ],
                "percentunit",
                low=0,
                high=1,
                overrides=[dashed("/^promised/")],
            ),
            bars(
                "p-values over the last hour",
                "Share of windows in each tenth. Level at 10 % is what calibration promises in normal operation; a "
                "crest at the left end is faults, or a model that no longer fits.",
                [
                    target(
                        f'sum(increase(offnormal_p_value_bucket{{{BY_MODEL},le="{(n + 1) / 10:g}"}}[1h])) / '
                        f"sum(increase(offnormal_p_value_count{{{BY_MODEL}}}[1h]))"
                        if n == 0
                        else f'(sum(increase(offnormal_p_value_bucket{{{BY_MODEL},le="{(n + 1) / 10:g}"}}[1h])) - '
                        f'sum(increase(offnormal_p_value_bucket{{{BY_MODEL},le="{n / 10:g}"}}[1h]))) / '
                        f"sum(increase(offnormal_p_value_count{{{BY_MODEL}}}[1h]))",
                        f"{n / 10:g} to {(n + 1) / 10:g}",
                        instant=True,
                    )
                    for n in range(10)
                ],
                "percentunit",
                low=0,
                steps=[(None, GREEN), (0.2, AMBER), (0.4, RED)],
            ),
            lines(
                "Realised false-alarm rates",
                "Share of windows with a p-value of at most 1, 5 and 10 %. In normal operation each is what it says.",
                [
                    target(
                        f'sum(rate(offnormal_p_value_bucket{{{BY_MODEL},le="{le}"}}[15m])) '
                        f"/ (sum(rate(offnormal_p_value_count{{{BY_MODEL}}}[15m])) > 0)",
                        f"p at most {float(le):.0%}",
                    )
                    for le in ("0.01", "0.05", "0.1")
                ],
                "percentunit",
                low=0,
                high=1,
            ),
            lines(
                "Input drift",
                "Moving average of each input, in standard deviations from training or commissioning, over about "
                "the last thousand windows. The alert fires beyond 1 in either direction.",
                [
                    target(
                        f"max by ({per_sensor}) (offnormal_input_drift{{{BY_MODEL}}})", "{{model}} {{sensor}}"
                    )
                ],
                "none",
                steps=[(None, RED), (-1, "transparent"), (1, RED)],
            ),
            lines(
                "Error of each sensor against training",
                "Mean squared error divided by its typical value on held-out normal windows; 1 is as in training.",
                [
                    target(
                        f"({rate('offnormal_sensor_error_total', BY_MODEL, per_sensor)} / "
                        f"({rate('offnormal_sensor_windows_total', BY_MODEL, per_sensor)} > 0)) / "
                        f"max by ({per_sensor}) (offnormal_sensor_error_normal{{{BY_MODEL}}})",
                        "{{model}} {{sensor}}",
                    )
                ],
                "none",
                low=0,
                steps=[(None, "transparent"), (2, AMBER)],
            ),
            lines(
                "Missing readings",
                "Readings a second that were missing, by sensor.",
                [
                    target(
                        rate("offnormal_missing_readings_total", BY_MODEL, per_sensor), "{{model}} {{sensor}}"
                    )
                ],
                "cps",
                low=0,
            ),
            lines(
                "Readings out of range",
                "Readings a second far outside the training data, by sensor.",
                [
                    target(
                        rate("offnormal_out_of_range_readings_total", BY_MODEL, per_sensor),
                        "{{model}} {{sensor}}",
                    )
                ],
                "cps",
                low=0,
            ),
            lines(
                "Probability of a fault",
                "Median and 95th percentile over recent windows.",
                [
                    target(quantile(q, "offnormal_anomalous_probability", BY_MODEL), f"{q:.0%}")
                    for q in (0.5, 0.95)
                ],
                "percentunit",
                low=0,
                high=1,
            ),
            lines(
                "Reconstruction error",
                "Median and 99th percentile of recent windows; dashed: in normal operation.",
                [
                    *(
                        target(quantile(q, "offnormal_reconstruction_error", BY_MODEL), f"{q:.0%}")
                        for q in (0.5, 0.99)
                    ),
                    target(
                        f"max by (percentile) (offnormal_reconstruction_error_normal{{{BY_MODEL}}})",
                        "normal {{percentile}} %",
                    ),
                ],
                "none",
                low=0,
                overrides=[dashed("/^normal/")],
            ),
        ],
    )


def text_of(content: Json) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


DASHBOARDS = {"plant": plant, "service": service, "model-health": model_health}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, build in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(text_of(build()))
