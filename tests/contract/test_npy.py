"""A body in NumPy's .npy format: the same answers as in JSON, and clear errors for whatever is not one."""

import gzip
import io
import json
import pickle
import warnings
from typing import Any

import httpx
import numpy as np
import pytest

from tests.contract.app import STEPS, CheckedClient, classify, faulty, rows, running, settings_for
from tests.contract.test_operations import value
from tests.plant import SENSORS

NPY = {"Content-Type": "application/x-npy"}
WINDOWS = np.array([rows(), faulty()])


def saved(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def with_header(header: bytes, content: bytes = b"", version: bytes = b"\x01\x00", length: int = 2) -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(length, "little") + header + content


def described(descr: str = "'<f8'", order: str = "False", shape: str = "(2, 12, 3)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()


def post(client: CheckedClient, body: bytes, query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.post(f"/classify{query}", content=body, headers={**NPY, **named})


def results(client: CheckedClient, array: Any, query: str = "") -> list[dict[str, Any]]:
    response = post(client, saved(array), query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def test_array_is_answered_as_the_same_windows_in_json(client: CheckedClient) -> None:
    in_json = classify(client, *[{"values": window.tolist()} for window in WINDOWS], explain=True)
    response = post(client, saved(WINDOWS), "?explain=true")
    assert response.json() == in_json
    assert [result["verdict"] for result in in_json["results"]] == ["normal", "anomalous"]


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(WINDOWS),
        WINDOWS.astype(">f8"),
        np.asfortranarray(WINDOWS.astype(">f8")),
        WINDOWS[:, ::-1][:, ::-1],
    ],
    ids=["fortran order", "big-endian", "both", "a view"],
)
def test_layout_of_the_array_makes_no_difference(onnx_client: CheckedClient, array: Any) -> None:
    assert results(onnx_client, array) == results(onnx_client, WINDOWS)


def test_single_precision_is_read_as_it_is(onnx_client: CheckedClient) -> None:
    single = WINDOWS.astype(np.float32)
    assert results(onnx_client, single) == results(onnx_client, single.astype(np.float64))
    assert results(onnx_client, single.astype(">f4")) == results(onnx_client, single)


def test_nan_is_a_missing_reading(onnx_client: CheckedClient) -> None:
    array = WINDOWS.copy()
    array[0, 3, 1] = np.nan
    windows = [[[None if np.isnan(x) else x for x in row] for row in window] for window in array.tolist()]
    assert results(onnx_client, array) == classify(onnx_client, *[{"values": w} for w in windows])["results"]
    assert {"sensor": "Flow", "issue": "gaps"} in results(onnx_client, array)[0]["quality"]["issues"]


def test_choices_are_query_parameters(onnx_client: CheckedClient) -> None:
    query = (
        "?model=tiny&version=1&explain=true&reconstruct=1&false_alarm_rate=0.2&on_error=skip&asset=npy%20pump"
    )
    answer = post(onnx_client, saved(WINDOWS), query).json()
    in_json = classify(
        onnx_client,
        *[{"values": window.tolist(), "asset": "npy pump"} for window in WINDOWS],
        model="tiny",
        version=1,
        explain=True,
        reconstruct=True,
        false_alarm_rate=0.2,
    )
    assert answer == in_json
    assert answer["model"]["version"] == 1
    assert {"contributions", "reconstruction"} <= set(answer["results"][0])


def test_windows_of_a_commissioned_asset_are_held_against_its_baseline(onnx_client: CheckedClient) -> None:
    onnx_client.put("/assets/npy/baseline", json={"values": rows(100)})
    assert [result["baseline"] for result in results(onnx_client, WINDOWS, "?asset=npy")] == ["asset"] * 2


def test_longer_windows_are_judged_on_their_newest_steps(onnx_client: CheckedClient) -> None:
    (result,) = results(onnx_client, np.array([rows(STEPS + 5)]))
    assert {"sensor": None, "issue": "longer_than_model"} in result["quality"]["issues"]


def test_array_may_be_compressed(onnx_client: CheckedClient) -> None:
    response = post(onnx_client, gzip.compress(saved(WINDOWS)), Content_Encoding="gzip")
    assert response.json()["results"] == results(onnx_client, WINDOWS)


def test_windows_of_arrays_are_counted(trained_store: Any, tmp_path: Any) -> None:
    with running(settings_for(trained_store, tmp_path)) as client:
        results(client, WINDOWS, "?asset=A")
        here = {"model": "tiny", "version": "2", "asset": "A"}
        for ruling in ("normal", "anomalous"):
            assert value(client, "offnormal_verdicts_total", **here, verdict=ruling) == 1


class Bomb:
    """Would say so if it were unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


WITH_INFINITY = WINDOWS.copy()
WITH_INFINITY[1, 4, 2] = -np.inf
WHOLE = saved(WINDOWS)

CASES: dict[str, tuple[bytes, int, str, str | None]] = {
    "empty": (b"", 400, "not_npy", None),
    "JSON": (json.dumps({"window": rows()}).encode(), 400, "not_npy", None),
    "only the magic": (WHOLE[:6], 400, "not_npy", None),
    "cut in the header": (WHOLE[:60], 400, "not_npy", None),
    "cut in the numbers": (WHOLE[:-1], 400, "not_npy", None),
    "no numbers": (WHOLE[:128], 400, "not_npy", None),
    "more than the shape says": (WHOLE + b"\0", 400, "not_npy", None),
    "two arrays": (WHOLE + WHOLE, 400, "not_npy", None),
    "version 3": (with_header(described(), version=b"\x03\x00", length=4), 400, "not_npy", None),
    "version 9": (with_header(described(), version=b"\x09\x00"), 400, "not_npy", None),
    "huge header": (with_header(described() + b" " * 60_000, bytes(576)), 400, "not_npy", None),
    "header that says 4 GB": (
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + described() + bytes(576),
        400,
        "not_npy",
        None,
    ),
    "header nested deeply": (with_header(b"(" * 900), 400, "not_npy", None),
    "header that calls": (with_header(described(shape="__import__('os').getcwd()")), 400, "not_npy", None),
    "header not ASCII": (with_header(b"\xff" * 50), 400, "not_npy", None),
    "header without a shape": (
        with_header(b"{'descr': '<f8', 'fortran_order': False}"),
        400,
        "not_npy",
        None,
    ),
    "negative shape": (with_header(described(shape="(-2, -12, 3)"), bytes(576)), 400, "not_npy", None),
    "shape of 10**30": (with_header(described(shape=f"({10**30}, 12, 3)"), bytes(576)), 400, "not_npy", None),
    "npz": (b"PK\x03\x04" + bytes(200), 400, "not_npy", None),
    "pickle": (pickle.dumps(Bomb()), 400, "not_npy", None),
    "objects": (saved(np.array([[[Bomb()] * 3]], object), allow_pickle=True), 422, "wrong_content", "dtype"),
    "integers": (saved(WINDOWS.astype(np.int64)), 422, "wrong_content", "dtype"),
    "half precision": (saved(WINDOWS.astype(np.float16)), 422, "wrong_content", "dtype"),
    "complex": (saved(WINDOWS.astype(np.complex64)), 422, "wrong_content", "dtype"),
    "text": (saved(WINDOWS.astype("U8")), 422, "wrong_content", "dtype"),
    "records": (saved(np.zeros((2, 12, 3), [("a", "<f8")])), 422, "wrong_content", "dtype"),
    "one number": (saved(np.float64(1)), 422, "wrong_content", "shape"),
    "one window without its axis": (saved(WINDOWS[0]), 422, "wrong_content", "shape"),
    "an axis too many": (saved(WINDOWS[None]), 422, "wrong_content", "shape"),
    "too few sensors": (saved(WINDOWS[:, :, :2]), 422, "wrong_content", "shape"),
    "steps and sensors swapped": (saved(WINDOWS.transpose(0, 2, 1)), 422, "wrong_content", "shape"),
    "no windows": (saved(np.zeros((0, 12, 3))), 422, "wrong_content", "windows"),
    "no steps": (saved(np.zeros((2, 0, 3))), 422, "window_too_short", "windows[0]"),
    "too few steps": (saved(WINDOWS[:, :3]), 422, "window_too_short", "windows[0]"),
    "too many windows": (saved(np.zeros((1025, 4, 3), "<f4")), 422, "too_many_windows", "windows"),
    "too many steps": (saved(np.zeros((1, 100_001, 3), "<f4")), 422, "too_many_steps", "windows[0]"),
    "infinity": (saved(WITH_INFINITY), 422, "wrong_content", "windows[1][4][2]"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_array_is_refused_with_its_place(onnx_client: CheckedClient, name: str) -> None:
    content, status, code, place = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        response = post(onnx_client, content)
    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("place")) == (status, code, place)
    assert problem["detail"]
    assert len(response.content) < 1500
    assert results(onnx_client, WINDOWS)[0]["verdict"] == "normal"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("objects", ["object", "float32 or float64"]),
        ("steps and sensors swapped", ["(2, 3, 12)", "(windows, steps, 3)", ", ".join(SENSORS)]),
        ("cut in the numbers", ["575 bytes", "(2, 12, 3)", "numpy.save"]),
        ("infinity", ["infinite", "NaN"]),
    ],
)
def test_error_says_what_was_expected(onnx_client: CheckedClient, name: str, words: list[str]) -> None:
    problem = post(onnx_client, CASES[name][0]).json()
    said = f"{problem['detail']} {problem['expected']}"
    assert [word for word in words if word not in said] == []


def test_bad_window_of_an_array_is_only_its_own_harm_when_skipped(onnx_client: CheckedClient) -> None:
    good, bad = results(onnx_client, WITH_INFINITY, "?on_error=skip")
    assert good == results(onnx_client, WINDOWS[:1])[0]
    assert (bad["id"], bad["error"]["code"], bad["error"]["place"]) == (
        None,
        "wrong_content",
        "windows[1][4][2]",
    )


@pytest.mark.parametrize(
    ("query", "status", "code", "place"),
    [
        ("?explian=true", 422, "wrong_content", "query.explian"),
        ("?explain=perhaps", 422, "wrong_content", "query.explain"),
        ("?version=0", 422, "wrong_content", "query.version"),
        ("?version=newest", 422, "wrong_content", "query.version"),
        ("?false_alarm_rate=1", 422, "wrong_content", "query.false_alarm_rate"),
        ("?false_alarm_rate=nan", 422, "wrong_content", "query.false_alarm_rate"),
        ("?false_alarm_rate=1e-9", 422, "unsupported_false_alarm_rate", "false_alarm_rate"),
        ("?on_error=ignore", 422, "wrong_content", "query.on_error"),
        ("?asset=", 422, "wrong_content", "query.asset"),
        ("?asset=a%0Ab", 422, "invalid_asset", "query.asset"),
        ("?model=tiny&model=other", 422, "wrong_content", "query.model"),
        ("?model=other", 404, "model_not_found", None),
        ("?window=1", 422, "wrong_content", "query.window"),
    ],
)
def test_bad_query_is_refused_with_its_place(
    onnx_client: CheckedClient, query: str, status: int, code: str, place: str | None
) -> None:
    response = post(onnx_client, saved(WINDOWS), query)
    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("place")) == (status, code, place)


def test_choice_beside_a_json_body_is_refused_rather_than_passed_over(onnx_client: CheckedClient) -> None:
    problem = onnx_client.post("/classify?explain=true", json={"window": rows()}).json()
    assert (problem["code"], problem["place"]) == ("wrong_content", "query.explain")


def test_body_that_unpacks_to_too_much_is_refused(trained_store: Any, tmp_path: Any) -> None:
    with running(settings_for(trained_store, tmp_path, max_body_mb=1)) as client:
        bomb = gzip.compress(saved(np.zeros((1000, 60, 3))))
        assert len(bomb) < 10_000
        problem = post(client, bomb, Content_Encoding="gzip").json()
        assert problem["code"] == "body_too_large"


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-npz", "application/npy"])
def test_other_media_type_is_told_which_are_read(onnx_client: CheckedClient, kind: str) -> None:
    problem = onnx_client.post("/classify", content=WHOLE, headers={"Content-Type": kind}).json()
    assert problem["code"] == "unsupported_media_type"
    assert problem["expected"] == "application/json or application/x-npy or text/csv"


def test_array_and_its_choices_are_described(onnx_client: CheckedClient) -> None:
    operation = onnx_client.get("/openapi.json").json()["paths"]["/classify"]["post"]
    assert "application/x-npy" in operation["requestBody"]["content"]
    choices = {
        p["name"]: p
        for p in operation["parameters"]
        if p["in"] == "query" and "application/x-npy" in p["x-beside"]
    }
    assert set(choices) == {
        *("model", "version", "asset", "explain", "reconstruct", "false_alarm_rate", "on_error")
    }
    for parameter in choices.values():
        assert parameter["description"]
        assert parameter["schema"].get("type") or parameter["schema"].get("enum")
