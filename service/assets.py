"""Commissioned assets: each machine's own normal operation, in memory and in the state."""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np

from detector import Baseline, Detector
from detector.errors import BaselineRefused
from detector.windows import Floats
from service.errors import BaselineNotFound, DeadlinePassed, QueueFull, StateUnavailable
from service.measuring.metrics import Metrics
from service.models import LoadedModel, Models
from service.state import Commissioned, Commissioning, SqliteState, StoredBaseline

_log = logging.getLogger(__name__)
# Commissionings that may wait for the one that is under way.
_MOST_WAITING = 8


class Assets:
    """Answers from memory; follows what other processes write to the same state.

    All work that takes time runs in a thread of its own, on a runtime of its own, so that commissioning one
    asset does not hold up the judging of the others.
    """

    def __init__(self, state: SqliteState, models: Models, metrics: Metrics) -> None:
        self._state = state
        self._models = models
        self._metrics = metrics
        self._worker = ThreadPoolExecutor(1, "offnormal commissioning")
        self._reader = ThreadPoolExecutor(1, "offnormal state")
        # Let go of with the model: a version that answers no more costs nothing.
        self._detectors: WeakKeyDictionary[LoadedModel, Detector] = WeakKeyDictionary()
        self._not_adopted: WeakKeyDictionary[LoadedModel, set[tuple[str, float]]] = WeakKeyDictionary()
        self._adopted_at = -1
        self._stopping = False
        self._under_way = 0
        self._known: dict[str, dict[str, StoredBaseline]] = {}
        self._known_at = -1
        self._counted_at = -1

    async def baselines(self, model: LoadedModel) -> Mapping[str, StoredBaseline]:
        """Every asset's baseline for a model, by asset. Raises StateUnavailable."""
        counter = self._state.change_counter()
        if counter != self._known_at:
            self._known, self._known_at = {}, counter
        artefact = model.ref.sha256
        known = self._known.get(artefact)
        if known is None:
            loop = asyncio.get_running_loop()
            known = await loop.run_in_executor(self._reader, self._state.baselines, artefact)
            if self._known_at == counter:
                self._known[artefact] = known
        return known

    async def get(self, asset: str, model: LoadedModel) -> StoredBaseline:
        """Raises BaselineNotFound."""
        found = (await self.baselines(model)).get(asset)
        if found is None:
            raise BaselineNotFound(
                f"asset {asset!r} has no baseline for model {model.ref.name!r}", place="asset"
            )
        return found

    async def all(self) -> list[Commissioned]:
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._state.commissioned)

    async def delete(self, asset: str, model: str) -> None:
        """Raises BaselineNotFound."""
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._reader, self._state.delete, asset, model):
            raise BaselineNotFound(f"asset {asset!r} has no baseline for model {model!r}", place="asset")

    async def commission(
        self, asset: str, model: LoadedModel, values: Floats, timestamps: Floats | None, deadline: float
    ) -> tuple[StoredBaseline, bool]:
        """Make and store an asset's baseline for every loaded version of a model, `model` being its newest.

        values: float64 (rows, sensors), engineering units, NaN missing. timestamps: (rows,), seconds.
        deadline: time.monotonic seconds; nothing is stored after it.
        Returns the baseline for `model`, and whether the asset is new.
        Raises BaselineRefused, TooManyAssets, QueueFull, DeadlinePassed, StateUnavailable.
        """
        if self._under_way > _MOST_WAITING:
            raise QueueFull("too many assets are being commissioned at once", retry_after_s=5)
        self._under_way += 1
        work = asyncio.get_running_loop().run_in_executor(
            self._worker, self._commission, asset, model, values, timestamps, deadline
        )
        work.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.0)):
                return await asyncio.shield(work)
        except TimeoutError:
            raise DeadlinePassed("commissioning took too long; nothing was stored") from None

    def adopt(self, model: LoadedModel) -> None:
        """Set up a version, before it answers, for every asset that was commissioned without it. Blocks.

        One asset after the other, so that commissionings asked for meanwhile take their turn in between.
        """
        for asset in self._state.lacking(model.ref.name, model.ref.sha256):
            if self._stopping:
                return
            self._worker.submit(self._adopt, model, asset).result()

    def catch_up(self) -> None:
        """The same for every version that answers: another worker may have commissioned an asset while this
        one was loading a version, or the other way round. Blocks."""
        counter = self._state.change_counter()
        if counter == self._adopted_at:
            return
        for version in self._models.all():
            if version.loaded:
                self.adopt(version.loaded)
        self._adopted_at = counter

    async def count(self) -> None:
        """Tell the metrics how many assets there are, whichever worker commissioned them."""
        loop = asyncio.get_running_loop()
        try:
            counter = self._state.change_counter()
            if counter != self._counted_at:
                self._metrics.baselines[0] = await loop.run_in_executor(self._reader, self._state.count)
                self._counted_at = counter
        except StateUnavailable:
            _log.warning("assets could not be counted")

    def stop_adopting(self) -> None:
        """The service ends: nobody will ask for what is being set up."""
        self._stopping = True

    def close(self) -> None:
        """Finish what is under way, then let go of the state. Blocks."""
        self._worker.shutdown(cancel_futures=True)
        self._reader.shutdown(cancel_futures=True)
        self._state.close()

    def _ended(self, work: "asyncio.Future[tuple[StoredBaseline, bool]]") -> None:
        self._under_way -= 1
        if not work.cancelled():
            work.exception()  # whoever waited for it may be gone; asked for, it is not reported as forgotten

    def _commission(
        self, asset: str, model: LoadedModel, values: Floats, timestamps: Floats | None, deadline: float
    ) -> tuple[StoredBaseline, bool]:
        def check_deadline() -> None:
            if time.monotonic() >= deadline:
                raise DeadlinePassed("commissioning took too long; nothing was stored")

        check_deadline()
        sensors = model.detector.sensors
        given = Commissioning(asset, model.ref.name, time.time(), sensors, values, timestamps)
        baselines: dict[tuple[str, int], Baseline] = {}
        for version in self._models.loaded(model.ref.name):
            try:
                baseline = self._detector(version).commission(
                    _in_order(given, version.detector.sensors), timestamps
                )
            except BaselineRefused:
                if version is model:
                    raise
            else:
                baselines[version.ref.sha256, version.ref.version] = baseline
            check_deadline()
        created = self._state.save(given, baselines)
        return StoredBaseline(baselines[model.ref.sha256, model.ref.version], given.created), created

    def _adopt(self, model: LoadedModel, asset: str) -> None:
        given = self._state.commissioning(asset, model.ref.name)
        refused = self._not_adopted.setdefault(model, set())
        if given is None or (asset, given.created) in refused:
            return
        try:
            values = _in_order(given, model.detector.sensors)
            baseline = self._detector(model).commission(values, given.timestamps)
        except BaselineRefused as error:
            refused.add((asset, given.created))
            fields = {"asset": asset, "model": model.ref.name, "version": model.ref.version}
            _log.warning("baseline not carried over", extra={"fields": {**fields, "reason": str(error)}})
        else:
            self._state.add(given, model.ref.sha256, model.ref.version, baseline)

    def _detector(self, model: LoadedModel) -> Detector:
        found = self._detectors.get(model)
        if found is None:
            found = self._detectors[model] = self._models.second_detector(model)
        return found


def _in_order(given: Commissioning, sensors: tuple[str, ...]) -> Floats:
    """The readings in another version's order of sensors; NaN for those that were not given."""
    if given.sensors == sensors:
        return given.values
    values = np.full((len(given.values), len(sensors)), np.nan)
    for index, name in enumerate(sensors):
        if name in given.sensors:
            values[:, index] = given.values[:, given.sensors.index(name)]
    return values
