"""A simulated plant in the terminal: truth beside verdict, live, or a line whenever one of them changes."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.console import VERDICT_STYLES, note, out, warn
from history.schedule import Episode

# Windows that a strip shows; fewer on a narrow terminal.
STRIP_WINDOWS = 60
_BESIDE_STRIP = 22
REFRESH_S = 0.1
_SYMBOLS = {"normal": "▁", "anomalous": "█", "cannot_judge": "?"}


class _Asset:
    def __init__(self, windows: int) -> None:
        self.cells: deque[tuple[str, str]] = deque(maxlen=windows)
        self.counts: Counter[str] = Counter()
        self.fault: Episode | None = None
        self.result: Mapping[str, Any] | None = None
        self.said: tuple[Episode | None, str | None] = (None, None)


class PlantView:
    """sensors: names, in the order of an episode's indices."""

    def __init__(self, assets: Sequence[str], sensors: tuple[str, ...]) -> None:
        self._sensors = sensors
        cells = max(10, min(STRIP_WINDOWS, out.width - _BESIDE_STRIP))
        self._assets = {asset: _Asset(cells) for asset in assets}
        self._live = Live(console=out, auto_refresh=False)
        self._drawn_at = 0.0

    def __enter__(self) -> "PlantView":
        if out.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._draw()
        self._live.stop()

    def note(self, message: str) -> None:
        """Say something beside the plant: above the live view, else as other commands do."""
        self._say(message, "dim") if self._live.is_started else note(message)

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}", "yellow") if self._live.is_started else warn(message)

    def _say(self, message: str, style: str) -> None:
        out.print(message, style=style, markup=False)

    def truth(self, asset: str, time_s: float, fault: Episode | None) -> None:
        """What the machine really shows now. time_s: of the plant, since the epoch."""
        self._assets[asset].fault = fault
        self._changed(asset, time_s)

    def verdict(self, asset: str, time_s: float, fault: Episode | None, result: Mapping[str, Any]) -> None:
        """What the service says of a window whose newest row shows `fault`."""
        known = self._assets[asset]
        known.result = result
        known.counts[result["verdict"]] += 1
        known.cells.append((fault.kind if fault else "normal", result["verdict"]))
        self._changed(asset, time_s)

    def _changed(self, asset: str, time_s: float) -> None:
        if self._live.is_started:
            if monotonic() - self._drawn_at >= REFRESH_S:
                self._draw()
            return
        known = self._assets[asset]
        now = known.fault, known.result["verdict"] if known.result else None
        if now != known.said:
            known.said = now
            moment = datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")[:19]
            out.print(
                f"{moment}Z {asset}  truth: {self._described(known.fault)}  verdict: {_said(known.result)}",
                markup=False,
                soft_wrap=True,
            )

    def _described(self, fault: Episode | None) -> str:
        if fault is None:
            return "normal"
        sensors = [self._sensors[index] for index in fault.sensors]
        where = ", ".join(sensors) if len(sensors) <= 2 else f"{len(sensors)} sensors"
        return f"{fault.kind} of {where}"

    def _draw(self) -> None:
        self._drawn_at = monotonic()
        self._live.update(Group(*(self._panel(name, known) for name, known in self._assets.items())))
        self._live.refresh()

    def _panel(self, name: str, known: _Asset) -> Table:
        truth, verdict = Text(), Text()
        for kind, ruling in known.cells:
            truth.append(*(("▁", "green") if kind == "normal" else ("█", "magenta")))
            verdict.append(_SYMBOLS.get(ruling, "?"), VERDICT_STYLES.get(ruling, ""))
        counts = Text(" ").join(
            Text(f"{known.counts[ruling]} {ruling.replace('_', ' ')}", VERDICT_STYLES[ruling])
            for ruling in _SYMBOLS
            if known.counts[ruling]
        )
        said = Text(
            _said(known.result), VERDICT_STYLES.get(known.result["verdict"], "") if known.result else "dim"
        )
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=10, no_wrap=True)
        grid.add_column(width=8, no_wrap=True)
        grid.add_column(no_wrap=True)
        style = "magenta" if known.fault else "green"
        grid.add_row(Text(name, "bold"), Text("truth", "dim"), truth)
        grid.add_row("", Text("verdict", "dim"), verdict)
        now = Text.assemble((self._described(known.fault), style), " / ", said)
        now.truncate(max(10, out.width - _BESIDE_STRIP), overflow="ellipsis")
        grid.add_row("", Text("now", "dim"), now)
        grid.add_row("", Text("windows", "dim"), counts)
        return grid


def _said(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "none yet"
    if result["verdict"] != "anomalous":
        return str(result["verdict"]).replace("_", " ")
    text = f"anomalous (by {result['decided_by']}, p {result['p_value']:.2g}"
    if result.get("contributions"):
        top = result["contributions"][0]
        text += f", most by {top['sensor']} {top['share']:.0%}"
    return text + ")"
