"""Charts of an evaluation as a whole, as SVG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from evaluation.plots import COLOURS, GRID, INK, MUTED, STYLE
from evaluation.verdict_row import ANOMALOUS, NORMAL

# By place, the first being what the page is about.
SHADES = (INK, "#3b7dd8", "#e0902f", "#2f9d7b", "#8a5bb5", "#b3394b")
MARKS = ("o", "D", "s", "^", "v", "P")


def svg(figure: Figure) -> str:
    """The figure as SVG, the same each time, text as outlines; the figure is closed."""
    out = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "offnormal"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return out.getvalue()


def auc_by_file(files: Mapping[str, Mapping[str, float | None]], names: Mapping[str, str]) -> str:
    """One line a file, the weakest of the first detector at the top.

    files: AUC by detector, by file. names: of the detectors to draw, in order.
    """
    keys = list(names)
    order = sorted(files, key=lambda name: -(files[name].get(keys[0]) or 0.0))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(9.5, 0.9 + 0.2 * len(order)), layout="constrained")
        for place, file in enumerate(order):
            known = [value for key in keys if (value := files[file].get(key)) is not None]
            if known:
                axis.plot([min(known), max(known)], [place] * 2, color=GRID, linewidth=3, zorder=1)
        for rank, key in enumerate(keys):
            points = [(files[file].get(key), place) for place, file in enumerate(order)]
            axis.scatter(
                [across for across, _ in points if across is not None],
                [up for across, up in points if across is not None],
                color=SHADES[rank % len(SHADES)],
                marker=MARKS[rank % len(MARKS)],
                s=20 if rank else 34,
                label=names[key],
                zorder=20 - rank,
            )
        axis.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
        axis.set_yticks(range(len(order)), order)
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.7, len(order) - 0.3)
        axis.set_xlabel(
            "ROC AUC: 0.5 knows nothing (always on), 1 puts every faulty row above every normal one"
        )
        axis.spines["left"].set_visible(False)
        axis.grid(axis="x", color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=4, frameon=False)
        return svg(figure)


def reliability_chart(measured: Mapping[str, Any]) -> str:
    """measured: as in the record. Said against seen, and how many rows each probability was given to."""
    bins = [item for item in measured["bins"] if item["rows"]]
    with plt.rc_context(STYLE):
        figure, (axis, below) = plt.subplots(
            2, 1, figsize=(4.6, 4.2), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
        axis.plot(
            [item["probability"] for item in bins],
            [item["faulty"] for item in bins],
            color=COLOURS[ANOMALOUS],
            marker="o",
            markersize=5,
            linewidth=1.4,
        )
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylabel("share of rows in a fault")
        below.bar(
            [item["low"] for item in bins],
            [item["rows"] for item in bins],
            width=0.094,
            align="edge",
            color=GRID,
        )
        below.set_ylabel("rows")
        below.set_xlabel("probability of a fault that the model gave")
        for each in (axis, below):
            each.grid(color=GRID, linewidth=0.6)
            each.set_axisbelow(True)
        return svg(figure)


def p_value_chart(kinds: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """kinds: (name, uniformity as in the record). The dotted line is what a kept promise looks like."""
    colours = (MUTED, COLOURS[NORMAL])
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
        for (name, measured), colour in zip(kinds, colours, strict=False):
            shares = measured["shares"]
            axis.stairs(
                [share * 100 for share in shares],
                [place / len(shares) for place in range(len(shares) + 1)],
                color=colour,
                linewidth=1.5,
                label=name,
            )
            axis.axhline(100 / len(shares), color=INK, linewidth=0.8, linestyle=":")
        axis.set_xlim(0, 1)
        axis.set_ylim(0)
        axis.set_xlabel("p-value")
        axis.set_ylabel("share of normal rows, %")
        axis.grid(color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        return svg(figure)
