"""The gRPC server: its port, what it offers, and how it begins and ends."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.errors import PortUnavailable
from service.grpc.calls import Calls
from service.grpc.service import NAME, InferenceService
from service.http.probes import unready_reason
from service.resources import Resources
from service.settings import Settings

# Calls that may be under way together. A message is in memory before its size is known, so that this and
# OFFNORMAL_MAX_BODY_MB bound what callers with a key can fill.
MOST_CALLS = 256
# So often the health service is told how things are, and draining is noticed.
_LOOK_S = 0.2
# Between an answer and its last byte.
_LAST_BYTES_S = 0.1


class GrpcServer:
    """Shares the event loop and the resources of the app."""

    def __init__(self, resources: Resources, release: str) -> None:
        settings = resources.settings
        self._resources = resources
        self._calls = Calls(resources, InferenceService(resources, release).methods())
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            handlers=[self._calls],
            maximum_concurrent_rpcs=MOST_CALLS,
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                # Several workers listen to one port; of one process, a taken port must be an error.
                ("grpc.so_reuseport", int(settings.workers > 1)),
            ],
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises PortUnavailable."""
        settings = self._resources.settings
        address = address_of(settings)
        await self._tell_health()
        try:
            if settings.tls_certificate is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, _credentials(settings))
        except RuntimeError:
            raise PortUnavailable(f"cannot listen on {address} for gRPC") from None
        await self._server.start()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Accept nothing more; finish what is under way, for as long as the settings allow."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._stop()

    async def _follow(self) -> None:
        """Tell the health service how things are; close the port when HTTP's closes, `drain_s` after the
        order to stop."""
        while not self._resources.draining.is_set():
            await self._tell_health()
            await asyncio.sleep(_LOOK_S)
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._resources.settings.drain_s)
        await self._stop()

    async def _stop(self) -> None:
        """Who watches the health service, or has a reflection open, would do so for ever: only calls that are
        being answered are waited for."""
        closing = asyncio.create_task(self._server.stop(self._resources.settings.shutdown_timeout_s))
        while self._calls.under_way and not closing.done():
            await asyncio.sleep(_LAST_BYTES_S)
        await self._server.stop(_LAST_BYTES_S)
        await closing

    async def _tell_health(self) -> None:
        ready = unready_reason(self._resources) is None
        status = health_pb2.HealthCheckResponse
        for service in ("", NAME):
            await self._health.set(service, status.SERVING if ready else status.NOT_SERVING)


def address_of(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.grpc_port}"


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None
    return grpc.ssl_server_credentials(
        [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())]
    )
