"""An evaluation as JSON: the same numbers as the report. Keys are documented in docs/evaluation.md."""

from dataclasses import asdict
from typing import Any

from evaluation.confusion import Confusion, confusion
from evaluation.contest import Match
from evaluation.evaluate import Evaluation
from evaluation.extracts import Extract, worst_false_alarms, worst_misses
from evaluation.faults import by_class
from evaluation.judged import summarise
from evaluation.p_values import PROMISED_RATES, Uniformity, before_first_fault, uniformity
from evaluation.reliability import reliability
from evaluation.rivals import MODEL, NAMES

SCHEMA_VERSION = 1


def record(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that the report shows in numbers, ready for `json.dumps`."""
    manifest = evaluation.manifest
    rows = [row for result in evaluation.files for row in result.rows]
    early = [row for result in evaluation.files for row in before_first_fault(result.rows)]
    probabilities = reliability(rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "model": manifest.name,
        "version": manifest.version,
        "settings": {
            "baseline_rows": evaluation.baseline_rows,
            "false_alarm_rate_asked": evaluation.false_alarm_rate_asked,
            "stride": evaluation.stride,
            "alarm_after": None if evaluation.alarm_after is None else str(evaluation.alarm_after),
        },
        "notes": list(evaluation.notes),
        "all": evaluation.summary(),
        "files": _files(evaluation, MODEL),
        "references_from": evaluation.references_from,
        "references": {
            name: {"all": summary, "files": _files(evaluation, name)}
            for name, summary in evaluation.summaries().items()
            if name != MODEL
        },
        "persisted": evaluation.summaries(persisted=True) if evaluation.alarm_after else None,
        "against_references": _contest(evaluation),
        "events": [asdict(event) for result in evaluation.files for event in result.events],
        "faults": _faults(evaluation),
        "confusion": _confusion(confusion(rows, manifest.classes)),
        "reliability": None if probabilities is None else asdict(probabilities),
        "p_values": {
            "normal_rows": _uniformity(uniformity(rows)),
            "before_first_fault": _uniformity(uniformity(early)),
        },
        "worst_misses": [_extract(extract) for extract in worst_misses(evaluation)],
        "worst_false_alarms": [_extract(extract) for extract in worst_false_alarms(evaluation)],
    }


def _files(evaluation: Evaluation, name: str) -> dict[str, Any]:
    return {result.recording.name: summarise([result.judged[name]]) for result in evaluation.files}


def _contest(evaluation: Evaluation) -> dict[str, Any]:
    contest = evaluation.contest()
    return {
        "beats_all": contest.beats_all,
        "complete": contest.complete,
        "matches": [_match(match) for match in contest.matches],
        "behind_in": [_match(match) for match in contest.behind_in],
    }


def _match(match: Match) -> dict[str, Any]:
    return asdict(match) | {
        "difference": match.difference,
        "beats": match.beats,
        "in_words": str(match),
    }


def _faults(evaluation: Evaluation) -> list[dict[str, Any]]:
    """By class of fault: the model's figures, and how much of it the plain detectors see."""
    kinds = {
        name: by_class([event for result in evaluation.files for event in result.judged[name].events])
        for name in NAMES
        if all(name in result.judged for result in evaluation.files)
    }
    out = []
    for place, fault in enumerate(kinds[MODEL]):
        others = {name: faults[place] for name, faults in kinds.items() if name != MODEL and faults}
        seen = {name: {"found": item.found, "recall": item.recall} for name, item in others.items()}
        out.append(asdict(fault) | {"references": seen})
    return out


def _confusion(table: Confusion | None) -> dict[str, Any] | None:
    if table is None:
        return None
    return asdict(table) | {"classes": [asdict(item) for item in table.classes()]}


def _uniformity(measured: Uniformity | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    realised = {str(rate): share for rate, share in zip(PROMISED_RATES, measured.realised, strict=True)}
    return asdict(measured) | {"realised": realised}


def _extract(extract: Extract) -> dict[str, Any]:
    return {
        "file": extract.result.recording.name,
        "label": extract.label,
        "first_row": extract.first_row,
        "last_row": extract.last_row,
        "rows": extract.rows,
        "sensors": list(extract.sensors),
    }
