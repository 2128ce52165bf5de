"""`offnormal train` as a process of its own, one at a time: the service itself knows nothing of training."""

import asyncio
import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from service.errors import QueueFull, RouteNotFound
from service.jobs.records import Records

Status = Literal["CREATED", "RUNNING", "READY", "FAILED"]
# The lock that all workers of a service share.
_ONE = "one-training"
_KILL_AFTER_S = 10.0
# Of what a training that failed said, so much is passed on.
_REASON_CHARACTERS = 600
_UNUSABLE = re.compile(r"[^a-z0-9]+")
_log = logging.getLogger(__name__)


class TrainingBusy(QueueFull):
    """A model is being trained, and one at a time may be."""


class TrainingNotInstalled(RouteNotFound):
    """The libraries that train are not part of this installation."""


class Order(Struct, frozen=True):
    """What was asked for, in the caller's words."""

    data_source: str
    data_schema: str
    start_time: str
    end_time: str
    display_name: str = ""
    sliding_window: int | None = None
    align_mode: str = "Outer"
    fill_na_method: str | None = None
    padding_value: float | None = None


class Training(Struct, frozen=True):
    """One model that is to be, or was, trained. name: of the model in the store, whose version 1 it becomes.

    created, updated: ISO 8601. reason: why it failed.
    """

    model_id: str
    name: str
    order: Order
    status: Status
    created: str
    updated: str
    reason: str | None = None


class Trainings:
    """folder: for records, data and logs. models: the store. recipe: of every training, None for the default.

    published: is awaited once a model lies in the store. Used by the event loop alone.
    """

    def __init__(
        self,
        folder: Path,
        models: Path,
        recipe: Path | None,
        published: Callable[[], Awaitable[None]],
    ) -> None:
        self._folder = folder.absolute()
        self._models = models.absolute()
        self._recipe = None if recipe is None else recipe.absolute()
        self._published = published
        self._records = Records(self._folder, Training)

    def begin(
        self, order: Order, identify: Callable[[str], str], prepare: Callable[[Path], None]
    ) -> tuple[Training, Coroutine[Any, Any, None]]:
        """A training, and the work that is to be run for it; nothing else may be trained until that ends.

        identify: gives the id to a model's name. prepare: writes the readings into a folder, or raises with
        the reason why it cannot.
        Raises TrainingNotInstalled, TrainingBusy, StateUnavailable.
        """
        if importlib.util.find_spec("tensorflow") is None:
            raise TrainingNotInstalled(
                "this installation only serves: train with `offnormal train` where the extra `train` is "
                "installed, and copy the model into the store"
            )
        words = _UNUSABLE.sub("-", order.display_name.lower()).strip("-")[:40] or "model"
        name = f"{words}-{secrets.token_hex(4)}"
        now = _now()
        training = Training(identify(name), name, order, "CREATED", now, now)
        with ExitStack() as running:
            if not running.enter_context(self._records.hold(_ONE)):
                raise TrainingBusy("a model is being trained, and one at a time may be", retry_after_s=60)
            running.enter_context(self._records.hold(training.model_id))
            self._records.put(training.model_id, training)
            return training, self._run(running.pop_all(), training, prepare)

    def find(self, model_id: str) -> Training | None:
        """By the id of its model; None for one that was not trained here. Raises StateUnavailable."""
        training = self._records.get(model_id)
        return None if training is None else self._as_it_is(training)

    def all(self) -> list[Training]:
        """Raises StateUnavailable."""
        return [self._as_it_is(training) for training in self._records.all()]

    def forget(self, training: Training) -> None:
        """Its record, its data and its log."""
        self._records.remove(training.model_id)
        shutil.rmtree(self._work(training), ignore_errors=True)

    async def _run(self, running: ExitStack, training: Training, prepare: Callable[[Path], None]) -> None:
        """Train and publish; whatever goes wrong is noted."""
        with running:
            try:
                await self._train(training, prepare)
            except asyncio.CancelledError:
                self._note(training, "FAILED", "the service was stopped while it was being trained")
                raise
            except Exception as error:
                self._note(training, "FAILED", str(error) or type(error).__name__)

    async def _train(self, training: Training, prepare: Callable[[Path], None]) -> None:
        self._note(training, "RUNNING")
        work = self._work(training)
        data = work / "data"
        await asyncio.to_thread(_prepare, data, prepare)
        log = work / "training.log"
        code = await _process(self._command(training, data, work), log)
        if code != 0:
            self._note(training, "FAILED", _last_words(log) or f"it ended with exit code {code}")
            return
        shutil.rmtree(data, ignore_errors=True)
        await self._published()
        self._note(training, "READY")

    def _command(self, training: Training, data: Path, work: Path) -> list[str]:
        order = training.order
        options: list[str] = [] if self._recipe is None else ["--recipe", str(self._recipe)]
        if order.sliding_window is not None:
            options += ["--window", str(order.sliding_window)]
        gently = ["nice", "-n", "10"] if shutil.which("nice") else []
        return [
            *gently,
            sys.executable,
            "-m",
            "cli.main",
            "train",
            str(data),
            "--name",
            training.name,
            "--models",
            str(self._models),
            "--run-folder",
            str(work / "run"),
            "--description",
            f"{order.data_source}, {order.start_time} to {order.end_time}",
            *options,
        ]

    def _work(self, training: Training) -> Path:
        return self._folder / training.model_id

    def _note(self, training: Training, status: Status, reason: str | None = None) -> None:
        noted = msgspec.structs.replace(training, status=status, updated=_now(), reason=reason)
        try:
            self._records.put(training.model_id, noted)
        except Exception as error:  # the training itself is not to fail for its record
            _log.error("a training could not be noted", extra={"fields": {"reason": str(error)}})
        fields = {"model": training.name, "status": status, **({"reason": reason} if reason else {})}
        _log.info("training", extra={"fields": fields})

    def _as_it_is(self, training: Training) -> Training:
        """A training that says it runs while no process runs it was cut off."""
        if training.status in ("READY", "FAILED") or self._records.held(training.model_id):
            return training
        # It may have come to its end between the two looks.
        again = self._records.get(training.model_id) or training
        if again.status in ("READY", "FAILED"):
            return again
        reason = "the process that trained it ended before its time"
        return msgspec.structs.replace(again, status="FAILED", reason=reason)


def _prepare(data: Path, prepare: Callable[[Path], None]) -> None:
    data.mkdir(parents=True, exist_ok=True)
    prepare(data)


async def _process(command: Sequence[str], log: Path) -> int:
    """Run to the end; ended with its children when this task is cancelled. Returns the exit code."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            # No frames and no colours in what may be shown as a reason.
            env={
                # Recordings are kept in a file while they are learnt from: here there is room for them.
                "TMPDIR": str(log.parent),
                **os.environ,
                "NO_COLOR": "1",
                "TERM": "dumb",
                "COLUMNS": "200",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
        )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        _signal(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _KILL_AFTER_S)
        if process.returncode is None:
            _signal(process.pid, signal.SIGKILL)
            await process.wait()
        raise


def _signal(pid: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, which)


def _last_words(log: Path) -> str:
    """The end of what a process said: why it gave up."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return " ".join(line for line in lines if line)[-_REASON_CHARACTERS:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
