"""Pictures of docs/quality.md."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from benchmarks.quality.detection import Files, files_of, pooled_reliability
from benchmarks.quality.figures import DEFAULT, Figures
from benchmarks.quality.results import Results
from benchmarks.quality.sections import (
    PROMISED_BUDGETS,
    WINDOWS,
    budget_sources,
    of_unlabelled,
    realised,
)
from benchmarks.quality.skab import FIVE_FOLD, LEAVE_FOLDER_OUT
from benchmarks.quality.tennessee import CLASSES, FAULT_DETECTION, Classes, FaultDetection
from evaluation.charts import MARKS, SHADES
from evaluation.plots import COLOURS, GRID, INK, MUTED, STYLE
from evaluation.rivals import MODEL, NAMES, PCA
from evaluation.verdict_row import ANOMALOUS


def draw_skab(results: Results) -> Figure | None:
    """AUC of every file, by how the model was trained; means over seeds."""
    sources: dict[str, tuple[Files, str]] = {
        "without labels": (files_of(of_unlabelled(results)), MODEL),
        "labels, five folds": (files_of(results.of(FIVE_FOLD, Figures)), MODEL),
        "labels, folder left out": (files_of(results.of(LEAVE_FOLDER_OUT, Figures)), MODEL),
        f"{NAMES[PCA]}, without labels": (files_of(of_unlabelled(results)), PCA),
    }
    known = {name: _auc_by_file(*source) for name, source in sources.items() if source[0]}
    if not known:
        return None
    first = next(iter(known.values()))
    order = sorted(first, key=lambda file: -first[file])
    figure: Figure
    figure, axis = plt.subplots(figsize=(9.5, 0.9 + 0.2 * len(order)), layout="constrained")
    for place, file in enumerate(order):
        values = [aucs[file] for aucs in known.values() if file in aucs]
        axis.plot([min(values), max(values)], [place] * 2, color=GRID, linewidth=3, zorder=1)
    for rank, (name, aucs) in enumerate(known.items()):
        places = [place for place, file in enumerate(order) if file in aucs]
        axis.scatter(
            [aucs[order[place]] for place in places],
            places,
            color=SHADES[rank],
            marker=MARKS[rank],
            s=34 if rank == 0 else 20,
            label=name,
            zorder=20 - rank,
        )
    axis.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(order)), order)
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.7, len(order) - 0.3)
    axis.set_xlabel("ROC AUC of the alarm score, mean over seeds: 0.5 knows nothing, 1 ranks every row right")
    axis.grid(axis="x", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=4, frameon=False)
    return figure


def _auc_by_file(files: Files, detector: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for of_seed in files.values():
        for file in of_seed:
            auc = file.judged[DEFAULT][detector].ranks.auc
            if auc is not None:
                values.setdefault(file.name, []).append(auc)
    return {name: float(np.mean(aucs)) for name, aucs in values.items()}


def draw_reliability(results: Results) -> Figure | None:
    files = files_of(results.of(FIVE_FOLD, Figures))
    if not files:
        return None
    figure: Figure
    figure, axis = plt.subplots(figsize=(4.8, 4.2), layout="constrained")
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    for seed, of_seed in files.items():
        bins = [item for item in pooled_reliability(of_seed).bins if item.rows]
        axis.plot(
            [item.probability for item in bins],
            [item.faulty for item in bins],
            color=COLOURS[ANOMALOUS],
            alpha=0.7,
            marker=MARKS[seed % len(MARKS)],
            markersize=5,
            linewidth=1.2,
            label=f"seed {seed}",
        )
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.set_xlabel("probability of a fault that the model gave")
    axis.set_ylabel("share of those rows in a fault")
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(frameon=False)
    return figure


def draw_budget(results: Results) -> Figure | None:
    sources = {words: found for words, found in budget_sources(results).items() if found}
    if not sources:
        return None
    figure: Figure
    figure, axis = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    most = max(PROMISED_BUDGETS) * 100
    axis.plot(
        [0, most * 1.1], [0, most * 1.1], color=MUTED, linewidth=0.8, linestyle=":", label="kept exactly"
    )
    for rank, (words, found) in enumerate(sources.items()):
        points = [
            (budget * 100 + (rank - 1) * 0.15, share * 100)
            for budget in PROMISED_BUDGETS
            for parts in found.values()
            if (share := realised(parts, str(budget), MODEL)) is not None
        ]
        across, up = zip(*points, strict=True) if points else ((), ())
        axis.scatter(across, up, color=SHADES[rank], marker=MARKS[rank], s=26, label=words, zorder=5)
    axis.set_xticks([budget * 100 for budget in PROMISED_BUDGETS])
    axis.set(xlim=(0, most * 1.1), ylim=(0, None))
    axis.set_xlabel("alarm budget asked for, % of normal rows")
    axis.set_ylabel("alarms ahead of the fault, % of rows")
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, loc="upper left")
    return figure


def draw_faults(results: Results) -> Figure | None:
    found = results.of(FAULT_DETECTION, FaultDetection)
    rates: dict[str, dict[str, list[float]]] = {}
    for parts in found.values():
        for part, item in parts.items():
            for detector in (MODEL, PCA):
                name = f"{NAMES[detector]}, {WINDOWS[part]}"
                for fault, rate in item.detectors[detector].detected.items():
                    rates.setdefault(name, {}).setdefault(fault, []).append(rate)
    if not rates:
        return None
    figure: Figure
    figure, axis = plt.subplots(figsize=(9.5, 3.6), layout="constrained")
    for rank, (name, by_fault) in enumerate(rates.items()):
        axis.plot(
            [int(fault) + (rank - (len(rates) - 1) / 2) * 0.16 for fault in by_fault],
            [np.mean(values) for values in by_fault.values()],
            linestyle="",
            color=SHADES[rank],
            marker=MARKS[rank],
            markersize=5,
            label=name,
        )
    axis.set_xticks(range(1, 22))
    for edge in range(1, 21):
        axis.axvline(edge + 0.5, color=GRID, linewidth=0.6)
    axis.set(xlim=(0.5, 21.5), ylim=(-0.03, 1.03), xlabel="fault")
    axis.set_ylabel("rows detected from the onset on")
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=4, frameon=False)
    return figure


def draw_classes(results: Results) -> Figure | None:
    found = [parts[""] for parts in results.of(CLASSES, Classes).values()]
    if not found:
        return None
    counts = np.sum([item.counts for item in found], axis=0)
    shares = counts / counts.sum(axis=1, keepdims=True)
    faults = found[0].faults
    figure: Figure
    figure, axis = plt.subplots(figsize=(7.6, 6.8), layout="constrained")
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(faults)), faults)
    axis.set_yticks(range(len(faults)), faults)
    for row, column in np.argwhere(shares >= 0.01):
        share = shares[row, column]
        axis.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
            color="white" if share > 0.6 else INK,
        )  # fmt: skip
    axis.set_xlabel("called fault")
    axis.set_ylabel("is fault")
    for side in axis.spines.values():
        side.set_visible(False)
    axis.tick_params(length=0)
    figure.colorbar(
        image, ax=axis, shrink=0.7, label="share of the fault's rows, all seeds"
    ).outline.set_visible(False)
    return figure


PICTURES: Mapping[str, Callable[[Results], Figure | None]] = {
    "quality-skab.png": draw_skab,
    "quality-reliability.png": draw_reliability,
    "quality-alarm-budget.png": draw_budget,
    "quality-tennessee-faults.png": draw_faults,
    "quality-tennessee-classes.png": draw_classes,
}


def draw(results: Results, texts: Iterable[str], folder: Path) -> None:
    """The pictures that the texts show. What is not measured is left out of them."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = "\n".join(texts)
    with plt.rc_context(STYLE):
        for name, make in PICTURES.items():
            figure = make(results) if name in shown else None
            if figure is not None:
                figure.savefig(folder / name, metadata={"Software": None})
                plt.close(figure)
