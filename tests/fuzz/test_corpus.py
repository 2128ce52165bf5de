"""What fuzzing found is tried again, and so is what is in order, spoilt by chance."""

import random
from pathlib import Path

import pytest

from tests.fuzz import amount
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS, seeds

KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_what_was_found_once_breaks_nothing(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_what_was_found_is_there_and_belongs_to_a_target() -> None:
    assert {"body", "manifest"} <= {path.parent.name for path in KEPT} <= set(TARGETS)


def spoilt(seed: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, doubled, dropped, or exchanged for those that matter to the formats."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at:at] = bytes([chance.randrange(256)])
        elif kind == 1:
            del data[at : at + chance.randint(1, 20)]
        elif kind == 2:
            data[at : at + 1] = chance.choice(PIECES)
        elif kind == 3:
            data[at:at] = data[at : at + chance.randint(1, 50)]
        elif data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
    return bytes(data)


PIECES = [
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"1" * 400, b"-0", b"5e-324", b"1e308", b"true", b'"', b'""'),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\\u0000",
        b"\\ud800",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\n",
    ),
    *(
        b"\r",
        b";",
        b"\t",
        b"'",
        b"(",
        b"'<f8'",
        b"(-1,2,8)",
        b"(0,1,8)",
        b"|O",
        b"PK\x03\x04",
        b"../",
        b"0" * 30,
    ),
]


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_spoilt_by_chance_breaks_nothing(target: str) -> None:
    chance = random.Random(f"{target} {amount.TIMES}")
    given = seeds(target)
    for _ in range(amount.cases(60 if target in ("golden", "operation", "manifest") else 400)):
        data = spoilt(chance.choice(given), chance)
        try:
            TARGETS[target](data)
        except BaseException:
            print(f"{target}: {data!r}"[:10_000])  # noqa: T201
            raise
