"""Windows for clients of the Open Inference Protocol, and what /classify says of them."""

import socket
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.contract.app import faulty, rows
from tests.plant import SENSORS

OUTPUTS = ("probabilities", "reconstruction_error", "p_value", "verdict", "contributions", "reconstruction")
# A normal window, one with a fault, and one that repeats itself throughout, of which nothing can be said.
DEAD = [[4.0, 120.0, 60.0]] * 12
WINDOWS = np.array([rows(), faulty(), DEAD])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def as_values(window: NDArray[Any]) -> list[list[float | None]]:
    """Rows as JSON has them."""
    return [[None if np.isnan(x) else float(x) for x in row] for row in window]


def classified(url: str, windows: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """What /classify answers, everything explained."""
    body = {"windows": windows, "explain": True, "reconstruct": True, **fields}
    response = httpx.post(f"{url}/classify", json=body, timeout=20)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def check_equal(result: Any, answer: dict[str, Any], steps: int) -> None:
    """Every output of a client's result is what /classify said, to 1e-6.

    steps: width of the windows that were sent, each of which was judged to its last step.
    """
    results = answer["results"]
    found = {name: result.as_numpy(name) for name in OUTPUTS}
    assert [as_text(word) for word in found["verdict"]] == [item["verdict"] for item in results]
    for index, item in enumerate(results):
        for name in ("reconstruction_error", "p_value"):
            close(found[name][index], item[name])
        classes = item["probabilities"] or {"normal": None, "anomalous": None}
        close(found["probabilities"][index], list(classes.values()))
        shares = {given["sensor"]: given["share"] for given in item["contributions"] or ()}
        close(found["contributions"][index], [shares.get(name) for name in SENSORS])
        expected = item["reconstruction"]
        judged = item["quality"]["steps"]
        assert found["reconstruction"].shape[1:] == (steps, len(SENSORS))
        own = found["reconstruction"][index]
        if expected is None:
            assert np.isnan(own).all()
        else:
            present = ~np.isnan(own).all(axis=1)
            assert present.sum() == judged
            for column, name in enumerate(SENSORS):
                close(own[present, column], expected[name] or [None] * judged)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, np.array(expected, float), rtol=0, atol=1e-6, equal_nan=True)


def as_text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
