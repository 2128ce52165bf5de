"""Prometheus' text format, as it is written by numpy."""

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.measuring.exposition import Family, HistogramFamily, numbers


def written(value: float, decimals: int) -> str:
    return numbers(np.array([value]), decimals).T.tobytes().decode()


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (0, 0, "0"),
        (7, 0, "7"),
        (1234567890, 0, "1234567890"),
        (2.0**32, 0, "4294967296"),
        (-12, 0, "-12"),
        (0, 6, "0.000000"),
        (-0.5, 6, "-0.500000"),
        (0.0000004, 6, "0.000000"),
        (-0.0000004, 6, "0.000000"),
        (100.25, 3, "100.250"),
        (1_792_000_000.123, 3, "1792000000.123"),
        (1e30, 0, "999999999999999"),
        (-np.inf, 6, "-999999999.999999"),
        (np.nan, 6, "NaN"),
    ],
)
def test_number_is_written_with_its_decimals(value: float, decimals: int, expected: str) -> None:
    assert written(value, decimals).lstrip() == expected


def test_many_numbers_are_written_as_the_interpreter_writes_them() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-6, 8, 500)
    table = numbers(values, 6).T
    assert [float(row.tobytes()) for row in table] == [
        pytest.approx(float(f"{value:.6f}"), abs=1.1e-6) for value in values
    ]


def parsed(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_family_without_series_has_its_header_only() -> None:
    assert Family("x", "counter", "What.").render() == b"# HELP x_total What.\n# TYPE x_total counter\n"


def test_blocks_of_several_owners_keep_their_labels() -> None:
    family = Family("x", "gauge", "What.", 1)
    first = family.add([{"a": "1"}, {"a": "long enough to widen the table"}])
    family.render()
    second = family.add([{"a": "", "b": 'q"\\\n'}], 7)
    first[:] = (1, 2)
    second += 0.5
    assert parsed(family.render()) == {
        ("x", frozenset({("a", "1")})): 1,
        ("x", frozenset({("a", "long enough to widen the table")})): 2,
        ("x", frozenset({("b", 'q"\\\n')})): 7.5,
    }


def test_number_that_gets_shorter_leaves_nothing_behind() -> None:
    family = Family("x", "gauge", "What.")
    values = family.add([{}])
    for number in (123456, 7, -89, 0):
        values[0] = number
        assert parsed(family.render()) == {("x", frozenset()): number}


def test_histogram_counts_a_value_on_a_bound_below_it() -> None:
    family = HistogramFamily("h", "What.", (0.1, 1.0))
    buckets = family.add({"m": "1"})
    for number in (0.05, 0.1, 0.5, 1.0, 3.0, float("nan")):
        buckets.observe(number)
    found = parsed(family.render())
    assert found[("h_bucket", frozenset({("m", "1"), ("le", "0.1")}))] == 2
    assert found[("h_bucket", frozenset({("m", "1"), ("le", "1")}))] == 4
    assert found[("h_bucket", frozenset({("m", "1"), ("le", "+Inf")}))] == 5
    assert found[("h_count", frozenset({("m", "1")}))] == 5
    assert found[("h_sum", frozenset({("m", "1")}))] == pytest.approx(4.65)
