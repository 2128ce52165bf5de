"""How the service's verdicts agree with what a simulated plant really had."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from history.schedule import Episode

NORMAL = "normal"
# A window that still shows some rows of a fault which is over: neither a hit nor a false alarm.
RECOVERY = "after a fault"


@dataclass(slots=True)
class _Kind:
    windows: int = 0
    anomalous: int = 0
    unjudged: int = 0
    blamed: int = 0
    missed: int = 0
    delays_s: list[float] = field(default_factory=list)


class PlantTally:
    """Counts windows by what they really show. A fault that the end cuts off is not counted as missed."""

    def __init__(self, sensors: tuple[str, ...], period_s: float) -> None:
        """sensors: names. period_s: of the readings."""
        self._sensors = sensors
        self._period_s = period_s
        self._kinds: dict[str, _Kind] = {}
        # By asset, the fault that it had in the newest window, and whether it was found.
        self._now: dict[str, tuple[Episode | None, bool]] = {}

    def add(
        self, asset: str, step: int, fault: Episode | None, disturbed: bool, result: Mapping[str, Any]
    ) -> None:
        """One verdict. step: of the window's newest row, whose fault it is. disturbed: by an earlier one."""
        name = fault.kind if fault else RECOVERY if disturbed else NORMAL
        kind = self._kinds.setdefault(name, _Kind())
        alarm = result["verdict"] == "anomalous"
        kind.windows += 1
        kind.anomalous += alarm
        kind.unjudged += result["verdict"] == "cannot_judge"
        before, found = self._now.get(asset, (None, False))
        if before != fault:
            if before is not None and not found:
                self._kinds[before.kind].missed += 1
            found = False
        if fault is not None and alarm:
            if not found:
                kind.delays_s.append((step - fault.start) * self._period_s)
            found = True
            top = next(iter(result.get("contributions") or ()), None)
            kind.blamed += top is not None and top["sensor"] in {self._sensors[i] for i in fault.sensors}
        self._now[asset] = fault, found

    @property
    def windows(self) -> int:
        """How many were judged."""
        return sum(kind.windows for kind in self._kinds.values())

    def counts(self, name: str) -> tuple[int, int]:
        """Windows that showed this, and how many of them were called anomalous."""
        kind = self._kinds.get(name, _Kind())
        return kind.windows, kind.anomalous

    def table(self) -> Table:
        """One row per kind of truth, `normal` first."""
        table = Table(
            title="What the plant had, and what the service said",
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column("truth", no_wrap=True)
        for name in (
            "windows",
            "called\nanomalous",
            "cannot\njudge",
            "faults\nfound",
            "first alarm\nafter",
            "sensor\nright",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        order = {NORMAL: "", RECOVERY: "\uffff"}
        for name in sorted(self._kinds, key=lambda name: order.get(name, name)):
            kind = self._kinds[name]
            found = len(kind.delays_s)
            table.add_row(
                name,
                f"{kind.windows:,}",
                f"{kind.anomalous / kind.windows:.1%}",
                f"{kind.unjudged:,}",
                f"{found} of {found + kind.missed}" if name not in order else "",
                f"{median(kind.delays_s):g} s" if found else "",
                f"{kind.blamed / kind.anomalous:.0%}" if found else "",
            )
        return table
