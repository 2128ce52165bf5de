"""Whether windows that hold less than a full one keep an alarm budget, and still tell faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector import Detector, Options, Window
from detector.verdict import Ruling
from detector.windows import Floats
from evaluation.ranking import roc_auc

BUDGETS = (0.05, 0.10)
# Of which the share of faults found is told.
FOUND_AT = 0.05

Cut = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True, slots=True)
class Held:
    """What became of windows of which only so much was there.

    normal, faulty: how many of either were judged. alarms: among the normal ones, by budget. found: of the
    faulty ones, at FOUND_AT. cannot_judge: of all. auc: of the alarm score.
    """

    normal: int
    faulty: int
    alarms: dict[str, int]
    found: int
    cannot_judge: int
    auc: float


def _newest(share: float) -> Cut:
    return lambda values, rng: values[-max(2, round(share * len(values))) :]


def _without_readings(share: float) -> Cut:
    return lambda values, rng: np.where(rng.random(values.shape) < share, np.nan, values)


def _without_rows(share: float) -> Cut:
    return lambda values, rng: np.where(rng.random((len(values), 1)) < share, np.nan, values)


def _without_sensors(share: float) -> Cut:
    def cut(values: Floats, rng: np.random.Generator) -> Floats:
        sensors = values.shape[1]
        left = values.copy()
        left[:, rng.permutation(sensors)[: round(share * sensors)]] = np.nan
        return left

    return cut


CUTS: dict[str, Cut] = {
    "all of it": lambda values, rng: values,
    "the newest two thirds of its steps": _newest(2 / 3),
    "the newest third": _newest(1 / 3),
    "19 of 20 readings, at random": _without_readings(0.05),
    "half of the readings": _without_readings(0.5),
    "half of the rows": _without_rows(0.5),
    "three quarters of the sensors": _without_sensors(0.25),
    "half of the sensors": _without_sensors(0.5),
}


def measure(
    detector: Detector, normal: Sequence[Window], faulty: Sequence[Window], rng: np.random.Generator
) -> dict[str, Held]:
    """By what is left of each window, of CUTS. normal, faulty: full windows."""
    held = {}
    truth = np.arange(len(normal) + len(faulty)) >= len(normal)
    for name, cut in CUTS.items():
        windows = [Window(cut(each.values, rng), each.baseline) for each in (*normal, *faulty)]
        by_budget = {budget: detector.judge(windows, Options(false_alarm_rate=budget)) for budget in BUDGETS}
        scores = np.array([np.nan if v.score is None else v.score for v in by_budget[FOUND_AT]])
        judged = np.isfinite(scores)
        alarms = {
            budget: np.array([verdict.ruling is Ruling.ANOMALOUS for verdict in verdicts])
            for budget, verdicts in by_budget.items()
        }
        held[name] = Held(
            normal=int((judged & ~truth).sum()),
            faulty=int((judged & truth).sum()),
            alarms={str(budget): int(alarms[budget][judged & ~truth].sum()) for budget in BUDGETS},
            found=int(alarms[FOUND_AT][judged & truth].sum()),
            cannot_judge=int((~judged).sum()),
            auc=roc_auc(truth[judged], scores[judged]),
        )
    return held
