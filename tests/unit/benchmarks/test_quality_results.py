"""Which measurements there are, and when one on disk still counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality import datasets, skab
from benchmarks.quality.protocol import Protocol, Task, Work, recipe, tasks
from benchmarks.quality.results import CodeChanged, Filing, Results, code_sha256, data_sha256
from benchmarks.quality.sections import SECTIONS
from benchmarks.quality.skab import FIVE_FOLD, LEAVE_FOLDER_OUT
from benchmarks.quality.tennessee import Classes
from training.recipe import Recipe


def _measure(work: Work, part: str, chosen: Recipe) -> Classes:
    return Classes([1, 2], [[chosen.seed, len(part)], [0, 0]])


def _recipe(part: str) -> Recipe:
    return recipe(window_steps=10)


SMALL = Protocol("small", "set", ("a", "b"), 1.0, _recipe, _measure)
LONG = Protocol("long", "set", ("",), 9.0, _recipe, _measure)
UNTRAINED = Protocol("untrained", "set", ("",), 5.0, None, _measure)


def filing(folder: Path, code: str = "c", data: str = "d", seed: int = 0, quick: bool = False) -> Filing:
    return Filing(Task(SMALL, "a", seed, quick), code, data, folder)


def test_tasks_come_once_and_longest_first() -> None:
    needs = [(SMALL, "a"), (SMALL, "b"), (LONG, ""), (SMALL, "a"), (UNTRAINED, "")]
    found = [(task.protocol.name, task.part, task.seed) for task in tasks(needs, (0, 7))]
    assert found == [
        ("long", "", 0), ("long", "", 7), ("untrained", "", 0),
        ("small", "a", 0), ("small", "a", 7), ("small", "b", 0), ("small", "b", 7),
    ]  # fmt: skip


def test_recipe_of_a_task_has_its_seed_and_a_quick_one_hardly_trains() -> None:
    assert Task(SMALL, "a", 7).recipe == recipe(window_steps=10, seed=7)
    assert Task(SMALL, "a", 7, quick=True).recipe.steps == 60


def test_result_is_found_again_as_it_was_measured(tmp_path: Path) -> None:
    one = filing(tmp_path, code=code_sha256(), seed=3)
    assert one.load() is None
    one.measure(tmp_path, tmp_path, lambda message: None)
    stored = one.load()
    assert stored is not None
    assert stored.read(Classes) == Classes([1, 2], [[3, 1], [0, 0]])
    assert Results([stored]).of(SMALL, Classes) == {3: {"a": stored.read(Classes)}}
    assert [path.name for path in one.path.parent.iterdir()] == [one.path.name]


@pytest.mark.parametrize(
    "change",
    [{"code": "other"}, {"data": "other"}, {"seed": 1}, {"quick": True}],
    ids=["code", "data", "seed", "quick"],
)
def test_what_a_result_depends_on_decides_where_it_is(tmp_path: Path, change: dict[str, object]) -> None:
    assert filing(tmp_path, **change).path != filing(tmp_path).path  # type: ignore[arg-type]
    assert filing(tmp_path).path == filing(tmp_path).path


def test_another_recipe_is_another_result(tmp_path: Path) -> None:
    other = replace(SMALL, recipe=lambda part: recipe(window_steps=11))
    assert Filing(Task(other, "a", 0), "c", "d", tmp_path).path != filing(tmp_path).path


def test_code_that_changed_meanwhile_is_not_measured_under_the_old_name(tmp_path: Path) -> None:
    one = filing(tmp_path, code="of an hour ago")
    with pytest.raises(CodeChanged, match="start it again"):
        one.measure(tmp_path, tmp_path, lambda message: None)
    assert one.load() is None


def test_code_of_tables_may_change_without_measuring_anew(tmp_path: Path) -> None:
    quality = tmp_path / "benchmarks" / "quality"
    quality.mkdir(parents=True)
    for name in ("sections.py", "skab.py"):
        (quality / name).write_text("1")
    before = code_sha256(tmp_path)
    (quality / "sections.py").write_text("2")
    assert code_sha256(tmp_path) == before
    (quality / "skab.py").write_text("2")
    assert code_sha256(tmp_path) != before


def test_readings_decide_the_fingerprint_of_data_and_other_files_do_not(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "1.csv").write_text("a\n1\n")
    before = data_sha256(SMALL, tmp_path)
    (tmp_path / "set" / "LICENSE").write_text("free")
    assert data_sha256(SMALL, tmp_path) == before
    (tmp_path / "set" / "1.csv").write_text("a\n2\n")
    assert data_sha256(SMALL, tmp_path) != before


def test_absent_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "skab").mkdir()
    with pytest.raises(datasets.NoData, match="no folder tennessee_eastman: DATA"):
        datasets.check(tmp_path, ["skab", "tennessee_eastman"])


def test_all_sections_together_need_every_protocol_at_three_seeds_once() -> None:
    found = tasks([need for section in SECTIONS for need in section.needs], (0, 1, 2))
    assert len({task.name for task in found}) == len(found) == 3 * (1 + 5 + 3 + 2 + 1 + 1) + 1
    assert {task.part for task in found if task.protocol is LEAVE_FOLDER_OUT} == {"other", "valve1", "valve2"}


def test_folds_hold_every_file_once_and_keep_shared_rows_together(data_folder: Path) -> None:
    recordings = datasets.skab(data_folder)
    folds = [{recording.name for recording in fold} for fold in skab.folds(recordings)]
    assert len(folds) == len(FIVE_FOLD.parts)
    assert sorted(name for fold in folds for name in fold) == sorted(r.name for r in recordings)
    assert len(recordings) == 34
    for pair in (("12", "13"), ("3", "4"), ("2", "3"), ("10", "11")):
        together = [fold for fold in folds if f"other/{pair[0]}.csv" in fold]
        assert f"other/{pair[1]}.csv" in together[0]
    assert folds == [{recording.name for recording in fold} for fold in skab.folds(recordings)]
