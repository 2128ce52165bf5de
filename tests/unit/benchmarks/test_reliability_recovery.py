"""How long after an overload a service is itself again, from what single requests found."""

import pytest

from benchmarks.reliability.overload import Probe, Recovery, held_back_s, recovery


def probes(*accepted: int, first: float = 100.0) -> list[Probe]:
    """One every 20 ms."""
    return [Probe(first + 0.02 * k, bool(each)) for k, each in enumerate(accepted)]


def seconds(probes: list[Probe], ended: float) -> float:
    found = recovery(probes, ended)
    assert found is not None
    return found.seconds


def test_recovery_is_until_the_first_of_ten_in_a_row() -> None:
    assert seconds(probes(*[0] * 5, *[1] * 10), 100.0) == pytest.approx(0.1)


def test_nine_in_a_row_are_no_recovery() -> None:
    assert seconds(probes(*[1] * 9, 0, *[1] * 10), 100.0) == pytest.approx(0.2)


def test_what_was_asked_during_the_overload_does_not_count() -> None:
    assert seconds(probes(*[1] * 20, *[0] * 5, *[1] * 10), 100.4 - 1e-6) == pytest.approx(0.1, abs=1e-3)


def test_service_that_goes_on_refusing_has_not_recovered() -> None:
    assert recovery(probes(*[1, 0] * 50), 100.0) is None


def test_probes_that_end_too_early_show_nothing() -> None:
    assert recovery(probes(*[1] * 9), 100.0) is None


def test_time_for_which_the_machine_had_no_processor_is_not_the_services() -> None:
    asked = [Probe(100.0 + 0.02 * k, k >= 60, held_back=5.0 + 0.01 * k) for k in range(80)]
    found = recovery(asked, 100.0)
    assert found is not None
    assert (found.seconds, found.held_back_s) == (pytest.approx(1.2), pytest.approx(0.6))
    assert found.own_s == pytest.approx(0.6)


def test_service_does_not_recover_before_the_overload_ended() -> None:
    assert Recovery(0.1, 3.0).own_s == 0.0


def test_process_that_is_gone_was_not_held_back() -> None:
    assert held_back_s(2**22 + 1) == 0.0
