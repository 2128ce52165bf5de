"""The catalogue of the moment, and what the log and the metrics are told when it becomes another."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from service.measuring.metrics import Metrics
from service.models.catalogue import Catalogue
from service.models.choices import Choices
from service.models.version import LoadedModel, Version

_log = logging.getLogger(__name__)


class Current:
    """Reading `catalogue` is for any thread, and so is changing it: one change after the other."""

    def __init__(self, catalogue: Catalogue, metrics: Metrics) -> None:
        self.catalogue = catalogue
        self._metrics = metrics
        self._lock = threading.Lock()

    def put(self, version: Version) -> None:
        self._become(lambda catalogue: catalogue.put(version))

    def remove(self, name: str, number: int) -> None:
        self._become(lambda catalogue: catalogue.without(name, number))

    def decide(self, choices: Choices) -> None:
        """Have these versions answer."""
        self._become(lambda catalogue: replace(catalogue, choices=choices))

    def finish(self) -> None:
        """The store was gone through once."""
        self._become(lambda catalogue: replace(catalogue, finished=True))

    def count(self, change: str) -> None:
        self._metrics.model_changed(change)

    def _become(self, edit: Callable[[Catalogue], Catalogue]) -> None:
        with self._lock:
            old, self.catalogue = self.catalogue, edit(self.catalogue)
            for name in {*old.versions, *self.catalogue.versions}:
                self._tell(name, old.live.get(name), self.catalogue.live.get(name))
            self._metrics.refused[0] = sum(version.refused for version in self.catalogue.all())

    def _tell(self, name: str, before: LoadedModel | None, live: LoadedModel | None) -> None:
        if live is before:
            return
        self._metrics.live_version[name][0] = live.ref.version if live else 0
        if before is not None:
            self.count("switched")
            fields = {
                "model": name,
                "version": live.ref.version if live else None,
                "before": before.ref.version,
            }
            _log.info("another version answers", extra={"fields": fields})
