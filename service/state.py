"""Baselines of assets, kept across restarts and crashes: one SQLite file in the state folder."""

import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector import Baseline
from detector.manifest import Level
from detector.windows import Floats
from service.errors import StateUnavailable, TooManyAssets

STATE_FILE = "offnormal.sqlite3"
SCHEMA_VERSION = 1
_LOCK_TIMEOUT_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS commissionings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    asset TEXT NOT NULL,
    model TEXT NOT NULL,
    created REAL NOT NULL,
    rows INTEGER NOT NULL,
    sensors TEXT NOT NULL,
    readings BLOB NOT NULL,
    timestamps BLOB,
    UNIQUE (asset, model)
);
CREATE TABLE IF NOT EXISTS baselines (
    commissioning INTEGER NOT NULL REFERENCES commissionings (id) ON DELETE CASCADE,
    artefact TEXT NOT NULL,
    version INTEGER NOT NULL,
    baseline TEXT NOT NULL,
    PRIMARY KEY (commissioning, artefact)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS baselines_by_artefact ON baselines (artefact);
"""


@dataclass(frozen=True, slots=True)
class Commissioning:
    """Readings of an asset's known-normal operation, kept to set up later versions of the model from.

    values: float64 (rows, sensors), engineering units, NaN missing. timestamps: float64 (rows,), seconds.
    created: seconds since the epoch.
    """

    asset: str
    model: str
    created: float
    sensors: tuple[str, ...]
    values: Floats
    timestamps: Floats | None


@dataclass(frozen=True, slots=True)
class Commissioned:
    """One asset in a list. rows: that were given. versions: of the model that have a baseline of it."""

    asset: str
    model: str
    created: float
    rows: int
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredBaseline:
    """A baseline and when it was commissioned, seconds since the epoch."""

    baseline: Baseline
    created: float


class _Stored(msgspec.Struct, frozen=True):
    center: list[float]
    scale: list[float]
    drift: list[float]
    left_out: list[bool]
    rows: int
    classifier: Level | None
    reconstruction: Level | None


class SqliteState:
    """Safe for many threads, and for several processes that share the folder. Every method blocks."""

    def __init__(self, folder: Path, max_assets: int) -> None:
        """Raises StateUnavailable when the folder or its file cannot be used."""
        self._file = folder / STATE_FILE
        self._max_assets = max_assets
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
            self._watch = self._connect()
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, SCHEMA_VERSION):
                raise StateUnavailable(
                    f"{self._file} has schema version {found}, this release reads {SCHEMA_VERSION}"
                )
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise StateUnavailable(f"the state in {self._file} cannot be used: {error}") from None

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._watch.close()

    def change_counter(self) -> int:
        """A number that is another one after every change, by whichever process. Takes microseconds."""
        try:
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StateUnavailable(f"the state cannot be read: {error}") from None

    def save(self, commissioning: Commissioning, baselines: Mapping[tuple[str, int], Baseline]) -> bool:
        """Store an asset's readings with the baselines made from them, in one transaction.

        baselines: by SHA-256 of the artefact and version. Returns whether the asset is new for this model.
        Raises TooManyAssets, StateUnavailable.
        """
        key = (commissioning.asset, commissioning.model)
        with self._transaction() as connection:
            old = connection.execute("DELETE FROM commissionings WHERE asset = ? AND model = ?", key).rowcount
            count = connection.execute("SELECT count(*) FROM commissionings").fetchone()[0]
            if count >= self._max_assets:
                raise TooManyAssets(f"{count} baselines are kept, and no more may be")
            cursor = connection.execute(
                "INSERT INTO commissionings (asset, model, created, rows, sensors, readings, timestamps)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *key,
                    commissioning.created,
                    len(commissioning.values),
                    msgspec.json.encode(commissioning.sensors).decode(),
                    _packed(commissioning.values),
                    None if commissioning.timestamps is None else _packed(commissioning.timestamps),
                ),
            )
            for (artefact, version), baseline in baselines.items():
                connection.execute(
                    "INSERT INTO baselines VALUES (?, ?, ?, ?)",
                    (cursor.lastrowid, artefact, version, _encoded(baseline)),
                )
            return old == 0

    def add(self, commissioning: Commissioning, artefact: str, version: int, baseline: Baseline) -> None:
        """Store the baseline for one more version, unless the asset was commissioned anew meanwhile."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO baselines SELECT id, ?, ?, ? FROM commissionings"
                " WHERE asset = ? AND model = ? AND created = ?",
                (
                    artefact,
                    version,
                    _encoded(baseline),
                    commissioning.asset,
                    commissioning.model,
                    commissioning.created,
                ),
            )

    def baselines(self, artefact: str) -> dict[str, StoredBaseline]:
        """All baselines for one version of a model, by asset."""
        rows = self._read(
            "SELECT asset, created, baseline FROM baselines JOIN commissionings ON id = commissioning"
            " WHERE artefact = ?",
            (artefact,),
        )
        return {asset: StoredBaseline(_decoded(text), created) for asset, created, text in rows}

    def lacking(self, model: str, artefact: str) -> list[str]:
        """Assets that were commissioned for a model, but not for this version of it."""
        rows = self._read(
            "SELECT asset FROM commissionings WHERE model = ? AND id NOT IN"
            " (SELECT commissioning FROM baselines WHERE artefact = ?) ORDER BY asset",
            (model, artefact),
        )
        return [asset for (asset,) in rows]

    def commissioning(self, asset: str, model: str) -> Commissioning | None:
        """The readings that an asset's baseline was made from."""
        rows = self._read(
            "SELECT created, rows, sensors, readings, timestamps FROM commissionings"
            " WHERE asset = ? AND model = ?",
            (asset, model),
        )
        for created, count, sensors, readings, timestamps in rows:
            names = tuple(msgspec.json.decode(sensors, type=list[str]))
            values = _unpacked(readings).reshape(count, len(names))
            return Commissioning(
                asset, model, created, names, values, None if timestamps is None else _unpacked(timestamps)
            )
        return None

    def count(self) -> int:
        """How many baselines are kept."""
        ((count,),) = self._read("SELECT count(*) FROM commissionings", ())
        return int(count)

    def commissioned(self) -> list[Commissioned]:
        """All assets, by name."""
        rows = self._read(
            "SELECT asset, model, created, rows, group_concat(version) FROM commissionings"
            " LEFT JOIN baselines ON id = commissioning GROUP BY id ORDER BY asset, model",
            (),
        )
        return [
            Commissioned(
                asset,
                model,
                created,
                count,
                tuple(sorted({int(v) for v in (versions or "").split(",") if v})),
            )
            for asset, model, created, count, versions in rows
        ]

    def delete(self, asset: str, model: str) -> bool:
        """Forget an asset. Returns whether there was something to forget."""
        with self._transaction() as connection:
            cursor = connection.execute(
                "DELETE FROM commissionings WHERE asset = ? AND model = ?", (asset, model)
            )
            return cursor.rowcount > 0

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # Commissioning is rare and must survive a power cut; the default of WAL would lose the last of it.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise StateUnavailable(f"the state cannot be written: {error}") from None

    def _read(self, query: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, parameters).fetchall()
            except sqlite3.Error as error:
                raise StateUnavailable(f"the state cannot be read: {error}") from None


def _packed(array: Floats) -> bytes:
    return zlib.compress(np.ascontiguousarray(array, "<f8").tobytes())


def _unpacked(blob: bytes) -> NDArray[np.float64]:
    return np.frombuffer(zlib.decompress(blob), "<f8")


def _encoded(baseline: Baseline) -> str:
    return msgspec.json.encode(
        _Stored(
            baseline.center.tolist(),
            baseline.scale.tolist(),
            baseline.drift.tolist(),
            baseline.left_out.tolist(),
            baseline.rows,
            baseline.classifier,
            baseline.reconstruction,
        )
    ).decode()


def _decoded(text: str) -> Baseline:
    stored = msgspec.json.decode(text, type=_Stored)
    return Baseline(
        np.array(stored.center),
        np.array(stored.scale),
        np.array(stored.drift),
        np.array(stored.left_out, np.bool_),
        stored.rows,
        stored.classifier,
        stored.reconstruction,
    )
