"""New versions for a store while it is served: whole ones, bad ones, and ones that arrive file by file."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]


def publish(
    store: Path,
    number: int,
    *,
    source: int = 2,
    name: str = "tiny",
    edit: Callable[[Manifest], object] = lambda manifest: None,
    harm: Callable[[Path], object] = lambda folder: None,
) -> Path:
    """Version `source` of `tiny` as another version, put into the store in one step.

    edit: changes its manifest, which stays whole. harm: then changes its files.
    """
    aside = make(store, store / f".new-{name}-{number}", number, source=source, name=name, edit=edit)
    harm(aside)
    folder = store / name / str(number)
    folder.parent.mkdir(exist_ok=True)
    if folder.exists():
        folder.rename(store / f".old-{name}-{number}")
        shutil.rmtree(store / f".old-{name}-{number}")
    return aside.rename(folder)


def make(
    store: Path,
    folder: Path,
    number: int,
    *,
    source: int = 2,
    name: str = "tiny",
    edit: Callable[[Manifest], object] = lambda manifest: None,
) -> Path:
    """The same in a folder that is no version of the store."""
    shutil.copytree(store / "tiny" / str(source), folder)
    rewrite(folder, lambda manifest: manifest.update(name=name, version=number))
    rewrite(folder, edit)
    return folder


def rewrite(folder: Path, edit: Callable[[Manifest], object]) -> None:
    """Change a manifest; the hashes of the files are made right."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    edit(manifest)
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))


def append(folder: Path) -> None:
    """Alter the network after it was sealed."""
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")


def truncate(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def other_golden(folder: Path) -> None:
    """Golden windows of another version, sealed as if they were this one's."""
    other = next(path for path in (folder.parent / "tiny").iterdir() if path.name == "1")
    shutil.copy(other / "golden.npz", folder / "golden.npz")
    rewrite(folder, lambda manifest: None)


def later_schema(manifest: Manifest) -> None:
    manifest["schema_version"] += 1


def other_sensors(manifest: Manifest) -> None:
    manifest["sensors"][1]["name"] = "Vibration"


def other_order(manifest: Manifest) -> None:
    manifest["sensors"].reverse()


def other_unit(manifest: Manifest) -> None:
    manifest["sensors"][0]["unit"] = "furlong"
