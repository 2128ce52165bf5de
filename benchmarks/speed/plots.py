"""The picture of docs/benchmarks.md: throughput against latency, a line for each server."""

import statistics
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.speed.probes import CURVE
from benchmarks.speed.results import Run
from benchmarks.speed.servers import EMPTY, OFFNORMAL, SERVERS
from evaluation.charts import MARKS, SHADES
from evaluation.plots import GRID, MUTED, STYLE

PICTURE = "speed.png"


def draw(run: Run, path: Path) -> bool:
    """Returns whether there was anything to draw."""
    with plt.rc_context(STYLE):
        figure = _figure(run)
        if figure is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        plt.close(figure)
    return True


def _figure(run: Run) -> Figure | None:
    lines = {name: _points(run, name) for name in SERVERS}
    known = {name: points for name, points in lines.items() if len(points) > 1}
    if not known:
        return None
    figure: Figure
    figure, axis = plt.subplots(figsize=(8.5, 5.2), layout="constrained")
    for number, (name, points) in enumerate(known.items()):
        across, up, least, most = zip(*points, strict=True)
        colour = MUTED if name == EMPTY else SHADES[number % len(SHADES)]
        axis.plot(
            across,
            up,
            marker=MARKS[number % len(MARKS)],
            color=colour,
            linewidth=2.4 if name == OFFNORMAL else 1.3,
            linestyle="--" if name == EMPTY else "-",
            label=SERVERS[name].title,
            zorder=3 if name == OFFNORMAL else 2,
        )
        axis.fill_between(across, least, most, color=colour, alpha=0.15, linewidth=0)
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    axis.set(
        xscale="log", yscale="log", xlabel="requests/s answered on one core", ylabel="median latency, ms"
    )
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ticks.set_major_formatter(plain)
        ticks.set_minor_formatter(NullFormatter())
    axis.grid(color=GRID, linewidth=0.6)
    counts = ", ".join(map(str, CURVE))
    axis.set_title(
        f"{counts} connections; bands: least to most of the rounds", loc="right", color=MUTED, fontsize=8
    )
    figure.legend(loc="outside upper left", ncols=4, frameon=False)
    return figure


def _points(run: Run, name: str) -> list[tuple[float, float, float, float]]:
    """Rate, median latency, and its least and most over rounds, for each number of connections."""
    points = []
    for count in CURVE:
        rates = list(run.values(name, f"connections-{count}", "rate").values())
        latencies = list(run.values(name, f"connections-{count}", "p50").values())
        if rates:
            points.append(
                (statistics.median(rates), statistics.median(latencies), min(latencies), max(latencies))
            )
    return points
