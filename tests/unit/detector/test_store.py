"""The model store: what counts as a version, and how it is noticed that one has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from detector import ModelStore


def touch_back(path: Path) -> None:
    """Another content of the same length, the time of the old one."""
    found = path.stat()
    path.write_bytes(b"\0" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace(path: Path) -> None:
    aside = path.with_suffix(".aside")
    aside.write_bytes(path.read_bytes())
    aside.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "appended": lambda folder: (folder / "model.onnx").open("ab").write(b"x"),
    "removed": lambda folder: (folder / "model.onnx").unlink(),
    "added": lambda folder: (folder / "new.txt").write_text("new"),
    "edited, its time set back": lambda folder: touch_back(folder / "model.onnx"),
    "replaced": lambda folder: replace(folder / "golden.npz"),
    "below a folder": lambda folder: touch_back(folder / "report" / "losses.png"),
}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    folder = tmp_path / "tiny" / "2"
    (folder / "report").mkdir(parents=True)
    for name in ("manifest.json", "model.onnx", "golden.npz", "report/losses.png"):
        (folder / name).write_bytes(b"content of " + name.encode())
    return ModelStore(tmp_path)


@pytest.mark.parametrize("change", CHANGES)
def test_stamp_is_another_one_after_any_change_of_a_file(store: ModelStore, change: str) -> None:
    before = store.stamp("tiny", 2)
    assert store.stamp("tiny", 2) == before
    CHANGES[change](store.root / "tiny" / "2")
    assert store.stamp("tiny", 2) != before


def test_stamp_knows_when_the_newest_file_changed(store: ModelStore) -> None:
    before = store.stamp("tiny", 2).newest
    (store.root / "tiny" / "2" / "CARD.md").write_text("later")
    assert store.stamp("tiny", 2).newest >= before > 1.7e18


def test_stamp_of_a_folder_that_is_gone_is_an_error(store: ModelStore) -> None:
    with pytest.raises(OSError, match="No such file"):
        store.stamp("tiny", 3)
