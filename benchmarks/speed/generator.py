"""The load generator: a process of its own on a core of its own, nothing but the standard library in it.

Reads a JSON object from standard input and writes one to standard output; `benchmarks.speed.load` says what
is in them, and starts it. Requests go over kept connections. With a rate they are due at even intervals
whether or not earlier ones are answered (an open loop), and latency counts from when a request was due;
without one each connection sends again as soon as it is answered (a closed loop).
"""

import json
import math
import os
import resource
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

_READ = 1 << 20
# Below this a request that is soon due is waited for awake: sleeping is not exact enough.
_AWAKE_S = 3e-4
# For the first answer, where none came in time.
_PATIENCE_S = 15.0


class Refused(Exception):
    """An answer that is not 200, or a connection that was closed."""


class Connection:
    """One kept connection. At most one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.began = 0.0
        self._unsent = memoryview(b"")
        self._answer = bytearray()
        # Bytes of the whole answer; 0 until its head is there, -1 where it comes in chunks.
        self._whole = 0

    def send(self, request: bytes, began: float) -> bool:
        """Returns whether all of it went out."""
        self.began = began
        self._unsent = memoryview(request)
        return self.send_on()

    def send_on(self) -> bool:
        while self._unsent:
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except BlockingIOError:
                return False
        return True

    def receive(self) -> bool:
        """Returns whether the answer is whole. Raises Refused."""
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return False
        if not data:
            raise Refused("the server closed a connection")
        self._answer += data
        if not self._whole and not self._read_head():
            return False
        if self._whole > 0:
            done = len(self._answer) >= self._whole
        else:
            done = self._answer.endswith(b"\r\n0\r\n\r\n")
        if done:
            self._answer.clear()
            self._whole = 0
        return done

    def _read_head(self) -> bool:
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._answer[:end]).lower()
        if head[9:12] != b"200":
            raise Refused(bytes(self._answer[:600]).decode(errors="replace"))
        place = head.find(b"\r\ncontent-length:")
        self._whole = -1 if place < 0 else end + 4 + int(head[place + 17 :].split(b"\r\n", 1)[0])
        return True


class Load:
    """Requests in turn over some connections, until the time or the count is over."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._requests = [_request(order, Path(path).read_bytes()) for path in order["bodies"]]
        address = ("127.0.0.1", order["port"])
        self._connections = [Connection(address) for _ in range(order["connections"])]
        self._by_number = {connection.socket.fileno(): connection for connection in self._connections}
        self._interval: float | None = 1.0 / order["rate"] if order["rate"] else None
        self._count: int | None = order["count"]
        self._epoll = select.epoll()
        self._sent = 0
        self.latencies: list[float] = []

    def run(self, start: float, warm_s: float, seconds: float) -> tuple[float, float]:
        """Returns when what is counted began and ended. Raises Refused.

        Where nothing was answered in time, one late answer is waited for.
        """
        for number in self._by_number:
            self._epoll.register(number, select.EPOLLIN)
        time.sleep(max(0.0, start - time.monotonic()))
        counted = time.monotonic() + warm_s
        end = math.inf if self._count else counted + seconds
        idle = deque(self._connections)
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if (now >= end and self.latencies) or now >= end + _PATIENCE_S or self._all_answered():
                return counted, now
            while idle and (self._interval is None or due <= now) and now < end and not self._all_sent():
                self._send(idle.popleft(), now if self._interval is None else due)
                due += self._interval or 0.0
            for number, event in self._epoll.poll(self._wait(now, due, end, bool(idle))):
                connection = self._by_number[number]
                if event & select.EPOLLOUT and connection.send_on():
                    self._epoll.modify(number, select.EPOLLIN)
                if event & ~select.EPOLLOUT and connection.receive():
                    done = time.monotonic()
                    if done >= counted and (done <= end or not self.latencies):
                        self.latencies.append(done - connection.began)
                    idle.append(connection)

    def _all_sent(self) -> bool:
        return self._count is not None and self._sent >= self._count

    def _all_answered(self) -> bool:
        return self._count is not None and len(self.latencies) >= self._count

    def _send(self, connection: Connection, began: float) -> None:
        if not connection.send(self._requests[self._sent % len(self._requests)], began):
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        self._sent += 1

    def _wait(self, now: float, due: float, end: float, can_send: bool) -> float:
        wait = min(end - now, 1.0) if now < end else 0.1
        if self._interval is not None and can_send:
            wait = min(wait, due - now - _AWAKE_S)
            # The system counts in milliseconds and rounds up, which would be too late.
            wait = math.floor(wait * 1e3) / 1e3
        return max(wait, 0.0)


def _request(order: dict[str, Any], body: bytes) -> bytes:
    head = (
        f"POST {order['path']} HTTP/1.1\r\nHost: 127.0.0.1:{order['port']}\r\n"
        f"Content-Type: {order['media_type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def summary(latencies: list[float], seconds: float) -> dict[str, Any]:
    """What is told of a load. latencies: seconds each. Percentiles by nearest rank, milliseconds.

    histogram: requests by the upper edge of their bucket, milliseconds, ten buckets for each factor of ten.
    """
    ordered = sorted(latencies)
    histogram: dict[str, int] = {}
    for latency in ordered:
        edge = f"{10 ** (math.ceil(math.log10(max(latency * 1e3, 1e-3)) * 10) / 10):.4g}"
        histogram[edge] = histogram.get(edge, 0) + 1

    def percentile(share: float) -> float:
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] * 1e3

    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "longest": 1.0}
    return {
        "requests": len(ordered),
        "seconds": seconds,
        "rate": len(ordered) / seconds,
        **{name: percentile(share) for name, share in shares.items()},
        "histogram": histogram,
    }


def main() -> None:
    order = json.load(sys.stdin)
    os.sched_setaffinity(0, order["cores"])
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    try:
        load = Load(order)
        counted, ended = load.run(order["start"], order["warm_s"], order["seconds"])
    except (Refused, OSError) as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    if not load.latencies:
        json.dump({"error": "no request was answered in time"}, sys.stdout)
        return
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = summary(load.latencies, ended - counted)
    json.dump(told | {"busy": used / (time.monotonic() - max(began, order["start"]))}, sys.stdout)


if __name__ == "__main__":
    main()
