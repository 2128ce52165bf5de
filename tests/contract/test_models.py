"""GET /models, the default model, and artefacts that are refused."""

import json
import shutil
from pathlib import Path

import pytest

from tests.contract.app import CheckedClient, rows, running, settings_for, verdict
from tests.contract.test_operations import value
from tests.plant import SENSORS


def test_models_are_listed_with_their_versions(client: CheckedClient) -> None:
    answer = client.get("/models").json()
    (model,) = answer["models"]
    assert answer["default"] == model["name"] == "tiny"
    assert model["default"] is True
    assert [(v["version"], v["state"], v["reason"]) for v in model["versions"]] == [
        (2, "ready", None),
        (1, "ready", None),
    ]


def test_model_tells_what_a_caller_must_know(client: CheckedClient) -> None:
    answer = client.get("/models/tiny").json()
    assert [sensor["name"] for sensor in answer["sensors"]] == list(SENSORS)
    shape = answer["window"]
    assert (shape["steps"], shape["minimum_steps"], shape["period_s"]) == (12, 4, 1.0)
    assert shape["max_gap_periods"] > 1
    assert answer["classes"] == ["normal", "anomalous"]
    assert 0 < answer["false_alarm_rate"]["smallest"] <= answer["false_alarm_rate"]["default"] < 1
    assert client.get("/models/tiny?version=1").json()["version"] == 1


@pytest.mark.parametrize(
    ("query", "status"), [("?version=9", 404), ("?version=0", 422), ("?version=x", 422)], ids=str
)
def test_version_that_is_not_there(client: CheckedClient, query: str, status: int) -> None:
    assert client.get(f"/models/tiny{query}").status_code == status


def break_hash(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")


def truncate(folder: Path) -> None:
    content = (folder / "golden.npz").read_bytes()
    (folder / "golden.npz").write_bytes(content[: len(content) // 2])


def edit_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["sensors"][0]["center"] += 1
    manifest["classes"] = ["normal"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def rename(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "name": "other"}))


BROKEN = {
    "altered network": (break_hash, "altered"),
    "truncated file": (truncate, "altered"),
    "missing file": (lambda folder: (folder / "model.onnx").unlink(), "missing"),
    "edited manifest": (edit_manifest, "not valid"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "not a model"),
    "renamed": (rename, "other/2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_version_is_refused_with_its_reason_and_the_good_one_answers(
    tiny_store: Path, tmp_path: Path, name: str
) -> None:
    harm, reason = BROKEN[name]
    harm(tiny_store / "tiny" / "2")
    with running(settings_for(tiny_store, tmp_path / "state")) as client:
        broken, good = client.get("/models").json()["models"][0]["versions"]
        assert (broken["state"], good["state"]) == ("refused", "ready")
        assert reason in broken["reason"]
        assert str(tmp_path) not in broken["reason"]
        assert client.get("/readyz").status_code == 200
        assert client.post("/classify", json={"window": rows()}).json()["model"]["version"] == 1
        asked = client.post("/classify", json={"window": rows(), "version": 2})
        assert asked.status_code == 404
        assert reason in asked.json()["detail"]
        assert value(client, "offnormal_refused_artefacts") == 1


def test_folder_that_is_no_model_stops_no_other(tiny_store: Path, tmp_path: Path) -> None:
    (tiny_store / "aaa" / "1").mkdir(parents=True)
    (tiny_store / ".hidden" / "1").mkdir(parents=True)
    (tiny_store / "notes.txt").write_text("no model")
    with running(settings_for(tiny_store, tmp_path / "state")) as client:
        assert client.get("/models").json()["default"] == "tiny"
        assert client.get("/readyz").status_code == 200
        assert "aaa" in client.post("/classify", json={"window": rows(), "model": "aaa"}).json()["detail"]


def test_store_without_a_good_model_is_never_ready(tiny_store: Path, tmp_path: Path) -> None:
    for version in ("1", "2"):
        break_hash(tiny_store / "tiny" / version)
    with running(settings_for(tiny_store, tmp_path / "state")) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["reason"] == "no model could be loaded"
        assert client.get("/livez").status_code == 200
        assert client.post("/classify", json={"window": rows()}).json()["code"] == "not_ready"


def test_named_default_is_the_only_default(tiny_store: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_store, tmp_path / "state", default_model="other")) as client:
        assert client.get("/readyz").status_code == 503
        assert "'other'" in client.get("/readyz").json()["reason"]
        answer = client.post("/classify", json={"window": rows(), "model": "tiny"})
        assert answer.status_code == 200


def test_only_the_newest_good_versions_are_loaded(tiny_store: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_store, tmp_path / "one", versions_per_model=1)) as client:
        assert [v["version"] for v in client.get("/models").json()["models"][0]["versions"]] == [2]
    break_hash(tiny_store / "tiny" / "2")
    with running(settings_for(tiny_store, tmp_path / "two", versions_per_model=1)) as client:
        assert [v["state"] for v in client.get("/models").json()["models"][0]["versions"]] == [
            "refused",
            "ready",
        ]


def test_both_runtimes_agree(trained_store: Path, tmp_path: Path) -> None:
    from tests.contract.conftest import open_runtime

    windows = [{"values": rows(4 + k % 9, seed=k)} for k in range(20)]
    answers = []
    for name in ("onnx", "tensorflow"):
        settings = settings_for(trained_store, tmp_path / name, versions_per_model=1)
        with running(settings, open_runtime(name)) as client:
            assert client.get("/models/tiny").json()["runtime"] == name
            answers.append([verdict(client, window) for window in windows])
    for one, other in zip(*answers, strict=True):
        assert one["verdict"] == other["verdict"]
        assert one["reconstruction_error"] == pytest.approx(other["reconstruction_error"], abs=1e-4)
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_copied_model_is_another_model(tiny_store: Path, tmp_path: Path) -> None:
    """A second name in the store needs a manifest of that name; the copy is refused, not mistaken."""
    shutil.copytree(tiny_store / "tiny", tiny_store / "copy")
    with running(settings_for(tiny_store, tmp_path / "state")) as client:
        assert client.get("/models").json()["default"] == "tiny"
