"""One worker of several: a server whose connections are handed to it (cli/workers.py starts it)."""

import asyncio
import logging
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from cli.errors import message_of
from cli.protocol import protocol_of
from cli.serve import banner, quick_imports, runtime_of, server_config
from cli.server import TakingServer, settle
from cli.worker_channel import ALL_READY, CONNECTION, UNREADY, Word, assigned, say
from service.measuring.ledger import Ledger
from service.settings import Settings

if TYPE_CHECKING:
    from cli.worker_channel import Assignment
    from service.resources import Resources

_BEAT_S = 1.0
_log = logging.getLogger("service.worker")


class WorkerServer(TakingServer):
    """Listens to nothing; takes connections, and the order to finish, from the channel."""

    def __init__(self, assignment: "Assignment", channel: socket.socket) -> None:
        settings = Settings(**assignment.settings)  # type: ignore[arg-type]
        ledger = Ledger(assignment.ledger, assignment.number)
        with quick_imports():
            from service.app import create_app

            self._app = create_app(settings, runtime_of(settings), self._announce, ledger)
        self._app.state.starting.set()
        super().__init__(server_config(settings, self._app, http=self._protocol_class(settings)))
        self._assignment = assignment
        self._channel = channel
        self._taken = self._closed = 0
        self._resources: Resources | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._hear)
        self._say("up")
        self._beating = asyncio.create_task(self._beat())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        if sig == signal.SIGTERM:
            self._say("leaving")

    async def _announce(self, resources: "Resources") -> None:
        self._resources = resources
        answers = resources.models.default() is not None
        # The announcement has windows judged, which are counted: once is enough.
        telling = self._assignment.announcing or not answers
        text = await banner(resources, self._assignment.url) if telling else ""
        settle()
        self._say("ready", text=text, answers=answers)

    async def _beat(self) -> None:
        while True:
            resources = self._resources
            if resources is not None:
                await asyncio.to_thread(resources.metrics.publish_process)
            self._say("hanging" if resources is not None and resources.models.hanging() else "alive")
            await asyncio.sleep(_BEAT_S)

    def _hear(self) -> None:
        while not self.should_exit:
            try:
                order, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                order, descriptors = b"", []
            if order == CONNECTION and descriptors:
                connection = socket.socket(fileno=descriptors[0])
                self._taken += 1
                self._say("alive")  # before anything is read from it: until then it can go to another worker
                self.take(connection)
            elif order == UNREADY:
                self._app.state.draining.set()
            elif order == ALL_READY:
                self._app.state.starting.clear()
            elif order == b"":
                asyncio.get_running_loop().remove_reader(self._channel)
                self._app.state.draining.set()
                self.should_exit = True

    def _protocol_class(self, settings: Settings) -> type[asyncio.Protocol]:
        ended = self._ended

        class Protocol(protocol_of(settings)):  # type: ignore[misc]
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                ended()

        return Protocol

    def was_lost(self) -> None:
        self._ended()

    def _ended(self) -> None:
        self._closed += 1
        self._say("alive")

    def _say(self, kind: Any, **fields: Any) -> None:
        say(self._channel, Word(kind, taken=self._taken, closed=self._closed, **fields))


def main() -> None:
    """Entry point: the channel's descriptor is the only argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        server = WorkerServer(assigned(channel), channel)
        server.run()
    except Exception as error:
        message = message_of(error)
        say(channel, Word("failed", message or f"{type(error).__name__}: {error}"))
        if message is None:
            raise
        raise SystemExit(1) from None
    if not server.started:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
