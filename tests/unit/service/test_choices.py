"""The file of what people decided: whole at every moment, and the same for everybody who shares it."""

import json
import multiprocessing
from pathlib import Path

import pytest

from service.errors import StateUnavailable
from service.models.choices import Choice, Choices, ChoicesFile


def test_nothing_was_decided_where_there_is_no_file(tmp_path: Path) -> None:
    file = ChoicesFile(tmp_path)
    assert file.known.of("tiny") == Choice()
    assert not file.changed()


def test_change_is_seen_by_whoever_shares_the_folder(tmp_path: Path) -> None:
    one, other = ChoicesFile(tmp_path), ChoicesFile(tmp_path)
    one.change(lambda choices: choices.put("tiny", Choice(live=2)))
    assert other.changed()
    assert other.read().of("tiny").live == 2
    assert not other.changed()
    assert not one.changed()


def test_model_about_which_nothing_is_decided_any_more_is_not_kept(tmp_path: Path) -> None:
    file = ChoicesFile(tmp_path)
    file.change(lambda choices: choices.put("tiny", Choice(live=2)))
    file.change(lambda choices: choices.put("tiny", Choice()))
    assert json.loads((tmp_path / "models.json").read_text())["models"] == {}


def ask_often(folder: Path, times: int) -> None:
    file = ChoicesFile(folder)
    for _ in range(times):
        file.change(lambda choices: Choices(choices.models, choices.asked + 1))


def test_no_change_is_lost_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=ask_often, args=(tmp_path, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    reader = ChoicesFile(tmp_path)
    while any(process.is_alive() for process in processes):
        reader.read()  # never half a file
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert reader.read().asked == 30


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"models": {"tiny": {"live": "2"}}}',
        '{"versions": {}}',
        '{"models": 1}',
        "\x00",
        "[" * 9999,
    ],
    ids=["empty", "truncated", "a list", "a text", "unknown field", "a number", "zero", "nested"],
)
def test_file_that_is_not_valid_is_named_and_what_is_known_is_kept(tmp_path: Path, content: str) -> None:
    file = ChoicesFile(tmp_path)
    file.change(lambda choices: choices.put("tiny", Choice(live=2)))
    (tmp_path / "models.json").write_text(content)
    with pytest.raises(StateUnavailable, match=r"models\.json"):
        ChoicesFile(tmp_path)
    assert file.changed()
    with pytest.raises(StateUnavailable, match=r"models\.json"):
        file.read()
    assert file.known.of("tiny").live == 2
    assert not file.changed()  # it is not read again and again


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ([(3, 2)], (2,)),
        ([(3, 2), (4, 3)], (2, 3)),
        ([(3, 2), (4, 3), (3, 4)], (2,)),
        ([(3, 2), (4, 3), (2, 4)], ()),
        ([(5, 1), (4, 5)], (1,)),
        ([(2, 3)], ()),
        ([(3, 3)], ()),
        ([(3, None)], ()),
    ],
    ids=[
        "on",
        "on and on",
        "back one",
        "back two",
        "back in between",
        "back unplanned",
        "the same",
        "from none",
    ],
)
def test_going_on_remembers_and_going_back_forgets(
    steps: list[tuple[int, int | None]], before: tuple[int, ...]
) -> None:
    choice = Choice()
    for number, answering in steps:
        choice = choice.with_live(number, answering)
    assert choice.live == steps[-1][0]
    assert choice.before == before


def test_only_so_many_earlier_versions_are_remembered() -> None:
    choice = Choice()
    for number in range(2, 40):
        choice = choice.with_live(number, number - 1)
    assert choice.before == tuple(range(31, 39))
