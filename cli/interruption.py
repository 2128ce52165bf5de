"""Ctrl-C and SIGTERM as a request to end at the next good moment."""

import signal
from types import FrameType, TracebackType

from cli.console import note

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, the first signal is only noted; a second one ends the command at once."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def asked(self) -> bool:
        """Whether to stop."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """As shells count: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self._signal or signal.SIGINT)

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number
        note("Stopping as soon as nothing is lost by it; once more stops at once ...")
