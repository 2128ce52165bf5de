"""What lies in a socket and was not read yet."""

import asyncio
import socket

from cli.unread import has_unread


class Transport(asyncio.BaseTransport):
    def __init__(self, connection: socket.socket | None) -> None:
        super().__init__({"socket": connection})


def test_bytes_that_were_sent_are_unread_until_they_are_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = Transport(ours)
        assert not has_unread(transport)
        theirs.sendall(b"POST")
        assert has_unread(transport)
        ours.recv(2)
        assert has_unread(transport)
        ours.recv(2)
        assert not has_unread(transport)


def test_closed_connection_has_nothing_unread() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"POST")
    ours.close()
    theirs.close()
    assert not has_unread(Transport(ours))
    assert not has_unread(Transport(None))
