"""A simulated plant in time: its machines advance together, and their newest windows go to the service."""

import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cli.errors import CommandError
from cli.service_client import (
    Backoff,
    Patience,
    ServedModel,
    ServiceClient,
    ServiceUnreachable,
    UselessAnswer,
)
from cli.simulator.feed import (
    PAUSES_S,
    Broken,
    Commissioned,
    Commissioning,
    Event,
    Failed,
    Feed,
    Snapshot,
    reason_of,
)
from cli.simulator.metrics import PlantMetrics
from cli.simulator.tally import PlantTally
from cli.simulator.view import PlantView
from history.plant import Floats, Machine
from history.schedule import Episode

# One attempt at a request: what follows a failure is the feed's business.
PATIENCE = Patience(attempts=1, first_attempts=1, timeout_s=10.0)
# After the last step: how long to wait for answers that are under way.
LAST_ANSWERS_S = 5.0
# A failure that goes on is told again after this time.
REMIND_S = 60.0
_OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a plant is streamed.

    model, version: as the service calls them; the newest version where None. window_steps: of one window.
    period_s: between readings, plant's time. speed: plant's time per real time. stride: steps from one window
    to the next. steps: how many, None for no end. recommission: replace baselines that the service has.
    """

    url: str
    key: str | None
    model: str
    version: int | None
    sensors: tuple[str, ...]
    window_steps: int
    period_s: float
    speed: float
    stride: int
    steps: int | None
    recommission: bool


class _Recent:
    """The newest rows of one machine."""

    def __init__(self, machine: Machine, steps: int) -> None:
        self._machine = machine
        self.values: Floats = machine.lead[-steps:]
        self.faults: list[Episode | None] = [None] * len(self.values)
        self._steps = steps

    def advance(self) -> Episode | None:
        """One step. Returns the fault that it shows."""
        rows = self._machine.take(1)
        self.values = np.concatenate((self.values, rows.values))[-self._steps :]
        self.faults = [*self.faults, *rows.faults][-self._steps :]
        return rows.faults[0]


class PlantStream:
    """A plant, the feeds of its machines, and who is told of what happens.

    Everything but the feeds' requests runs in the caller's thread.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        manner: Manner,
        metrics: PlantMetrics,
        view: PlantView,
        tally: PlantTally,
    ) -> None:
        self._manner, self._metrics, self._view, self._tally = manner, metrics, view, tally
        self._machines = {machine.asset: machine for machine in machines}
        self._recent = {asset: _Recent(m, manner.window_steps) for asset, m in self._machines.items()}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._failing: set[str] = set()
        self._told_at: dict[str, float] = {}
        # Whole seconds, so that stamps are short.
        self._start_s = float(int(time.time()))

    def run(self) -> None:
        """Streams until the last step. Raises CommandError when the service's model is another one."""
        model = self._await_model()
        with self._feeding(model) as feeds:
            begin = time.monotonic()
            step = 0
            while self._manner.steps is None or step < self._manner.steps:
                due_at = begin + step * self._manner.period_s / self._manner.speed
                self._listen(due_at)
                self._step(step, feeds)
                step += 1
            until = time.monotonic() + LAST_ANSWERS_S
            while time.monotonic() < until and not all(feed.idle for feed in feeds.values()):
                self._listen(time.monotonic() + 0.05)
            self._listen(0.0)

    def _step(self, step: int, feeds: Mapping[str, Feed]) -> None:
        now = self._start_s + step * self._manner.period_s
        for asset, recent in self._recent.items():
            fault = recent.advance()
            self._metrics.truth(asset, fault)
            self._view.truth(asset, now, fault)
            if step % self._manner.stride == 0:
                feeds[asset].offer(self._snapshot(asset, step))

    def _snapshot(self, asset: str, step: int) -> Snapshot:
        recent = self._recent[asset]
        stamps = self._stamps(step + 1 - len(recent.values), len(recent.values))
        body = {
            "id": stamps[-1],
            "asset": asset,
            "readings": dict(zip(self._manner.sensors, recent.values.T.tolist(), strict=True)),
            "timestamps": stamps,
        }
        return Snapshot(step, body, recent.faults[-1], any(recent.faults[:-1]))

    def _stamps(self, first: int, steps: int) -> list[str]:
        """ISO 8601 of steps from `first` on; those before the stream's first are negative."""
        seconds = self._start_s + np.arange(first, first + steps) * self._manner.period_s
        moments = np.round(seconds * 1000).astype("datetime64[ms]")
        return [f"{moment}Z" for moment in np.datetime_as_string(moments).tolist()]

    @contextmanager
    def _feeding(self, model: ServedModel) -> Iterator[dict[str, Feed]]:
        """The feeds, started; stopped at the end. Their requests end with the process."""
        manner = self._manner
        feeds = {}
        for asset, machine in self._machines.items():
            lead = machine.lead
            commissioning = Commissioning(
                dict(zip(manner.sensors, lead.T.tolist(), strict=True)),
                self._stamps(-len(lead), len(lead)),
                manner.recommission,
            )
            client = ServiceClient(manner.url, manner.key, PATIENCE)
            feeds[asset] = Feed(
                asset,
                client,
                model,
                commissioning,
                self._metrics,
                self._events.put,
                newest_version=manner.version is None,
            )
        for feed in feeds.values():
            feed.start()
        try:
            yield feeds
        finally:
            for feed in feeds.values():
                feed.stop()

    def _await_model(self) -> ServedModel:
        """The model as the service knows it, once there is a service that has it.

        Raises UselessAnswer when the service is there and does not want us, CommandError when its model has
        other sensors than the plant.
        """
        manner = self._manner
        told_at, backoff = -REMIND_S, Backoff(*PAUSES_S)
        with ServiceClient(manner.url, manner.key, PATIENCE) as client:
            while True:
                try:
                    model = client.model(manner.model, manner.version)
                    break
                except (ServiceUnreachable, UselessAnswer) as error:
                    answer = error if isinstance(error, UselessAnswer) else None
                    if answer and not answer.passing:
                        raise
                    for asset in self._machines:
                        self._metrics.retry(asset, reason_of(error))
                    if time.monotonic() - told_at >= REMIND_S:
                        told_at = time.monotonic()
                        self._view.warn(f"{error}; waiting for the service")
                    time.sleep(backoff.next_s(answer.retry_after_s if answer else None))
        if model.sensors != manner.sensors:
            raise CommandError(
                f"model {model.name} {model.version} at {manner.url} has other sensors than the plant's: "
                f"{', '.join(model.sensors)}"
            )
        self._view.note(f"{model.name} {model.version} at {manner.url}, {manner.speed:g} times real time")
        return model

    def _listen(self, until: float) -> None:
        """Handle what the feeds tell, until a moment of time.monotonic()."""
        while True:
            left_s = until - time.monotonic()
            try:
                event = self._events.get(timeout=left_s) if left_s > 0 else self._events.get_nowait()
            except queue.Empty:
                return
            self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Failed):
            self._failed(event)
            return
        if isinstance(event, Broken):
            raise event.error
        if event.asset in self._failing:
            self._failing.discard(event.asset)
            if not self._failing:
                self._told_at.clear()
                self._view.note(f"{self._manner.url} answers again")
        if isinstance(event, Commissioned):
            self._commissioned(event)
        else:
            self._answered(event.asset, event.snapshot, event.result)

    def _answered(self, asset: str, snapshot: Snapshot, result: Mapping[str, Any]) -> None:
        self._tally.add(asset, snapshot.step, snapshot.fault, snapshot.disturbed, result)
        time_s = self._start_s + snapshot.step * self._manner.period_s
        self._view.verdict(asset, time_s, snapshot.fault, result)

    def _commissioned(self, event: Commissioned) -> None:
        if event.differs:
            self._view.warn(
                f"{event.asset}: the baseline that the service has is of another machine, perhaps of another "
                "seed; verdicts will be wrong. Replace it with --recommission"
            )
        elif event.kept:
            self._view.note(f"{event.asset}: the service has a baseline already")
        else:
            self._view.note(f"{event.asset}: commissioned with {len(self._machines[event.asset].lead)} rows")

    def _failed(self, event: Failed) -> None:
        """Told once for all assets, not once each, and again only when it goes on for long."""
        self._failing.add(event.asset)
        message = event.message if event.lasting else f"{event.message}; the plant goes on, asking again"
        # An outage is one thing, though it is refused now, reset or not ready then.
        what = message if event.lasting else _OUTAGE
        now = time.monotonic()
        if now - self._told_at.get(what, -REMIND_S) >= REMIND_S:
            self._told_at[what] = now
            self._view.warn(message)
