import msgspec
import pytest

from benchmarks.quality.page import fill
from benchmarks.speed import page, results
from benchmarks.speed.cases import CASES, PROMISES, Promise, best, difference, of, ratio
from benchmarks.speed.places import PAGE
from benchmarks.speed.results import Run, Sample


def run_of(*samples: tuple[int, str, str, dict[str, float]], failures: dict[str, str] | None = None) -> Run:
    return Run(
        began="2026-01-02",
        seconds=120.0,
        rounds=3,
        quick=False,
        machine="a machine",
        versions={"offnormal": {"numpy": "1"}},
        models={"window": "Model `window`."},
        samples=[Sample(*sample) for sample in samples],
        failures=failures or {},
    )


RATES = run_of(
    (0, "one", "probe", {"rate": 300.0}),
    (1, "one", "probe", {"rate": 310.0}),
    (2, "one", "probe", {"rate": 200.0}),
    (0, "other", "probe", {"rate": 100.0}),
    (1, "other", "probe", {"rate": 155.0}),
)
ONE, OTHER = of("one", "probe", "rate"), of("other", "probe", "rate")


def test_ratio_is_of_the_same_round_and_leaves_out_rounds_with_one_half() -> None:
    assert ratio(ONE, OTHER)(RATES) == {0: 3.0, 1: 2.0}


def test_best_of_two_is_chosen_round_by_round_from_what_was_measured() -> None:
    assert best(max, OTHER, ONE)(RATES) == {0: 300.0, 1: 310.0, 2: 200.0}
    assert best(min, OTHER, ONE)(RATES) == {0: 100.0, 1: 155.0, 2: 200.0}


def test_difference_is_of_the_same_round() -> None:
    assert difference(ONE, OTHER)(RATES) == {0: 200.0, 1: 155.0}


def test_runs_taken_together_follow_each_other() -> None:
    both = results.pooled([RATES, RATES])
    assert ratio(ONE, OTHER)(both) == {0: 3.0, 1: 2.0, 3: 3.0, 4: 2.0}
    assert (both.rounds, both.seconds) == (6, 240.0)


@pytest.mark.parametrize(
    ("values", "least", "most", "outcome"),
    [
        pytest.param([2.9, 3.1, 3.2], 3.0, None, "met", id="median reaches the least"),
        pytest.param([2.9, 2.95, 9.0], 3.0, None, "**missed**", id="best round does not count"),
        pytest.param([3.0], 3.0, None, "met", id="exactly the least"),
        pytest.param([0.5, 0.1], None, 0.25, "**missed**", id="above the most"),
        pytest.param([], 3.0, None, "", id="not measured"),
        pytest.param([1.0], None, None, "", id="nothing promised"),
    ],
)
def test_outcome_is_that_of_the_median(
    values: list[float], least: float | None, most: float | None, outcome: str
) -> None:
    assert Promise("case", "words", ONE, " ×", least, most).outcome(values) == outcome


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param([3.0, 1.0, 2.0], "2.00 s (1.00–3.00)", id="several"),
        pytest.param([1234.5], "1,234.50 s", id="one"),
        pytest.param([], "not measured yet", id="none"),
    ],
)
def test_figures_are_shown_as_median_and_least_to_most(values: list[float], text: str) -> None:
    assert page.spread(values, 2, " s") == text


def test_page_without_a_run_shows_no_figure_of_any_promise() -> None:
    rows = page.promises(None).splitlines()[2:]
    assert len(rows) == len(PROMISES)
    assert all("| not measured yet |" in row and "met" not in row.split("|")[-2] for row in rows)


def test_page_tells_a_promise_with_its_figure_and_outcome() -> None:
    found = page.promises(
        run_of((0, "offnormal", "start", {"s": 1.3}), (1, "offnormal", "start", {"s": 1.5}))
    )
    (row,) = [line for line in found.splitlines() if line.startswith("| start to ready |")]
    assert row == "| start to ready | 1.40 s (1.30–1.50) | ≤ 1.2 s | **missed** |"


def test_promise_against_mlserver_takes_the_better_of_its_two_setups() -> None:
    probe = "connections-16"
    run = run_of(
        (0, "offnormal", probe, {"rate": 3000.0}),
        (0, "mlserver", probe, {"rate": 800.0}),
        (0, "mlserver-unbatched", probe, {"rate": 1000.0}),
    )
    assert PROMISES[0].figure(run) == {0: 3.0}


def test_server_that_could_not_be_measured_is_told_with_its_reason() -> None:
    found = page.sections(
        run_of(failures={"bentoml": "could not be installed: no | wheel\nfor this machine."})
    )
    assert (
        "could not be measured: could not be installed: no / wheel for this machine |" in found[page.COMPARED]
    )
    assert "Not everything could be measured of BentoML: could not be installed" in found[page.RUN]


def test_server_that_failed_in_one_round_keeps_the_figures_of_the_others() -> None:
    run = run_of((0, "bentoml", "connections-16", {"rate": 500.0}), failures={"bentoml": "round 2: it ended"})
    found = page.sections(run)
    assert "| BentoML | 500 |" in found[page.COMPARED]
    assert "round 2: it ended" in found[page.RUN]


def test_documented_page_has_a_place_for_every_section() -> None:
    text = PAGE.read_text(encoding="utf-8")
    filled = fill(text, {name: f"section {name}" for name in page.sections(None)})
    assert all(f"section {name}" in filled for name in page.sections(None))


def test_run_is_read_as_it_was_kept(tmp_path) -> None:
    path = tmp_path / "deeper" / "run.json"
    results.save(RATES, path)
    assert results.load(path) == RATES


def test_run_of_another_form_is_refused(tmp_path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"began": 3}')
    with pytest.raises(msgspec.ValidationError):
        results.load(path)


def test_every_case_has_a_visit_that_measures_it() -> None:
    from benchmarks.speed.visits import plan

    assert all(plan([case], ray=False) for case in CASES)


def test_case_by_itself_starts_only_the_servers_that_it_needs() -> None:
    from benchmarks.speed.visits import plan

    (own,) = plan(["tail"], ray=False)
    assert (own.name, list(own.probes)) == ("offnormal", ["half-load"])
    assert "ray" not in {visit.name for visit in plan(CASES, ray=False)}
    assert "ray" in {visit.name for visit in plan(CASES, ray=True)}
