"""What the first process of a service and its workers say to each other, over one socket for each worker.

Down go single letters, `CONNECTION` with the connection itself beside it; that nothing more can come, because
the first process closed its end or is gone, is the order to finish. Up go lines of JSON.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from service.measuring.ledger import LedgerFiles

CONNECTION, UNREADY, ALL_READY = b"c", b"u", b"r"
_LENGTH = struct.Struct("!I")


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is to do. number: from 0. announcing: say what is served, with a request to try.

    ledger: descriptors that it inherits.
    """

    number: int
    announcing: bool
    url: str
    settings: dict[str, object]
    ledger: LedgerFiles


class Word(msgspec.Struct, frozen=True):
    """What a worker says.

    up: takes connections. ready: its models are loaded; `text` is its announcement, `answers` whether there
    is a default. alive, hanging: each second, and whenever a connection ends. leaving: was told to go by a
    signal of its own. failed: cannot start, for the reason in `text`.
    taken, closed: connections so far.
    """

    kind: Literal["up", "ready", "alive", "hanging", "leaving", "failed"]
    text: str = ""
    answers: bool = False
    taken: int = 0
    closed: int = 0


_words = msgspec.json.Decoder(Word)


def assign(channel: socket.socket, assignment: Assignment) -> None:
    content = msgspec.json.encode(assignment)
    channel.sendall(_LENGTH.pack(len(content)) + content)


def assigned(channel: socket.socket) -> Assignment:
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    return msgspec.json.decode(_exactly(channel, length), type=Assignment)


def say(channel: socket.socket, word: Word) -> None:
    """Without waiting: to a first process that is gone or behind, nothing is said."""
    try:
        channel.send(msgspec.json.encode(word) + b"\n", socket.MSG_DONTWAIT)
    except OSError:
        return


class Ear:
    """Makes words of the bytes that come up."""

    def __init__(self) -> None:
        self._rest = b""

    def words(self, data: bytes) -> Iterator[Word]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from map(_words.decode, lines)


def _exactly(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (more := channel.recv(count - len(data))):
            raise SystemExit(0)  # the first process is gone before there was anything to do
        data += more
    return data
