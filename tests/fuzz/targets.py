"""What is fuzzed: each takes any bytes, and may answer with the errors that it documents and with no other.

A target that returns has read something; what it read is held to what the rest of the code relies on.
"""

import io
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from detector import ModelStore
from detector.artefact import GOLDEN_FILE, Artefact, load_golden
from detector.errors import ArtefactRefused, DetectorError
from detector.manifest import Manifest, encode_manifest, parse_manifest
from detector.operation import OPERATION_FILE, Operation
from detector.quality import QualityRules
from history.errors import HistoryError
from history.read import read_bytes
from service.errors import KeysUnreadable, ServiceError
from service.http import locate, wire
from service.http.keys import read_keys
from service.http.npy import read_windows
from service.http.problems import INTERNAL, kind_of, problem_of
from service.http.window_reader import WindowReader

ROOT = Path(__file__).parents[2]
EMBEDDED = ModelStore(ROOT / "models").folder("pump-loop")
MOST_STEPS = 1000
# An answer must not grow with the nonsense it was sent.
MOST_ANSWER_BYTES = 4000

_request = msgspec.json.Decoder(wire.ClassifyRequest)
_commissioning = msgspec.json.Decoder(wire.CommissionRequest)


@cache
def manifest() -> Manifest:
    return parse_manifest((EMBEDDED / "manifest.json").read_bytes(), EMBEDDED)


@cache
def reader() -> WindowReader:
    return WindowReader(manifest(), MOST_STEPS)


@cache
def folder() -> Path:
    """Where files of one run are put; left to the system's temporary folder."""
    return Path(tempfile.mkdtemp(prefix="offnormal-fuzz-"))


def refusal(error: ServiceError | DetectorError) -> None:
    """An error that was foreseen: of the table, short, and of text that can be sent and logged."""
    assert kind_of(error) is not INTERNAL, repr(error)
    assert len(msgspec.json.encode(problem_of(error, "id"))) <= MOST_ANSWER_BYTES


def said(reason: object) -> None:
    assert str(reason)


def body(data: bytes) -> None:
    """The JSON of `POST /classify`, through to the windows as the model takes them."""
    try:
        request = locate.decoded(_request, data)
        if shorthand := bytes(request.window):
            windows = [reader().read_rows(msgspec.Raw(shorthand), "window")]
        else:
            given = [] if request.windows is msgspec.UNSET else request.windows
            windows = [reader().read(raw, f"windows[{i}]") for i, raw in enumerate(given)]
    except (ServiceError, DetectorError) as error:
        refusal(error)
        return
    shape = manifest().window
    for window in windows:
        assert window.values.dtype == np.float64
        assert 1 <= len(window.values) <= shape.steps
        assert window.values.shape[1] == len(manifest().sensors)
        assert not np.isinf(window.values).any()
        assert window.asset is None or window.asset.isprintable()
        assert msgspec.json.decode(msgspec.json.encode(window.id)) == window.id


def commissioning(data: bytes) -> None:
    """The JSON of `PUT /assets/{asset}/baseline`."""
    from service.http.readings import read_readings

    try:
        request = locate.decoded(_commissioning, data)
        values, _ = read_readings(request.readings, request.values, manifest().sensor_names, MOST_STEPS)
    except (ServiceError, DetectorError) as error:
        refusal(error)
        return
    assert values.shape[1] == len(manifest().sensors)
    assert not np.isinf(values).any()


def npy(data: bytes) -> None:
    """A body that is an array."""
    try:
        windows = read_windows(data, manifest().sensor_names)
        read = [reader().read_array(values, None, f"windows[{i}]") for i, values in enumerate(windows)]
    except (ServiceError, DetectorError) as error:
        refusal(error)
        return
    for window in read:
        assert window.values.shape[1] == len(manifest().sensors)
        assert not np.isinf(window.values).any()


def csv(data: bytes) -> None:
    """A plant's file."""
    try:
        recording = read_bytes(data)
    except HistoryError as error:
        said(error)
        return
    assert recording.values.shape == (len(recording), len(recording.sensors))
    assert not np.isinf(recording.values).any()
    assert len(set(recording.sensors)) == len(recording.sensors)
    if recording.timestamps is not None:
        assert np.isfinite(recording.timestamps).all()


def manifest_file(data: bytes) -> None:
    """`manifest.json` of a model's folder."""
    try:
        read = parse_manifest(data, "folder")
    except ArtefactRefused as error:
        said(error.reason)
        return
    assert parse_manifest(encode_manifest(read), "folder") == read
    assert read.classes[0] == "normal"
    assert len(set(read.classes)) == len(read.classes)
    assert read.name.isprintable()
    QualityRules(read)
    assert all(math.isfinite(x) for sensor in read.sensors for x in (sensor.center, sensor.scale))


def golden_file(data: bytes) -> None:
    """`golden.npz` of a model's folder whose manifest is in order."""
    (folder() / GOLDEN_FILE).write_bytes(data)
    try:
        golden = load_golden(Artefact(folder(), manifest(), ""))
    except ArtefactRefused as error:
        said(error.reason)
        return
    windows, steps, sensors = golden.batch.readings.shape
    assert sensors == len(manifest().sensors)
    assert golden.batch.observed.shape == (windows, steps, sensors)
    assert golden.outputs.logits.shape == (windows, len(manifest().classes))


def operation_file(data: bytes) -> None:
    """`operation.npz` of a model's folder."""
    (folder() / OPERATION_FILE).write_bytes(data)
    try:
        operation = Operation.load(folder(), len(manifest().sensors))
    except ArtefactRefused as error:
        said(error.reason)
        return
    assert np.isfinite(operation.covariance).all()


def keys_file(data: bytes) -> None:
    """The file of API keys: JSON, or TOML where it does not begin with a brace."""
    path = folder() / ("keys.json" if data[:1] in (b"{", b"") else "keys.toml")
    path.write_bytes(data)
    try:
        keys = read_keys(path)
    except KeysUnreadable:
        return
    assert keys
    assert all(len(key.digest) == 32 and key.roles and key.name.isprintable() for key in keys)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "body": body,
    "commissioning": commissioning,
    "npy": npy,
    "csv": csv,
    "manifest": manifest_file,
    "golden": golden_file,
    "operation": operation_file,
    "keys": keys_file,
}


def stored(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An npz without compression: a fuzzer sees what is in it."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def seeds(target: str) -> list[bytes]:
    """Inputs that are in order, from which a fuzzer sets out."""
    names = manifest().sensor_names
    steps = manifest().window.minimum_steps
    rows = [[float(k + s) for k in range(len(names))] for s in range(steps)]
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    window = {"id": "a", "asset": "P-1", "readings": columns, "timestamps": list(range(steps))}
    if target == "body":
        bodies = [
            {"windows": [window, {"id": 1, "values": rows}], "explain": True, "on_error": "skip"},
            {"window": rows, "model": "pump-loop", "version": 1, "false_alarm_rate": 0.05},
            {
                "windows": [
                    {"values": rows, "timestamps": [f"2026-01-01T00:00:{s:02}Z" for s in range(steps)]}
                ]
            },
        ]
        return [json.dumps(one).encode() for one in bodies]
    if target == "commissioning":
        return [json.dumps({"readings": columns}).encode(), json.dumps({"values": rows}).encode()]
    if target == "npy":
        files = []
        for kind in ("<f8", ">f4"):
            file = io.BytesIO()
            np.save(file, np.array([rows], kind))
            files.append(file.getvalue())
        return files
    if target == "csv":
        return [
            b"time,Pressure,Flow\n2026-01-01 00:00:00,1.5,2\n2026-01-01 00:00:01,1.6,3\n",
            "Zeit;Druck;Fluß\n01.02.2026 00:00:00;1,5;2\n01.02.2026 00:00:01;n.a.;3\n".encode("latin-1"),
            "t\tp\n1790000000\t1\n1790000001\t2\n".encode("utf-16"),
            b'"Time","P","label"\r\n"1/2/2026 1:00 PM","1,234.5","ok"\r\n"1/2/2026 1:01 PM","9","bad"\r\n',
        ]
    if target == "manifest":
        return [(EMBEDDED / "manifest.json").read_bytes()]
    if target in ("golden", "operation"):
        content = (EMBEDDED / f"{target}.npz").read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return [content, stored({name: file[name] for name in file.files})]
    return [
        json.dumps({"keys": [{"name": "a", "sha256": "0" * 64, "roles": ["read", "admin"]}]}).encode(),
        b'[[keys]]\nname = "a"\nsha256 = "' + b"1" * 64 + b'"\nroles = ["classify"]\nrequests_per_s = 5.0\n',
    ]
