"""What lies in a socket and was not read yet: the part of a wait that no queue shows."""

import asyncio
import socket
import struct
import sys

# Of Linux' struct tcp_info: milliseconds since the newest bytes arrived, tcpi_last_data_recv.
_PLACE, _SIZE = 52, 56


def unread_s(transport: asyncio.BaseTransport) -> float:
    """Seconds since the newest bytes of this connection arrived; 0 where the system does not tell.

    Read at once, it is how long they waited. Its resolution is that of the kernel's clock, 1 to 10 ms.
    """
    connection = transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None:
        return 0.0
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:  # not TCP, or closed already
        return 0.0
    if len(told) < _SIZE:
        return 0.0
    (milliseconds,) = struct.unpack_from("I", told, _PLACE)
    return float(milliseconds) / 1e3


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether something has arrived on this connection that was not read yet; False where none can tell."""
    try:
        import fcntl
        import termios
    except ImportError:  # not a Unix
        return False
    connection = transport.get_extra_info("socket")
    if connection is None:
        return False
    try:
        told = fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4))
    except (OSError, ValueError):  # closed already
        return False
    (count,) = struct.unpack("i", told)
    return bool(count)
