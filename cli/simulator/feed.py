"""Windows of one machine, sent to a running service as a careful plant system would."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError
from cli.service_client import Backoff, ServedModel, ServiceClient, UselessAnswer
from cli.simulator.metrics import UNREACHABLE, PlantMetrics
from history.schedule import Episode

# Pauses before another attempt, seconds: the first, the longest, and the longest asked for by the service.
PAUSES_S = (0.25, 5.0, 60.0)
# A service that judges by the model's baseline has lost the asset's. It is commissioned again, but no sooner.
RECOMMISSION_S = 30.0
# A baseline that the service has may lie this far from the machine's readings, in its standard deviations.
NEAR = 1.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest window of a machine.

    step: of its newest row, 0 being the first of the stream. body: as /classify takes it. fault: what its
    newest row really shows. disturbed: whether any older row of it shows a fault.
    """

    step: int
    body: Mapping[str, Any]
    fault: Episode | None
    disturbed: bool


@dataclass(frozen=True, slots=True)
class Commissioning:
    """Normal operation of a machine.

    readings: by sensor. timestamps: ISO 8601. replace: whether a baseline that the service has must go.
    """

    readings: Mapping[str, Sequence[float]]
    timestamps: Sequence[str]
    replace: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The service judged a window."""

    asset: str
    snapshot: Snapshot
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A request did not succeed and will be made again. lasting: by its nature, unless somebody acts."""

    asset: str
    message: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Commissioned:
    """The asset has a baseline now, or had one before (`kept`). differs: which is not this machine's."""

    asset: str
    kept: bool
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The feed has ended by a defect of the program."""

    asset: str
    error: BaseException


Event = Answered | Failed | Commissioned | Broken


def reason_of(error: CommandError) -> str:
    """Label for metrics: the status of the answer, or UNREACHABLE."""
    return str(error.status) if isinstance(error, UselessAnswer) else UNREACHABLE


class Feed:
    """A thread that commissions one asset and then sends its newest window, whenever there is one.

    A window that waits while a newer one comes is never sent: after an outage the service is told how the
    machine is, not how it was. Every attempt that fails is followed by another, for as long as it takes.
    """

    def __init__(
        self,
        asset: str,
        client: ServiceClient,
        model: ServedModel,
        commissioning: Commissioning,
        metrics: PlantMetrics,
        on_event: Callable[[Event], None],
        newest_version: bool,
    ) -> None:
        """client: that makes one attempt at each request. on_event: called from the feed's thread."""
        self.asset = asset
        self._client = client
        self._model = model
        self._commissioning = commissioning
        self._metrics = metrics
        self._tell = on_event
        self._newest_version = newest_version
        self._backoff = Backoff(*PAUSES_S)
        self._changed = threading.Condition()
        self._waiting: Snapshot | None = None
        self._busy = False
        self._stopped = threading.Event()
        self._commissioned_at: float | None = None
        self._replace = commissioning.replace
        # Ends with the process, whatever it is waiting for.
        self._thread = threading.Thread(target=self._run, name=f"feed of {asset}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more. Does not wait for a request that is under way."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def offer(self, snapshot: Snapshot) -> None:
        """Send this window next, in place of any that waits."""
        with self._changed:
            self._waiting = snapshot
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether everything that was offered has been answered or replaced."""
        with self._changed:
            return self._waiting is None and not self._busy

    def _run(self) -> None:
        try:
            with self._client:
                self._feed()
        except BaseException as error:
            self._tell(Broken(self.asset, error))

    def _feed(self) -> None:
        while not self._stopped.is_set():
            snapshot = None
            try:
                if self._commissioned_at is None:
                    self._commission()
                snapshot = self._take()
                if snapshot is not None:
                    self._classify(snapshot)
                self._backoff.reset()
            except CommandError as error:
                self._put_back(snapshot)
                self._wait(error)

    def _take(self) -> Snapshot | None:
        """The newest window, as soon as there is one; None when it is over."""
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._waiting is not None or self._stopped.is_set())
            snapshot, self._waiting = self._waiting, None
            self._busy = snapshot is not None
            return None if self._stopped.is_set() else snapshot

    def _put_back(self, snapshot: Snapshot | None) -> None:
        with self._changed:
            self._waiting = self._waiting or snapshot

    def _wait(self, error: CommandError) -> None:
        """Tell of a failure, and pause before the next attempt."""
        answer = error if isinstance(error, UselessAnswer) else None
        lasting = answer is not None and not answer.passing
        self._metrics.retry(self.asset, reason_of(error))
        self._tell(Failed(self.asset, str(error), lasting))
        # What is refused for good is asked rarely, but asked: the service may be set right.
        pause_s = self._backoff.next_s(answer.retry_after_s if answer else None)
        self._stopped.wait(max(pause_s, PAUSES_S[1]) if lasting else pause_s)

    def _commission(self) -> None:
        given = self._commissioning
        found = None if self._replace else self._client.baseline(self.asset, self._model)
        if found is None:
            self._client.put_baseline(self.asset, self._model, given.readings, given.timestamps)
        self._commissioned_at = time.monotonic()
        self._replace = False
        self._tell(Commissioned(self.asset, found is not None, found is not None and self._differs(found)))

    def _differs(self, found: Mapping[str, Any]) -> bool:
        """Whether a baseline that the service has is of another machine than this one."""
        for name, readings in self._commissioning.readings.items():
            own = found["sensors"].get(name)
            if own and abs(sum(readings) / len(readings) - own["center"]) > NEAR * own["scale"]:
                return True
        return False

    def _classify(self, snapshot: Snapshot) -> None:
        begin, status = time.monotonic(), UNREACHABLE
        try:
            (result,) = self._client.classify(self._model, [snapshot.body], newest=self._newest_version)
            status = "200"
        except UselessAnswer as error:
            status = str(error.status)
            raise
        finally:
            self._metrics.request(self.asset, status, time.monotonic() - begin)
        self._metrics.verdict(self.asset, result["verdict"])
        self._tell(Answered(self.asset, snapshot, result))
        assert self._commissioned_at is not None
        if result["baseline"] == "model" and time.monotonic() - self._commissioned_at > RECOMMISSION_S:
            self._commissioned_at, self._replace = None, True
