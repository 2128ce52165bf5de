"""Opens the gRPC server beside the app, where the settings ask for one. Imports gRPC only then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from service.resources import Resources

if TYPE_CHECKING:
    from service.grpc.server import GrpcServer


@asynccontextmanager
async def grpc_door(resources: Resources, release: str, loading: "asyncio.Task[None]") -> AsyncIterator[None]:
    """Open while the context lasts.

    One process opens its port at once, and says that it is not ready. Of several workers each opens it when
    its models are loaded: they listen to one port, and the system would give connections to one that cannot
    answer yet.

    Raises PortUnavailable, ModuleNotFoundError where the extra is not installed.
    """
    if resources.settings.grpc_port is None:
        yield
        return
    from service.grpc.server import GrpcServer

    server = GrpcServer(resources, release)
    if resources.settings.workers == 1:
        await server.start()
        opening = None
    else:
        opening = asyncio.create_task(_open_later(server, loading))
    try:
        yield
    finally:
        if opening is not None:
            opening.cancel()
            with suppress(asyncio.CancelledError):
                await opening
        await server.close()


async def _open_later(server: "GrpcServer", loading: "asyncio.Task[None]") -> None:
    await asyncio.wait([loading])
    await server.start()
