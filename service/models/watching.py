"""Looks at what people decided many times a second, and at the store now and then."""

import asyncio
import logging
import time
from collections.abc import Callable

from service.models.models import Models
from service.models.scanning import Change, Prepare

# How soon the other workers follow when one of them was told to roll back.
_FOLLOW_S = 0.1
# How soon a version is looked at again that is being copied in.
_SOON_S = 0.5
_log = logging.getLogger(__name__)


class Watcher:
    """For the event loop; all that takes time runs in threads.

    prepare: see `Scanner.scan`. catch_up: is run after each look, and blocks. poll_s: 0 for none unasked.
    """

    def __init__(self, models: Models, prepare: Prepare, catch_up: Callable[[], None], poll_s: float) -> None:
        self._models = models
        self._prepare = prepare
        self._catch_up = catch_up
        self._poll_s = poll_s
        self._looking: asyncio.Task[list[Change]] | None = None
        self._again = False

    async def run(self) -> None:
        """Until cancelled; the look that is under way then comes to its end by itself."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_FOLLOW_S)
            if not self._models.finished:
                looked = time.monotonic()
                continue
            try:
                self._again |= self._models.follow()
            except Exception:  # the next may go well; without it nobody could roll back
                _log.exception("choices could not be followed")
            if self._looking is not None and not self._looking.done():
                continue
            pause_s = _SOON_S if self._models.unsettled else self._poll_s or float("inf")
            if self._again or time.monotonic() - looked >= pause_s:
                again, self._again = self._again, False
                self._looking = asyncio.create_task(self.look(again=again))
                looked = time.monotonic()

    async def look(self, *, again: bool) -> list[Change]:
        """Look at the store now. again: also at refused versions whose files are the same."""
        return await asyncio.to_thread(self._look, again)

    def _look(self, again: bool) -> list[Change]:
        try:
            changes = self._models.scan(self._prepare, again=again)
            self._catch_up()
        except Exception:  # the next look may succeed; what answers goes on answering
            _log.exception("the store could not be looked at")
            return []
        return changes
