"""What is known of one asset: how it was judged, lately and so far, and which of its sensors are to blame."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from detector import Baseline, Verdict
from detector.verdict import Ruling
from detector.windows import Floats
from service.measuring.cells import one_by_one
from service.measuring.ledger import Labels
from service.measuring.metrics import Metrics

RULINGS = tuple(Ruling)
_NUMBER = {ruling: number for number, ruling in enumerate(RULINGS)}


class AssetMetrics:
    """For the event loop. asset: None for windows that name none."""

    def __init__(
        self, metrics: Metrics, model: Mapping[str, str], asset: str | None, sensors: Sequence[str]
    ) -> None:
        self._metrics = metrics
        self._labels = {**model, "asset": asset or ""}
        self._sensors = sensors
        self._verdicts = one_by_one(metrics.verdicts.add(each(self._labels, "verdict", RULINGS)))
        self._blame: Floats | None = None

    def judged(self, verdict: Verdict) -> None:
        self._verdicts[_NUMBER[verdict.ruling]] += 1

    def blamed(self, shares: Floats) -> None:
        """Of one anomalous window: each sensor's share (sensors,), together 1."""
        if self._blame is None:
            self._blame = self._metrics.blame.add(each(self._labels, "sensor", self._sensors))
        self._blame += shares


class NewestWindow:
    """Gauges of the newest window of an asset, whichever worker judged it. Written to under the lock."""

    def __init__(self, metrics: Metrics, model: Mapping[str, str], asset: str | None) -> None:
        self._metrics = metrics
        self._labels = {**model, "asset": asset or ""}
        one = [self._labels]
        self._verdict = one_by_one(metrics.asset_verdict.add(one))
        self._run = one_by_one(metrics.asset_run.add(one))
        self._probability = one_by_one(metrics.asset_probability.add(one))
        self._error = one_by_one(metrics.asset_error.add(one))
        self._p_value = one_by_one(metrics.asset_p_value.add(one))
        self._observed = one_by_one(metrics.asset_observed.add(one))
        self._time = one_by_one(metrics.asset_last_window.add(one))
        self._normal_error: Floats | None = None
        self._normal_of: Baseline | None = None

    def judged(self, verdict: Verdict, moment: float) -> None:
        """moment: seconds since the epoch."""
        self._time[0] = moment
        self._verdict[0] = _NUMBER[verdict.ruling]
        self._observed[0] = verdict.quality.observed
        self._probability[0] = math.nan if verdict.probabilities is None else 1.0 - verdict.probabilities[0]
        self._error[0] = _number(verdict.reconstruction_error)
        self._p_value[0] = _number(verdict.p_value)
        if verdict.ruling is Ruling.ANOMALOUS:
            self._run[0] += 1
        elif verdict.ruling is Ruling.NORMAL:
            self._run[0] = 0

    def knows_normal_of(self, baseline: Baseline | None) -> bool:
        """Whether the normal errors that are shown are those of this baseline."""
        return self._normal_error is not None and self._normal_of is baseline

    def set_normal_errors(self, baseline: Baseline | None, by_percentile: Mapping[int, float]) -> None:
        if self._normal_error is None:
            self._normal_error = self._metrics.asset_normal_error.add(
                each(self._labels, "percentile", map(str, by_percentile))
            )
        self._normal_error[:] = np.array([*by_percentile.values()])
        self._normal_of = baseline


def each(labels: Labels, name: str, values: "Sequence[str] | map[str]") -> list[dict[str, str]]:
    """The same labels once for each value of one more."""
    return [{**labels, name: str(value)} for value in values]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
