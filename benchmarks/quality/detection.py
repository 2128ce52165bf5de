"""Tables of how faults are detected: by detector and alarm budget, with persistence, and by probability."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.figures import (
    DEFAULT,
    PERSISTENT_BUDGETS,
    PROBABLE,
    RULES,
    Figures,
    FileFigures,
    persistent,
)
from benchmarks.quality.tables import DASH, percent, short, spread, table
from evaluation.judged import summarise
from evaluation.reliability import Reliability
from evaluation.reliability import measure as reliability
from evaluation.rivals import ALWAYS_ON, MODEL, NAMES, PCA, Z2

SHOWN_BUDGETS = (0.02, 0.05, 0.06, 0.075, 0.08, 0.10)
# From the predictions that SKAB publishes of these two detectors, each delayed until the last window that it
# looks at is complete. Rows pooled over the test parts of all 34 files, as here.
PUBLISHED = (("Conv-AE, published", 0.711, 0.213, 0.347), ("LSTM-AE, published", 0.732, 0.310, 0.268))

Files = Mapping[int, Sequence[FileFigures]]
"""By seed."""


def files_of(figures: Mapping[int, Mapping[str, Figures]]) -> Files:
    """The files of all parts, in the order of their names."""
    return {
        seed: sorted((file for part in parts.values() for file in part.files), key=lambda file: file.name)
        for seed, parts in figures.items()
    }


def summaries(files: Files, setting: str, detector: str) -> list[dict[str, Any]]:
    """Of all files of each seed; empty where a model refused the setting."""
    if any(detector not in file.judged.get(setting, {}) for of_seed in files.values() for file in of_seed):
        return []
    return [summarise([file.judged[setting][detector] for file in of_seed]) for of_seed in files.values()]


def detection_row(name: str, setting: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return [name, setting, "refused", *[DASH] * 6]

    def over_seeds(key: str, digits: int = 3) -> str:
        return spread([item.get(key) for item in found], digits)

    return [
        name,
        setting,
        over_seeds("auc"),
        over_seeds("f1"),
        over_seeds("false_alarm_rate"),
        over_seeds("missed_alarm_rate"),
        over_seeds("event_recall", 2),
        over_seeds("median_delay_s", 0),
        over_seeds("false_alarms_per_hour", 2),
    ]


DETECTION_HEAD = (
    "detector", "budget", "AUC", "F1", "false alarms", "missed", "faults found", "delay, s", "raised an hour",
)  # fmt: skip


def detection_table(figures: Mapping[int, Mapping[str, Figures]], published: bool, probable: bool) -> str:
    """Model and plain detectors at each budget; always on, and what others have published, once."""
    files = files_of(figures)
    defaults = [part.default for parts in figures.values() for part in parts.values()]
    settings = [(min(defaults), DEFAULT, _default_budget(defaults))]
    settings += [(b, str(b), percent(b)) for b in SHOWN_BUDGETS if {b} != set(defaults)]
    rows = []
    for _, setting, words in sorted(settings):
        found = {detector: summaries(files, setting, detector) for detector in (MODEL, PCA, Z2)}
        rows += [
            detection_row(NAMES[detector], words, figures)
            for detector, figures in found.items()
            # What the model refuses, the others were not asked.
            if figures or detector == MODEL
        ]
    if probable:
        rows.append(detection_row(NAMES[MODEL], "p ≥ .5", summaries(files, PROBABLE, MODEL)))
    rows.append(detection_row(NAMES[ALWAYS_ON], DASH, summaries(files, DEFAULT, ALWAYS_ON)))
    if published:
        rows += [
            [name, "their own", DASH, short(f1), short(false), short(missed), DASH, DASH, DASH]
            for name, f1, false, missed in PUBLISHED
        ]
    return table(DETECTION_HEAD, rows)


def _default_budget(defaults: Sequence[float]) -> str:
    low, high = percent(min(defaults)), percent(max(defaults))
    return f"{low} (default)" if low == high else f"{low} to {high} (default)"


def persistence_table(files: Files) -> str:
    """How many false alarms an alarm that must persist saves, and what it costs."""
    words = {rule: f"{rule.least} of {rule.windows}" for rule in RULES}
    settings = [(DEFAULT, "default", "each window"), *((str(rule), "default", words[rule]) for rule in RULES)]
    settings += [(persistent(RULES[0], b), percent(b), words[RULES[0]]) for b in PERSISTENT_BUDGETS]
    rows = []
    for setting, budget, after in settings:
        for detector in (MODEL, PCA, Z2):
            # A budget that is refused is so in the table above.
            if found := summaries(files, setting, detector):
                row = detection_row(NAMES[detector], budget, found)
                rows.append([*row[:2], after, *row[3:]])
    return table([*DETECTION_HEAD[:2], "alarm after", *DETECTION_HEAD[3:]], rows)


def pooled_reliability(files: Sequence[FileFigures]) -> Reliability:
    probability = np.array([p for file in files for p in file.probability])
    return reliability(probability, np.array([was for file in files for was in file.faulty], np.bool_))


def probability_table(files: Files) -> str:
    measured = [pooled_reliability(of_seed) for of_seed in files.values()]
    ranked = [
        [file.auc_of_probability for file in of_seed if file.auc_of_probability is not None]
        for of_seed in files.values()
    ]
    rows = [
        ["AUC of the alarm score", spread([s["auc"] for s in summaries(files, DEFAULT, MODEL)])],
        ["AUC of the probability of a fault", spread([float(np.mean(values)) for values in ranked])],
        ["ECE, ten bins", spread([item.ece for item in measured])],
        ["Brier score", spread([item.brier for item in measured])],
        ["Brier score of the base rate", spread([item.brier_of_base_rate for item in measured])],
    ]
    return table(["model", "all judged rows"], rows)
