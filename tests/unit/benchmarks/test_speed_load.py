import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import generator, load
from benchmarks.speed.answers import WrongAnswer, compare
from benchmarks.speed.cores import siblings_of
from benchmarks.speed.load import Load, LoadFailed, Question
from benchmarks.speed.probes import judged


class Echo(BaseHTTPRequestHandler):
    """Answers what it is sent; in chunks, or with an error, where the path says so."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.send_response(503 if self.path == "/full" else 200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def echo() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.bodies = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def cores() -> list[int]:
    import os

    return sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize("path", ["/lengths", "/chunks"])
def test_count_of_requests_is_sent_exactly_with_bodies_in_turn(echo: ThreadingHTTPServer, path: str) -> None:
    echo.bodies.clear()
    question = Question(path, [b"a" * 10, b"b" * 3_000_000])
    told = load.run(echo.server_port, question, Load(2, 0.0, count=6), cores())
    assert told.requests == 6
    assert sorted(map(len, echo.bodies)) == [10] * 3 + [3_000_000] * 3
    assert sum(told.histogram.values()) == 6
    assert 0 < told.p50 <= told.p99 <= told.longest


def test_paced_load_asks_at_its_rate(echo: ThreadingHTTPServer) -> None:
    told = load.run(
        echo.server_port, Question("/paced", [b"x"]), Load(4, 1.0, warm_s=0.1, rate=50.0), cores()
    )
    assert told.rate == pytest.approx(50, abs=10)


def test_answer_that_is_not_200_fails_the_load_and_is_told(echo: ThreadingHTTPServer) -> None:
    with pytest.raises(LoadFailed, match="503"):
        load.run(echo.server_port, Question("/full", [b"why"]), Load(1, 0.0, count=1), cores())


def test_port_that_nobody_listens_on_fails_the_load() -> None:
    from benchmarks.speed.processes import free_ports

    with pytest.raises(LoadFailed, match="refused"):
        load.run(free_ports(1)[0], Question("/", [b""]), Load(1, 0.2), cores())


def test_percentiles_are_by_nearest_rank_in_milliseconds() -> None:
    told = generator.summary([n / 1e3 for n in range(1, 101)], 2.0)
    assert (told["p50"], told["p90"], told["p99"], told["longest"]) == pytest.approx((50, 90, 99, 100))
    assert (told["requests"], told["rate"]) == (100, 50.0)


def test_histogram_has_every_request_under_its_upper_edge() -> None:
    told = generator.summary([0.001, 0.00101, 0.0009], 1.0)
    assert told["histogram"] == {"1": 2, "1.259": 1}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param([[1.0, 0.5], [2.0, 0.502]], "window 1: 0.502, expected 0.5", id="wrong number"),
        pytest.param([[1.0, 0.5, 0.1]], "numbers for a window", id="wrong shape"),
        pytest.param([[1.0, 0.5], [2.0, np.nan]], "expected 0.5", id="not a number"),
    ],
)
def test_wrong_answer_is_refused_with_its_window(found: list[list[float]], message: str) -> None:
    with pytest.raises(WrongAnswer, match=message):
        compare("Somebody", np.array(found), np.array([[1.0, 0.5], [2.0, 0.5]]))


def test_answer_within_tolerance_is_right() -> None:
    compare("Somebody", np.array([[1000.05, 0.50005]]), np.array([[1000.0, 0.5]]))


def test_judged_windows_are_added_up_over_all_verdicts_and_nothing_else() -> None:
    text = (
        "# TYPE offnormal_verdicts_total counter\n"
        'offnormal_verdicts_total{model="a",verdict="normal"} 3\n'
        'offnormal_verdicts_total{model="a",verdict="anomalous"} 4.0\n'
        'offnormal_requests_total{route="/classify"} 9\n'
    )
    assert judged(text) == 7


@pytest.mark.parametrize(
    ("text", "siblings"),
    [("0-1\n", {0, 1}), ("0,4\n", {0, 4}), ("2", {2}), (None, None), ("?", None)],
    ids=["range", "list", "alone", "no file", "nonsense"],
)
def test_threads_of_a_core_are_read_as_the_system_writes_them(
    tmp_path: Path, text: str | None, siblings: set[int] | None
) -> None:
    if text is not None:
        (tmp_path / "cpu0" / "topology").mkdir(parents=True)
        (tmp_path / "cpu0" / "topology" / "thread_siblings_list").write_text(text)
    assert siblings_of(0, tmp_path) == siblings
