"""Challengers: a second version judges the same windows after the live one has answered, and is compared.

It gets what is left: nothing while windows wait for any model, and at most so many wait for it; further ones
are dropped and counted. No answer ever waits for it.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from detector import Options, Verdict, Window
from detector.errors import DetectorError
from service.errors import ServiceError
from service.measuring.metrics import Metrics
from service.models.models import Models
from service.models.version import LoadedModel
from service.state import StoredBaseline

_log = logging.getLogger(__name__)
# That may wait, and that are run at once: few, so that no live answer finds the processor taken for long.
MOST_WAITING = 1024
_AT_ONCE = 32
_BUSY_PAUSE_S = 0.005
_TIMEOUT_S = 10.0
Baselines = Callable[[LoadedModel], Awaitable[Mapping[str, StoredBaseline]]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A window that was answered, and by whom. false_alarm_rate: as it was asked for."""

    live: LoadedModel
    window: Window
    asset: str | None
    verdict: Verdict
    false_alarm_rate: float | None


class Shadow:
    """For the event loop. baselines: every asset's for a version."""

    def __init__(self, models: Models, baselines: Baselines, metrics: Metrics) -> None:
        self._models = models
        self._baselines = baselines
        self._metrics = metrics
        self._waiting: deque[_Pair] = deque()
        self._some = asyncio.Event()

    def offer(
        self,
        live: LoadedModel,
        windows: Sequence[Window],
        assets: Sequence[str | None],
        verdicts: Sequence[Verdict],
        options: Options,
    ) -> None:
        """Windows with the live version's verdicts, for its challenger if it has one. Never waits."""
        challenger = self._models.challenger(live)
        if challenger is None:
            return
        room = MOST_WAITING - len(self._waiting)
        for window, asset, verdict in list(zip(windows, assets, verdicts, strict=True))[:room]:
            self._waiting.append(_Pair(live, window, asset, verdict, options.false_alarm_rate))
        if len(windows) > room:
            self._drop(live, challenger, len(windows) - room)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            if self._models.busy:
                await asyncio.sleep(_BUSY_PAUSE_S)
                continue
            pairs = self._take()
            if not self._waiting:
                self._some.clear()
            challenger = self._models.challenger(pairs[0].live) if pairs else None
            if challenger is None:
                continue  # there was one when they were offered
            try:
                await self._compare(challenger, pairs)
            except (ServiceError, DetectorError):
                self._drop(pairs[0].live, challenger, len(pairs))
            except Exception:  # the next may go well
                _log.exception("a challenger could not judge")
                self._drop(pairs[0].live, challenger, len(pairs))

    def _take(self) -> list[_Pair]:
        """The first that wait, as far as they can be run together."""
        taken: list[_Pair] = []
        while self._waiting and len(taken) < _AT_ONCE:
            first, pair = (taken or self._waiting)[0], self._waiting[0]
            if (pair.live, pair.false_alarm_rate) != (first.live, first.false_alarm_rate):
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _compare(self, challenger: LoadedModel, pairs: Sequence[_Pair]) -> None:
        live = pairs[0].live
        known = await self._baselines(challenger) if any(pair.asset for pair in pairs) else {}
        shape = challenger.detector.manifest.window
        fitting = [pair for pair in pairs if len(pair.window.values) >= shape.minimum_steps]
        self._drop(live, challenger, len(pairs) - len(fitting))
        if not fitting:
            return
        windows = []
        for pair in fitting:
            stored = known.get(pair.asset or "")
            values = pair.window.values[-shape.steps :]
            windows.append(
                replace(pair.window, values=values, baseline=None if stored is None else stored.baseline)
            )
        options = Options(false_alarm_rate=pairs[0].false_alarm_rate)
        judged = await challenger.batcher.judge(windows, options, time.monotonic() + _TIMEOUT_S, aside=True)
        labels = _labels(live, challenger)
        difference = self._metrics.challenger_difference[labels]
        for pair, verdict in zip(fitting, judged.verdicts, strict=True):
            self._metrics.challenger_windows[*labels, pair.verdict.ruling.value, verdict.ruling.value][0] += 1
            if pair.verdict.score is not None and verdict.score is not None:
                apart = verdict.score - pair.verdict.score
                if math.isfinite(apart):
                    difference.observe(apart)

    def _drop(self, live: LoadedModel, challenger: LoadedModel, count: int) -> None:
        if count:
            self._metrics.challenger_dropped[_labels(live, challenger)][0] += count


def _labels(live: LoadedModel, challenger: LoadedModel) -> tuple[str, str, str]:
    return live.ref.name, str(live.ref.version), str(challenger.ref.version)
