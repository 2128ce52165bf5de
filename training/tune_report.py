"""What a search found: a picture for people, JSON for programs, and the best recipe for `offnormal train`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from evaluation.plots import GRID, INK, MUTED, STYLE
from training.run import recipe_toml
from training.tune import LEAST_TRIALS_FOR_IMPORTANCE, Study, readable

PICTURE_FILE = "tuning.png"
JSON_FILE = "tuning.json"
RECIPE_FILE = "best-recipe.toml"
ACCENT = "#3b6fb5"
HOLLOW: dict[str, Any] = {"s": 20, "facecolors": "none", "edgecolors": MUTED, "linewidths": 0.9}


def write_report(study: Study, folder: Path) -> None:
    """Write all three into a folder; only JSON while no trial was completed."""
    folder.mkdir(parents=True, exist_ok=True)
    importances = study.importances()
    content = {
        "objective": objective_in_words(study),
        "trials": [_record(trial) for trial in study.counted],
        "best": None if study.best is None else _record(study.best),
        "as_given": None if study.as_given is None else _record(study.as_given),
        "importances": importances,
    }
    (folder / JSON_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if study.best is None or study.best_recipe is None:
        return
    head = [
        f"# Trial {study.best.number}, best of {len(study.counted)}; {study.steps} optimiser steps each.",
        f"# Objective: {objective_in_words(study)}: {study.best.value:.4f}.",
    ]
    if study.as_given is not None:
        head.append(f"# The recipe as it was given: {study.as_given.value:.4f}.")
    text = "\n".join(head) + "\n\n" + recipe_toml(study.best_recipe)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
    _draw(study, importances, folder / PICTURE_FILE)


def objective_in_words(study: Study) -> str:
    """What the trials were compared by."""
    ground = study.ground
    return (
        f"mean ROC AUC of the combined score, {ground.faults} in {len(ground.parts.test)} recordings that no "
        "trial was trained on"
    )


def _record(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "value": trial.value,
        "given_up_early": trial.state == TrialState.PRUNED,
        "by_step": {str(step): value for step, value in trial.intermediate_values.items()},
        "choices": readable(trial.params),
        **trial.user_attrs,
    }


def _draw(study: Study, importances: dict[str, float] | None, path: Path) -> None:
    completed = study.completed
    names = list(completed[0].params)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(11, 8.8), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.3, 2])
        history, bars = above.subplots(1, 2)
        _draw_history(history, study)
        _draw_importances(bars, importances, len(completed))
        grid = below.add_gridspec(2, 4)
        for index, name in enumerate(names[:8]):
            axis = below.add_subplot(grid[index // 4, index % 4])
            _draw_choice(axis, study, name)
            if index % 4 == 0:
                axis.set_ylabel("objective")
        figure.suptitle(f"Objective: {objective_in_words(study)}", color=MUTED, fontsize=9)
        figure.savefig(path)
        plt.close(figure)


def _draw_history(axis: Any, study: Study) -> None:
    completed = study.completed
    numbers = [trial.number for trial in completed]
    values = np.array([trial.value for trial in completed], np.float64)
    early = _given_up(study)
    if early:
        axis.scatter(
            [trial.number for trial in early], list(map(_last_value, early)), label="given up early", **HOLLOW
        )
    axis.scatter(numbers, values, s=22, color=ACCENT, label="completed", zorder=3)
    axis.step(
        numbers, np.maximum.accumulate(values), where="post", color=INK, linewidth=1, label="best so far"
    )
    if study.as_given is not None:
        axis.axhline(study.as_given.value, color=MUTED, linewidth=1, linestyle="--", label="recipe as given")
    axis.set(title="Trials", xlabel="trial", ylabel="objective")
    axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axis.grid(axis="y", color=GRID)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4)


def _given_up(study: Study) -> list[FrozenTrial]:
    """Trials that were given up early, after a first objective."""
    return [t for t in study.counted if t.state == TrialState.PRUNED and t.intermediate_values]


def _last_value(trial: FrozenTrial) -> float:
    return list(trial.intermediate_values.values())[-1]


def _draw_importances(axis: Any, importances: dict[str, float] | None, completed: int) -> None:
    axis.set_title("What the better trials have in common (PED-ANOVA)")
    if importances is None:
        axis.set_axis_off()
        reason = f"{completed} completed trials do not say; {LEAST_TRIALS_FOR_IMPORTANCE} at least are needed"
        axis.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED)
        return
    ordered = sorted(importances, key=lambda name: importances[name])
    names = [name.replace("_", " ") for name in ordered]
    shares = [importances[name] for name in ordered]
    axis.barh(names, shares, color=ACCENT, height=0.6)
    for row, share in enumerate(shares):
        axis.annotate(f"{share:.0%}", (share, row), xytext=(3, 0), textcoords="offset points", va="center")
    axis.set_xlim(0, max(shares) * 1.15)
    axis.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    axis.set_xlabel("importance")


def _draw_choice(axis: Any, study: Study, name: str) -> None:
    completed, best = study.completed, study.best
    place = _places(axis, completed[0].distributions[name])
    early = _given_up(study)
    axis.scatter([place(t.params[name]) for t in early], list(map(_last_value, early)), **HOLLOW)
    axis.scatter(
        [place(t.params[name]) for t in completed],
        [t.value for t in completed],
        s=16, color=ACCENT, alpha=0.7,
    )  # fmt: skip
    if best is not None:
        axis.scatter(
            place(best.params[name]), best.value, s=46, facecolors="none", edgecolors=INK, linewidths=1.2
        )
    axis.set_title(name.replace("_", " "))
    axis.grid(axis="y", color=GRID)
    axis.set_axisbelow(True)


def _places(axis: Any, searched: Any) -> Callable[[Any], float]:
    """Where choices lie on an axis that shows all that is searched; its ticks are set.

    searched: an Optuna distribution.
    """
    if isinstance(searched, CategoricalDistribution):
        axis.set_xticks(range(len(searched.choices)), map(str, searched.choices))
        axis.set_xlim(-0.5, len(searched.choices) - 0.5)
        return searched.choices.index
    low, high = searched.low, searched.high
    if searched.log:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 3)))
        axis.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        margin = (high / low) ** 0.05
        axis.set_xlim(low / margin, high * margin)
    else:
        axis.set_xticks(np.arange(low, high + searched.step / 2, searched.step))
        margin = (high - low) * 0.05
        axis.set_xlim(low - margin, high + margin)
    axis.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
    return float
