"""What the quality benchmark makes of its measurements."""

import pytest

from benchmarks.quality.contributions import Hits, count
from benchmarks.quality.detection import pooled_reliability, summaries
from benchmarks.quality.figures import DEFAULT, Figures, FileFigures, Share
from benchmarks.quality.page import BadPage, fill
from benchmarks.quality.results import ROOT
from benchmarks.quality.sections import SECTIONS, accuracy, mean_over_faults, realised
from benchmarks.quality.tables import DASH, percent, short, spread, table
from benchmarks.quality.tennessee import Classes
from evaluation.detection import FalseAlarms, RowFigures
from evaluation.judged import Judged, Ranks


def judged(hits: int, misses: int, false_alarms: int, quiet: int, auc: float) -> Judged:
    figures = RowFigures(hits, misses, false_alarms, quiet)
    return Judged([], Ranks(auc), figures, [], FalseAlarms(1, false_alarms + quiet, 0.5), None)


def file(name: str, **settings: Judged) -> FileFigures:
    return FileFigures(
        name=name,
        judged={setting: {"model": item} for setting, item in settings.items()},
        before_fault={},
        auc_of_probability=None,
        probability=[],
        faulty=[],
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.5, 0.7], ".600 ± .141", id="sample-deviation"),
        pytest.param([0.25], ".250", id="one-seed-has-no-spread"),
        pytest.param([1.0, 1.0], "1.000 ± .000", id="one"),
        pytest.param([0.5, None], DASH, id="unknown-for-a-seed"),
        pytest.param([0.5, float("nan")], DASH, id="not-a-number-for-a-seed"),
        pytest.param([], DASH, id="nothing"),
    ],
)
def test_spread_is_mean_and_deviation_over_seeds(values: list[float | None], expected: str) -> None:
    assert spread(values) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.25, 3, ".250"), (-0.25, 2, "-.25"), (10.04, 1, "10.0"), (0.9996, 3, "1.000")],
)
def test_numbers_lose_the_zero_before_the_point_and_no_other(
    value: float, digits: int, expected: str
) -> None:
    assert short(value, digits) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.02, "2 %"), (0.0233, "2.3 %"), (0.1, "10 %")])
def test_budgets_are_in_percent_with_a_digit_where_it_is_needed(share: float, expected: str) -> None:
    assert percent(share) == expected


def test_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_files_of_all_parts_are_pooled_by_rows_and_averaged_by_auc() -> None:
    one, other = file("a", default=judged(10, 0, 0, 10, 1.0)), file("b", default=judged(0, 30, 10, 40, 0.5))
    (found,) = summaries({0: [one, other]}, DEFAULT, "model")
    assert found["missed_alarm_rate"] == pytest.approx(30 / 40)
    assert found["false_alarm_rate"] == pytest.approx(10 / 60)
    assert found["auc"] == pytest.approx(0.75)
    assert found["false_alarms_per_hour"] == pytest.approx(2.0)


def test_setting_that_one_model_refused_has_no_figures_for_all() -> None:
    known = judged(1, 1, 1, 1, 0.5)
    files = {0: [file("a", default=known, strict=known), file("b", default=known)]}
    assert summaries(files, "strict", "model") == []
    assert len(summaries(files, DEFAULT, "model")) == 1


def test_realised_budget_counts_rows_of_the_models_that_take_it() -> None:
    def part(alarms: int, *budgets: str) -> Figures:
        shares = {budget: {"model": Share(alarms, 100)} for budget in budgets}
        return Figures(0.02, {}, [FileFigures("a", {}, shares, None, [], [])])

    parts = {"fold-1": part(2, "0.01", "0.1"), "fold-2": part(8, "0.1")}
    assert realised(parts, "0.1", "model") == pytest.approx(0.05)
    assert realised(parts, "0.01", "model") == pytest.approx(0.02)
    assert realised(parts, "0.05", "model") is None


def test_probabilities_are_pooled_over_files_before_they_are_measured() -> None:
    files = [
        FileFigures("a", {}, {}, None, [0.95, 0.95], [True, True]),
        FileFigures("b", {}, {}, None, [0.05, 0.05], [False, True]),
    ]
    pooled = pooled_reliability(files)
    assert pooled.rows == 4
    assert pooled.ece == pytest.approx((0.05 * 2 + 0.45 * 2) / 4)
    assert pooled.brier == pytest.approx((3 * 0.05**2 + 0.95**2) / 4)


def test_mean_detection_rate_leaves_out_what_is_hardly_observable() -> None:
    rates = {"1": 1.0, "3": 0.0, "9": 0.1, "15": 0.1, "4": 0.8}
    assert mean_over_faults(rates, hard=False) == pytest.approx(0.9)
    assert mean_over_faults(rates, hard=True) == pytest.approx(0.4)


def test_accuracy_is_the_share_of_rows_on_the_diagonal() -> None:
    classes = Classes([1, 3], [[8, 2], [10, 0]])
    assert accuracy(classes, hard=True) == pytest.approx(0.4)
    assert accuracy(classes, hard=False) == pytest.approx(0.8)


def test_either_sensor_of_a_swap_is_a_hit_and_no_contributions_are_none() -> None:
    named = [["P", "T", "V", "C"], ["T", "V", "C", "P"], [], ["V", "C", "P", "T"]]
    guilty = [{"P"}, {"P", "T"}, {"P"}, {"T"}]
    assert count(named, guilty) == Hits(windows=4, first=2, among_three=2)
    assert Hits(4, 2, 2) + Hits(1, 0, 1) == Hits(5, 2, 3)


PAGE = """words

<!-- measured: a -->

old

<!-- end -->

more

<!-- measured: b -->
kept
<!-- end -->
"""


def test_measured_sections_are_replaced_and_all_else_stays() -> None:
    page = fill(PAGE, {"a": "new | \\1"})
    assert page == PAGE.replace("old", "new | \\1")
    assert fill(page, {"a": "new | \\1"}) == page


@pytest.mark.parametrize(
    ("page", "found"),
    [
        pytest.param("nothing", 0, id="absent"),
        pytest.param(PAGE + PAGE, 2, id="twice"),
        pytest.param("<!-- measured: a -->\nno end", 0, id="without-end"),
    ],
)
def test_page_without_one_place_for_a_section_is_refused(page: str, found: int) -> None:
    with pytest.raises(BadPage, match=f"measured: a .*found {found}"):
        fill(page, {"a": "new"})


def test_the_page_has_a_place_for_every_section() -> None:
    text = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    filled = fill(
        text, {section.name: f"figures of {section.name}" for section in SECTIONS} | {"run": "facts"}
    )
    assert all(f"figures of {section.name}\n" in filled for section in SECTIONS)
    assert "Not measured yet." not in filled
