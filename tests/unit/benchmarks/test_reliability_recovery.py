"""How long after an overload a service is itself again, from what single requests found."""

import pytest

from benchmarks.reliability.overload import Probe, recovery


def probes(*accepted: int, first: float = 100.0) -> list[Probe]:
    """One every 20 ms."""
    return [Probe(first + 0.02 * k, bool(each)) for k, each in enumerate(accepted)]


def test_recovery_is_until_the_first_of_ten_in_a_row() -> None:
    assert recovery(probes(*[0] * 5, *[1] * 10), 100.0) == pytest.approx(0.1)


def test_nine_in_a_row_are_no_recovery() -> None:
    assert recovery(probes(*[1] * 9, 0, *[1] * 10), 100.0) == pytest.approx(0.2)


def test_what_was_asked_during_the_overload_does_not_count() -> None:
    assert recovery(probes(*[1] * 20, *[0] * 5, *[1] * 10), 100.4 - 1e-6) == pytest.approx(0.1, abs=1e-3)


def test_service_that_goes_on_refusing_has_not_recovered() -> None:
    assert recovery(probes(*[1, 0] * 50), 100.0) is None


def test_probes_that_end_too_early_show_nothing() -> None:
    assert recovery(probes(*[1] * 9), 100.0) is None
