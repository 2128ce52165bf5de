"""Whatever a caller can make grow has a bound, and what a request may cost is bounded with it."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import RateExceeded
from service.http.rates import MOST_CALLERS, Rates
from tests.contract.app import CheckedClient, rows, running, settings_for
from tests.contract.test_keys import entry

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def small(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckedClient]:
    """A service with little memory for bodies."""
    settings = settings_for(
        trained_store, tmp_path_factory.mktemp("state"), max_body_mb=2, max_bodies_mb=3, max_steps=1000
    )
    with running(settings) as client:
        yield client


def bomb(megabytes: int, times: int = 1) -> bytes:
    """So much of nothing, compressed so many times over."""
    content = b" " * (megabytes * MEGABYTE)
    for _ in range(times):
        content = gzip.compress(content, 9)
    return content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (bomb(400), "body_too_large"),
        (bomb(400, times=2), "not_json"),
        (gzip.compress(b"") * 50_000, "unsupported_encoding"),
        (bomb(1) + bomb(1), "unsupported_encoding"),
    ],
    ids=["bomb", "bomb in a bomb", "many empty members", "two members"],
)
def test_compressed_body_takes_no_more_memory_than_a_plain_one(
    small: CheckedClient, content: bytes, code: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        response = small.post("/classify", content=content, headers=headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert response.json()["code"] == code
    assert peak < 10 * MEGABYTE
    assert body_bytes(small) == 0


def body_bytes(client: CheckedClient) -> float:
    (line,) = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("offnormal_body_bytes ")
    ]
    return float(line.split()[-1])


def test_what_a_body_unpacks_to_counts_while_it_is_unpacked(small: CheckedClient) -> None:
    # Two of these fit one by one, as they come; what they hold together does not.
    response = small.post(
        "/classify",
        content=gzip.compress(json.dumps({"window": rows()}).encode() + b" " * (2 * MEGABYTE - 5000), 0),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert (response.status_code, response.json()["code"]) == (429, "queue_full")
    assert small.post("/classify", json={"window": rows()}).status_code == 200


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "zstd", "GZIP;q=1"])
def test_other_encodings_are_not_unpacked(small: CheckedClient, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = small.post("/classify", content=bomb(1), headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    "body",
    [
        '{"window": [' + ",".join(["[]"] * 650_000) + "]}",
        '{"windows": [{"readings": {"Flow": [' + ",".join(["1"] * 900_000) + "]}}]}",
        '{"windows": [{"values": [[' + ",".join(["1"] * 900_000) + "]]}]}",
        '{"windows": [' + ",".join(["{}"] * 600_000) + "]}",
        '{"windows": [{"values": [], "timestamps": [' + ",".join(["1"] * 900_000) + "]}]}",
        '{"windows": [{"readings": {' + ",".join(f'"{i}": []' for i in range(150_000)) + "}}]}",
        "[" * 1_900_000,
        '{"windows": [{"id": "' + "x" * 1_900_000 + '"}]}',
        '{"window": [[' + "1" * 1_900_000 + "]]}",
    ],
    ids=[
        *("empty rows", "a long column", "a long row", "empty windows", "timestamps", "sensors"),
        *("nesting", "a long id", "a long number"),
    ],
)
def test_body_that_parses_to_much_is_refused_in_bounded_memory(small: CheckedClient, body: str) -> None:
    content = body.encode()
    tracemalloc.start()
    try:
        response = small.post("/classify", content=content, headers={"Content-Type": "application/json"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 400 <= response.status_code < 500
    assert len(response.content) < 2000
    assert peak < 60 * len(content)


def test_rate_is_that_of_one_key_and_says_when_to_come_back(trained_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(
        json.dumps(
            {"keys": [entry("a", "read"), entry("b", "read"), {**entry("c", "read"), "requests_per_s": 50}]}
        )
    )
    settings = settings_for(
        trained_store, tmp_path / "state", keys_file=file, requests_per_s=0.05, request_burst_s=60
    )
    with running(settings) as client:

        def status(name: str) -> int:
            return client.get("/models", headers={"X-API-Key": f"key of {name}"}).status_code

        assert [status("a") for _ in range(5)] == [200, 200, 200, 429, 429]
        assert [status("b") for _ in range(4)] == [200, 200, 200, 429]
        assert {status("c") for _ in range(20)} == {200}
        refused = client.get("/models", headers={"X-API-Key": "key of a"})
        assert refused.json()["code"] == "rate_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert {client.get("/livez").status_code for _ in range(20)} == {200}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, caller: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            rates.take(caller)
        except RateExceeded:
            continue
        count += 1
    return count


@pytest.mark.parametrize(("per_s", "burst_s"), [(10.0, 2.0), (0.5, 4.0), (1000.0, 0.01), (0.001, 1.0)])
def test_bucket_holds_a_burst_and_fills_at_its_rate(per_s: float, burst_s: float) -> None:
    clock = Clock()
    rates = Rates(per_s, burst_s, clock)
    most = int(max(1.0, per_s * burst_s))
    assert taken(rates, "a", 5000) == most
    clock.now += 3 / per_s + 1e-9
    assert taken(rates, "a", 5000) == min(3, most)
    clock.now += 1e6
    assert taken(rates, "a", 5000) == most


def test_retry_after_is_long_enough() -> None:
    clock = Clock()
    rates = Rates(0.3, 1.0, clock)
    rates.take("a")
    with pytest.raises(RateExceeded) as refused:
        rates.take("a")
    clock.now += refused.value.retry_after_s
    rates.take("a")


def test_callers_that_are_remembered_are_bounded() -> None:
    rates = Rates(1.0, 1.0, Clock())
    for i in range(3 * MOST_CALLERS):
        rates.take(f"address {i}")
    assert len(rates._buckets) == MOST_CALLERS
