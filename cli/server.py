"""The HTTP server of one process: where its connections come from, and how it ends."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from cli.console import warn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.settings import Settings

BACKLOG = 2048
_NEW_OBJECTS = 20_000
# Accepted in one go, before requests are looked after again.
_AT_ONCE = 128
# How long nothing is accepted when there is no descriptor left for it.
_PAUSE_S = 0.05
# A client that says hello over TLS takes no longer.
_HANDSHAKE_S = 10.0
# Beyond the time for answering what is under way, for closing models and state.
END_S = 3.0


def settle() -> None:
    """Have the garbage collector pass over what is there once models are loaded, and look for more only when
    so many objects are new. What is there stays; to look through it, and through what requests under way
    hold, again and again would cost each of them some microseconds."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


class TakingServer(uvicorn.Server):
    """A server to which connections are given."""

    def take(self, connection: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._take(connection))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def was_lost(self) -> None:
        """A connection ended before it began."""

    async def _take(self, connection: socket.socket) -> None:
        tls = self.config.ssl
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=tls, ssl_handshake_timeout=_HANDSHAKE_S if tls else None
            )
        except OSError:  # whoever was at the other end has left already, or does not speak TLS
            connection.close()
            self.was_lost()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class ListeningServer(TakingServer):
    """The server of a service of one process.

    It accepts by itself, many at once: the event loop accepts one in each of its turns, and when turns are
    long, new callers wait unseen (docs/decisions/0025-every-wait-for-a-client-ends.md).

    On SIGTERM it first says it is not ready, and only after `drain_s` closes its port: whoever balances the
    load needs that time to notice. SIGINT, from a person, closes at once. What has not ended when its time is
    over, a model that hangs for one, is left behind, with exit code 1.
    """

    def __init__(self, config: uvicorn.Config, app: "FastAPI", settings: "Settings") -> None:
        super().__init__(config)
        self._app = app
        self._drain_s = settings.drain_s
        self._longest_end_s = settings.drain_s + settings.shutdown_timeout_s + END_S
        self._listener: socket.socket | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if os.name == "nt" or not sockets:  # where the loop cannot watch a listening socket
            await super().startup(sockets=sockets)
            return
        await super().startup(sockets=[])
        (self._listener,) = sockets
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._resume()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            while self._accept_some():  # who is at the door already is let in
                await asyncio.sleep(0)
            self._listener.close()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        draining = self._app.state.draining
        again = draining.is_set()
        draining.set()
        if not again:
            _later(self._longest_end_s, self._leave)
        if again or sig == signal.SIGINT or self._drain_s == 0:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True
        else:
            _later(self._drain_s, self._exit)

    def _exit(self) -> None:
        self.should_exit = True

    def _leave(self) -> None:
        warn("what does not end in time is left behind")
        os._exit(1)

    def _resume(self) -> None:
        if self._listener is not None and self._listener.fileno() >= 0 and not self.should_exit:
            asyncio.get_running_loop().add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> bool:
        """Whether there may be more."""
        assert self._listener is not None
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return False
            except OSError:
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(_PAUSE_S, self._resume)
                return False
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.take(connection)
        return True


def _later(seconds: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
