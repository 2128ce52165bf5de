"""A crash at any moment leaves the old version or the new one, never half of one."""

import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from detector import Detector, ModelStore
from detector.artefact import open_artefact
from detector.errors import ArtefactRefused
from training.errors import TrainingError
from training.publish import publish, staging


class Crash(BaseException):
    """Stands for the process being killed: nothing catches it but the test."""


@pytest.fixture
def store(tiny_store):
    shutil.rmtree(tiny_store / "tiny" / "2")
    return ModelStore(tiny_store)


def stage(store: ModelStore, folder: Path) -> msgspec.Struct:
    """Copy version 1 into a staging folder and return its manifest."""
    source = store.folder("tiny", 1)
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return open_artefact(source).manifest


def test_the_next_version_loads_and_the_older_stays(store):
    with staging(store, "tiny") as folder:
        final = publish(store, folder, stage(store, folder))
    assert final == store.root / "tiny" / "2"
    assert store.versions("tiny") == [1, 2]
    assert Detector.load(final).manifest.version == 2
    assert {path.name for path in (store.root / "tiny").iterdir()} == {"1", "2"}


def crash_points() -> list[str]:
    return ["write_bytes", "fsync", "rename", "after-rename"]


@pytest.mark.parametrize("moment", crash_points())
def test_a_crash_while_publishing_leaves_only_whole_versions(store, monkeypatch, moment):
    """The staging folder is abandoned as a killed process would abandon it."""
    real_rename = os.rename

    def crash(*_: object) -> None:
        raise Crash

    def rename_then_crash(source: str, target: str) -> None:
        real_rename(source, target)
        raise Crash

    context = staging(store, "tiny")
    folder = context.__enter__()
    manifest = stage(store, folder)
    if moment == "write_bytes":
        monkeypatch.setattr(Path, "write_bytes", crash)
    else:
        name = "rename" if moment == "after-rename" else moment
        monkeypatch.setattr(os, name, rename_then_crash if moment == "after-rename" else crash)
    with pytest.raises(Crash):
        publish(store, folder, manifest)
    monkeypatch.undo()

    assert store.versions("tiny") == ([1, 2] if moment == "after-rename" else [1])
    for version in store.versions("tiny"):
        Detector.load(store.folder("tiny", version))
    # What is left behind disturbs neither the store nor the next publication.
    with staging(store, "tiny") as again:
        final = publish(store, again, stage(store, again))
    Detector.load(final)


def test_a_version_taken_meanwhile_is_not_overwritten(store, monkeypatch):
    """Another training publishes between the choice of the number and the rename."""
    real_rename = os.rename
    taken = store.root / "tiny" / "2"

    def rename(source: str, target: str) -> None:
        if not taken.exists():
            shutil.copytree(store.root / "tiny" / "1", taken)
        real_rename(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with staging(store, "tiny") as folder:
        final = publish(store, folder, stage(store, folder))
    assert final.name == "3"
    assert Detector.load(final).manifest.version == 3


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "ä"], ids=repr)
def test_a_bad_name_is_refused_before_anything_is_written(tmp_path, name):
    store = ModelStore(tmp_path / "models")
    with pytest.raises(TrainingError, match="cannot name a model"), staging(store, name):
        pass
    assert not store.root.exists()


def test_a_store_that_cannot_be_written_to_is_refused_by_name(tmp_path):
    (tmp_path / "models").write_text("a file where the folder should be")
    with (
        pytest.raises(TrainingError, match="cannot be written to"),
        staging(ModelStore(tmp_path / "models"), "x"),
    ):
        pass


def test_an_abandoned_staging_leaves_no_empty_model(tmp_path):
    store = ModelStore(tmp_path)
    with pytest.raises(RuntimeError), staging(store, "new"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "twin.npz", "CARD.md", "model.keras"])
def test_an_edited_file_is_refused_by_name(tiny_store, name):
    folder = tiny_store / "tiny" / "2"
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactRefused, match=f"{name} was altered"):
        Detector.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_missing_file_is_refused_by_name(tiny_store, name):
    folder = tiny_store / "tiny" / "2"
    (folder / name).unlink()
    with pytest.raises(ArtefactRefused, match=f"{name} is missing"):
        Detector.load(folder)


def edit(folder: Path, change) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(schema_version=99), "schema version 99"),
        (lambda m: m.pop("sensors"), "sensors"),
        (lambda m: m["sensors"][0].update(scale=0), "scale"),
        (lambda m: m["sensors"][1].update(name=m["sensors"][0]["name"]), "share a name"),
        (lambda m: m["window"].update(minimum_steps=500), "minimum_steps"),
        (lambda m: m["calibration"]["model_baseline"]["scores"].reverse(), "ascending"),
        (lambda m: m["calibration"]["model_baseline"]["shorter"].reverse(), "not ascending"),
        (lambda m: m["files"].update({"../../etc/passwd": "0"}), "outside the folder"),
        (lambda m: m["files"].pop("golden.npz"), "golden.npz"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m["sensors"][0].update(center=m["sensors"][0]["center"] * 2), None),
    ],
    ids=[
        "schema", "no-sensors", "zero-scale", "repeated-sensor", "minimum-above-full", "scores-unsorted",
        "lengths-unsorted",
        "path-outside", "no-golden", "unknown-field", "edited-centre",
    ],
)  # fmt: skip
def test_an_edited_manifest(tiny_store, change, reason):
    folder = tiny_store / "tiny" / "2"
    edit(folder, change)
    if reason is None:
        # Not detectable in itself: the manifest's own hash, which every answer carries, has changed.
        before = open_artefact(tiny_store / "tiny" / "1").sha256
        assert open_artefact(folder).sha256 != before
        return
    with pytest.raises(ArtefactRefused, match=reason):
        Detector.load(folder)


def test_another_network_under_the_same_hashes_fails_the_golden_replay(tiny_store):
    """Weights of version 1 sealed into version 2: every hash is right, the answers are not."""
    from detector.artefact import file_sha256

    folder = tiny_store / "tiny" / "2"
    shutil.copy(tiny_store / "tiny" / "1" / "model.onnx", folder / "model.onnx")
    edit(folder, lambda m: m["files"].update({"model.onnx": file_sha256(folder / "model.onnx")}))
    with pytest.raises(ArtefactRefused, match="golden replay failed"):
        Detector.load(folder)


@pytest.mark.parametrize("branch", ["then_branch", "else_branch"])
def test_either_branch_of_the_network_has_to_give_the_golden_answers(tiny_store, branch):
    """One is for windows that miss nothing, the other for the rest: both are replayed."""
    import onnx

    from detector.artefact import file_sha256

    folder = tiny_store / "tiny" / "2"
    model = onnx.load(folder / "model.onnx")
    (choice,) = model.graph.node
    (network,) = (part.g for part in choice.attribute if part.name == branch)
    (bias,) = (constant for constant in network.initializer if constant.name == "logits.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.5, bias.name))
    onnx.save(model, folder / "model.onnx")
    edit(folder, lambda m: m["files"].update({"model.onnx": file_sha256(folder / "model.onnx")}))
    with pytest.raises(ArtefactRefused, match=r"logits differs by 0\.5"):
        Detector.load(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "binary", "nested"],
)
def test_a_manifest_that_is_none_is_refused(tiny_store, content):
    folder = tiny_store / "tiny" / "2"
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtefactRefused, match=r"manifest\.json is not valid"):
        Detector.load(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ArtefactRefused, match="not a model"):
        Detector.load(tmp_path)
