"""Everything that goes on in the background of one app, and how it ends with it."""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from service.jobs.training import Trainings
from service.models import Models
from service.models.watching import Watcher
from service.settings import Settings

_log = logging.getLogger(__name__)


class Jobs:
    """Used by the event loop alone. folder: where records of jobs are kept."""

    def __init__(self, folder: Path, trainings: Trainings) -> None:
        self.folder = folder
        self.trainings = trainings
        # One after the other: a job is patient, and whoever asks for one window is not.
        self.turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: Settings, models: Models, watcher: Watcher) -> "Jobs":
        async def published() -> None:
            await asyncio.to_thread(models.ask_all)
            await watcher.look(again=False)

        folder = settings.state / "jobs"
        trainings = Trainings(folder / "trainings", settings.models, settings.train_recipe, published)
        return cls(folder, trainings)

    @property
    def waiting(self) -> int:
        """Jobs that were started here and have not ended."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Give up what has not ended; each job notes that it was."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a job failed", exc_info=error)
