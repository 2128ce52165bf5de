"""Asset baselines: commissioned, used, listed, kept, forgotten."""

import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.state import SqliteState
from tests.contract.app import CheckedClient, classify, gated, rows, running, settings_for, verdict
from tests.plant import CENTER, SCALE, SENSORS, normal_operation, recording, to_csv

# A sister machine: another operating point, otherwise alike.
SHIFT = np.array([1.0, 30.0, -7.5])


def sister(steps: int, seed: int) -> list[list[float]]:
    return (normal_operation(steps, seed) + SHIFT).tolist()


def commission(client: CheckedClient, asset: str, **fields: Any) -> httpx.Response:
    return client.put(f"/assets/{asset}/baseline", json=fields or {"values": sister(400, 1)})


def test_commissioning_answers_with_the_baseline(client: CheckedClient) -> None:
    response = commission(client, "measured")
    answer = response.json()
    assert response.status_code == 201
    assert answer["asset"] == "measured"
    assert answer["model"]["name"] == "tiny"
    assert answer["model"]["version"] == 2
    assert answer["rows"] == 400
    assert answer["left_out"] == []
    for index, name in enumerate(SENSORS):
        sensor = answer["sensors"][name]
        assert sensor["center"] == pytest.approx((CENTER + SHIFT)[index], abs=SCALE[index])
        assert 0.3 * SCALE[index] < sensor["scale"] < 3 * SCALE[index]
        assert abs(sensor["drift"]) < 1.5
        assert sensor["left_out"] is False


def test_commissioning_again_replaces(client: CheckedClient) -> None:
    assert commission(client, "twice", values=sister(100, 1)).status_code == 201
    again = commission(client, "twice", values=rows(200))
    assert again.status_code == 200
    assert client.get("/assets/twice/baseline").json() == again.json()
    assert again.json()["rows"] == 200


def test_windows_of_a_commissioned_asset_are_judged_by_its_own_baseline(client: CheckedClient) -> None:
    windows = [{"asset": "sister", "values": sister(12, seed)} for seed in range(50, 70)]
    before = classify(client, *windows)["results"]
    commission(client, "sister")
    after = classify(client, *windows)["results"]
    assert {r["baseline"] for r in before} == {"model"}
    assert {r["baseline"] for r in after} == {"asset"}
    assert sum(r["verdict"] == "normal" for r in before) == 0
    assert sum(r["verdict"] == "normal" for r in after) >= 17


def test_fault_of_a_commissioned_asset_is_still_found(client: CheckedClient) -> None:
    commission(client, "faulty")
    window = np.array(sister(12, 60))
    window[:, 1] += 10 * SCALE[1]
    result = verdict(client, {"asset": "faulty", "values": window.tolist()}, explain=True)
    assert result["verdict"] == "anomalous"
    assert result["contributions"][0]["sensor"] == SENSORS[1]


def test_reconstruction_is_in_the_units_of_the_asset(client: CheckedClient) -> None:
    commission(client, "rebuilt")
    result = verdict(client, {"asset": "rebuilt", "values": sister(12, 60)}, reconstruct=True)
    for index, name in enumerate(SENSORS):
        assert np.mean(result["reconstruction"][name]) == pytest.approx(
            (CENTER + SHIFT)[index], abs=3 * SCALE[index]
        )


def test_assets_of_one_batch_keep_their_own_baselines(client: CheckedClient) -> None:
    commission(client, "mixed")
    windows = [
        {"values": rows()},
        {"asset": "mixed", "values": sister(12, 60)},
        {"asset": "other", "values": rows()},
    ]
    together = classify(client, *windows)["results"]
    assert [r["baseline"] for r in together] == ["model", "asset", "model"]
    for window, result in zip(windows, together, strict=True):
        assert result["p_value"] == pytest.approx(verdict(client, window)["p_value"], abs=1e-6)


def test_drifting_sensor_is_left_out_and_says_so(client: CheckedClient) -> None:
    values = np.array(sister(400, 1))
    values[:, 2] += np.linspace(0, 12 * SCALE[2], 400)
    answer = commission(client, "drifting", values=values.tolist()).json()
    assert answer["left_out"] == ["Temperature"]
    assert answer["sensors"]["Temperature"]["left_out"] is True
    result = verdict(client, {"asset": "drifting", "values": sister(12, 60)}, explain=True, reconstruct=True)
    assert {"sensor": "Temperature", "issue": "drifting"} in result["quality"]["issues"]
    assert result["reconstruction"]["Temperature"] is None
    assert "Temperature" not in [item["sensor"] for item in result["contributions"]]


def test_readings_by_sensor_and_with_timestamps_are_read(client: CheckedClient) -> None:
    columns = dict(zip(SENSORS, map(list, zip(*sister(100, 1), strict=True)), strict=True))
    del columns["Flow"]
    times = [1_790_000_000 + k for k in range(100)]
    answer = commission(client, "named", readings=columns, timestamps=times).json()
    assert answer["sensors"]["Flow"]["center"] == pytest.approx(CENTER[1], rel=0.05)


def put_csv(client: CheckedClient, asset: str, content: str | bytes) -> httpx.Response:
    return client.put(f"/assets/{asset}/baseline", content=content, headers={"Content-Type": "text/csv"})


def test_plants_csv_is_read(client: CheckedClient) -> None:
    item = recording("normal", 300, seed=1, labelled=False)
    answer = put_csv(client, "from a file", to_csv(item)).json()
    assert answer["rows"] == 300
    for name, center in zip(SENSORS, item.values.mean(axis=0), strict=True):
        assert answer["sensors"][name]["center"] == pytest.approx(center, rel=1e-4)


def test_csv_columns_may_come_in_any_order_among_others(client: CheckedClient) -> None:
    lines = ["Valve;Flow;Temperature;Pressure"]
    lines += [
        f"{k % 7};{row[1]:.4f};{row[2]:.4f};{row[0]:.4f}".replace(".", ",") for k, row in enumerate(rows(100))
    ]
    answer = put_csv(client, "decimal commas", "\r\n".join(lines).encode()).json()
    assert answer["sensors"]["Flow"]["center"] == pytest.approx(CENTER[1], rel=0.1)
    assert answer["sensors"]["Pressure"]["center"] == pytest.approx(CENTER[0], rel=0.1)


def minutely() -> str:
    lines = ["time,Pressure,Flow,Temperature"]
    lines += [f"2026-11-20T{k // 60:02}:{k % 60:02}:00Z,{a},{b},{c}" for k, (a, b, c) in enumerate(rows(100))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "unreadable_file"),
        ("time,Pressure\nsoon,much\nlater,more\n", "unreadable_file"),
        ("Pressure,Flow,Temperature\n1,2,3\n", "unreadable_file"),
        ("a,b\n" + "1,2\n" * 50, "unreadable_file"),
        ("Pressure,Flow,Temperature\n" + "1,2,3\n" * 29, "baseline_refused"),
        (minutely(), "wrong_sampling_period"),
        (b"\x00\x01\x02" * 100, "unreadable_file"),
    ],
    ids=["empty", "no numbers", "one row", "other sensors", "too few rows", "other period", "binary"],
)
def test_csv_that_cannot_serve_is_refused(
    onnx_client: CheckedClient, content: str | bytes, code: str
) -> None:
    response = put_csv(onnx_client, "refused", content)
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    assert onnx_client.get("/assets/refused/baseline").status_code == 404


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        ({"values": rows(29)}, "baseline_refused", None),
        ({"values": [[None] * 3] * 100}, "baseline_refused", None),
        ({"values": [[1, 2]]}, "ragged_window", "values[0]"),
        ({"readings": {"Pressure": [1, "2"]}}, "wrong_content", "readings.Pressure[1]"),
        ({"readings": {"Presure": [1]}}, "unknown_sensor", "readings.Presure"),
        ({"values": rows(50), "timestamps": [1]}, "bad_timestamps", "timestamps"),
        (
            {"values": rows(50), "timestamps": [60 * k for k in range(50)]},
            "wrong_sampling_period",
            "timestamps",
        ),
        ({"values": rows(50), "unit": "bar"}, "wrong_content", "unit"),
        ({"timestamps": []}, "wrong_content", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_readings_that_cannot_serve_are_refused(
    onnx_client: CheckedClient, fields: dict[str, Any], code: str, place: str | None
) -> None:
    response = commission(onnx_client, "refused", **fields)
    assert (response.status_code, response.json()["code"], response.json().get("place")) == (422, code, place)


@pytest.mark.parametrize(
    "asset",
    ["P-101", "Line 1/Pump 2", "Größe ½", "a" * 128, "100%", "semi;colon&more=x", "..", "'; DROP TABLE"],
)
def test_any_printable_name_is_an_asset(onnx_client: CheckedClient, asset: str) -> None:
    from urllib.parse import quote

    path = f"/assets/{quote(asset, safe='')}/baseline"
    path = path.replace("..", "%2E%2E")
    assert onnx_client.put(path, json={"values": rows(60)}).json()["asset"] == asset
    assert asset in [item["asset"] for item in onnx_client.get("/assets").json()["assets"]]
    assert verdict(onnx_client, {"asset": asset, "values": rows()})["baseline"] == "asset"
    assert onnx_client.delete(path).status_code == 204
    assert verdict(onnx_client, {"asset": asset, "values": rows()})["baseline"] == "model"


@pytest.mark.parametrize("asset", ["a" * 129, "%20padded", "zero%00byte", "tab%09"])
def test_any_other_name_is_not(onnx_client: CheckedClient, asset: str) -> None:
    response = onnx_client.put(f"/assets/{asset}/baseline", json={"values": rows(60)})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_asset")


def test_assets_are_listed_and_forgotten(onnx_client: CheckedClient) -> None:
    commission(onnx_client, "listed")
    (item,) = [a for a in onnx_client.get("/assets").json()["assets"] if a["asset"] == "listed"]
    assert (item["model"], item["rows"], item["versions"]) == ("tiny", 400, [1, 2])
    assert onnx_client.delete("/assets/listed/baseline").status_code == 204
    assert onnx_client.delete("/assets/listed/baseline").status_code == 404
    assert "listed" not in [a["asset"] for a in onnx_client.get("/assets").json()["assets"]]


def test_older_version_of_the_model_knows_the_asset_too(onnx_client: CheckedClient) -> None:
    commission(onnx_client, "both")
    assert verdict(onnx_client, {"asset": "both", "values": sister(12, 60)}, version=1)["baseline"] == "asset"


def test_baselines_survive_a_restart(trained_store: Path, tmp_path: Path) -> None:
    settings = settings_for(trained_store, tmp_path / "state")
    with running(settings) as client:
        before = commission(client, "kept").json()
        judged = verdict(client, {"asset": "kept", "values": sister(12, 60)})
    with running(settings) as client:
        assert client.get("/assets/kept/baseline").json() == before
        assert verdict(client, {"asset": "kept", "values": sister(12, 60)}) == judged


def test_new_version_takes_over_the_assets_before_it_answers(tiny_store: Path, tmp_path: Path) -> None:
    shutil.move(tiny_store / "tiny" / "2", tmp_path / "later")
    settings = settings_for(tiny_store, tmp_path / "state")
    with running(settings) as client:
        assert commission(client, "kept").json()["model"]["version"] == 1
    shutil.move(tmp_path / "later", tiny_store / "tiny" / "2")
    with running(settings) as client:
        answer = client.get("/assets/kept/baseline").json()
        assert answer["model"]["version"] == 2
        assert verdict(client, {"asset": "kept", "values": sister(12, 60)})["baseline"] == "asset"
        assert client.get("/assets").json()["assets"][0]["versions"] == [1, 2]
        assert commission(client, "kept").json()["sensors"] == answer["sensors"]


def test_workers_that_share_a_state_see_each_others_assets(trained_store: Path, tmp_path: Path) -> None:
    settings = settings_for(trained_store, tmp_path / "state")
    window = {"asset": "shared", "values": sister(12, 60)}
    with running(settings) as one, running(settings) as other:
        assert verdict(other, window)["baseline"] == "model"
        commission(one, "shared")
        assert verdict(other, window) == verdict(one, window)
        assert verdict(other, window)["baseline"] == "asset"
        other.delete("/assets/shared/baseline")
        assert verdict(one, window)["baseline"] == "model"


def test_windows_are_judged_while_an_asset_is_commissioned(trained_store: Path, tmp_path: Path) -> None:
    """Commissioning is held up on its own runtime; the queue of windows is not."""
    reached, opened = threading.Event(), threading.Event()

    def gate(batch: Any) -> None:
        if threading.current_thread().name.startswith("offnormal commissioning"):
            reached.set()
            assert opened.wait(30)

    with running(settings_for(trained_store, tmp_path / "state"), gated(gate)) as client:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(commission(client, "slow")))
        thread.start()
        assert reached.wait(10)
        assert verdict(client, {"asset": "slow", "values": rows()})["baseline"] == "model"
        opened.set()
        thread.join(20)
        assert answers[0].status_code == 201


def test_commissioning_past_its_deadline_stores_nothing(trained_store: Path, tmp_path: Path) -> None:
    opened = threading.Event()

    def gate(batch: Any) -> None:
        if threading.current_thread().name.startswith("offnormal commissioning"):
            assert opened.wait(30)

    with running(settings_for(trained_store, tmp_path / "state"), gated(gate)) as client:
        response = client.put(
            "/assets/late/baseline", json={"values": rows(60)}, headers={"Request-Timeout": "0.2"}
        )
        assert (response.status_code, response.json()["code"]) == (504, "deadline_passed")
        opened.set()
        assert commission(client, "next").status_code == 201
        assert [a["asset"] for a in client.get("/assets").json()["assets"]] == ["next"]


def test_state_that_is_no_database_stops_the_start(trained_store: Path, tmp_path: Path) -> None:
    from service.errors import StateUnavailable

    (tmp_path / "offnormal.sqlite3").write_text("this is no database, " * 100)
    with pytest.raises(StateUnavailable, match="cannot be used"):
        SqliteState(tmp_path, 10)


def test_state_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    from service.errors import StateUnavailable

    with sqlite3.connect(tmp_path / "offnormal.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StateUnavailable, match="schema version 9"):
        SqliteState(tmp_path, 10)


def test_readings_are_kept_as_plain_compressed_numbers(trained_store: Path, tmp_path: Path) -> None:
    import zlib

    with running(settings_for(trained_store, tmp_path / "state")) as client:
        commission(client, "plain")
    with sqlite3.connect(tmp_path / "state" / "offnormal.sqlite3") as connection:
        blob, sensors = connection.execute("SELECT readings, sensors FROM commissionings").fetchone()
    assert json.loads(sensors) == list(SENSORS)
    assert np.frombuffer(zlib.decompress(blob), "<f8").reshape(400, 3).tolist() == sister(400, 1)
