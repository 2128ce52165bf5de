"""Whether a server's answers are right: no server is timed before they are."""

from pathlib import Path

import numpy as np

from benchmarks.speed.processes import Running
from benchmarks.speed.servers import OFFNORMAL, Server
from detector import Detector
from detector.detector import Window
from detector.windows import Floats

TOLERANCE = 1e-4


class WrongAnswer(Exception):
    """A server says something else than the model does."""


def expected(server: Server, model: Path, windows: Floats) -> Floats:
    """(windows, 1 + classes): reconstruction error and probabilities of ONNX Runtime in this process.

    Offnormal answers calibrated probabilities, and the error over those sensors that are scored: what
    `Detector` makes of the same outputs. All others answer the plain mean and softmax.
    """
    if server.name.startswith(OFFNORMAL):
        verdicts = Detector.load(model).judge([Window(window) for window in windows])
        return np.array([[v.reconstruction_error, *(v.probabilities or ())] for v in verdicts], np.float64)
    from benchmarks.speed.peers.common.network import Network

    return Network(model).answer(windows)


def check(server: Server, running: Running, model: Path, windows: Floats) -> None:
    """Posts each window once. Raises WrongAnswer, ServerFailed."""
    question = server.question(list(windows))
    answers = [running.post(question.path, body, question.media_type) for body in question.bodies]
    if server.read is None:
        return
    try:
        found = np.array([server.read(answer) for answer in answers])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise WrongAnswer(f"{server.title}: not understood: {answers[0][:300]!r} ({error!r})") from None
    compare(server.title, found, expected(server, model, windows))


def compare(title: str, found: Floats, wanted: Floats) -> None:
    """Raises WrongAnswer where any number is off by more than TOLERANCE, relative above 1."""
    if found.shape != wanted.shape:
        raise WrongAnswer(f"{title}: {found.shape[1:]} numbers for a window, expected {wanted.shape[1:]}")
    if not np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        worst = np.unravel_index(np.argmax(np.nan_to_num(np.abs(found - wanted), nan=np.inf)), found.shape)
        raise WrongAnswer(f"{title}: window {worst[0]}: {found[worst]:.6g}, expected {wanted[worst]:.6g}")
