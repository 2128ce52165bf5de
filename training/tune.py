"""Tuning: a search through recipes by short trials, kept in a file and gone on with at any time."""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from training.errors import Interrupted, NotEnoughData, TuningRefused
from training.fit import OnStep
from training.recipe import Recipe
from training.trial import Ground, run_trial

STUDY = "offnormal"
# Attribute of a trial: whether its recipe is the base recipe.
AS_GIVEN = "as_given"
SHORTEST_WINDOW, LONGEST_WINDOW = 10, 120
# Trials before one may be given up for being worse than the median of the others at the same step.
STARTUP_TRIALS = 5
# With fewer than this, an importance would be noise.
LEAST_TRIALS_FOR_IMPORTANCE = 8
Pruner = Literal["median", "hyperband"]


@dataclass(frozen=True, slots=True)
class Standing:
    """done: trials that count, of `wanted`. best: objective so far. number, choices: of this trial."""

    done: int
    wanted: int
    best: float | None
    number: int
    choices: dict[str, Any]


class Study:
    """A search on one ground from one base recipe, `steps` optimiser steps a trial.

    The base recipe is tried first, if it is among what is searched: what is found has to be better than it.
    Trials that were completed or given up early count; those that were interrupted are tried anew.
    """

    def __init__(
        self,
        storage: Path,
        ground: Ground,
        base: Recipe,
        steps: int,
        data_sha256: str,
        pruner: Pruner = "median",
    ) -> None:
        """Open the study in `storage`, or begin it. Raises TuningRefused when it was begun otherwise."""
        # An interrupted trial is no failure that a person need hear of.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.ground, self.base, self.steps = ground, base, steps
        self._pruner = _pruner(pruner, steps)
        known = {
            "data": data_sha256,
            "recipe": json.loads(base.model_dump_json()),
            "steps": steps,
        }
        try:
            storage.parent.mkdir(parents=True, exist_ok=True)
            self.study = optuna.create_study(
                storage=f"sqlite:///{storage.resolve()}",
                study_name=STUDY,
                direction="maximize",
                load_if_exists=True,
                pruner=self._pruner,
            )
        except (SQLAlchemyError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise TuningRefused(f"{storage}: cannot be opened as a study: {reason}") from None
        for key, value in known.items():
            begun = self.study.user_attrs.get(key, value)
            if begun != value:
                raise TuningRefused(
                    f"{storage}: was begun with other {key}: take the same, or another --storage"
                )
            self.study.set_user_attr(key, value)
        # Whoever left these is gone.
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)

    @property
    def counted(self) -> list[FrozenTrial]:
        """Trials that were completed or given up early."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    @property
    def completed(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @property
    def best(self) -> FrozenTrial | None:
        return self.study.best_trial if self.completed else None

    @property
    def as_given(self) -> FrozenTrial | None:
        """The first trial, of the base recipe as it is, where it is among what is searched."""
        return next((trial for trial in self.completed if trial.user_attrs.get(AS_GIVEN)), None)

    @property
    def best_recipe(self) -> Recipe | None:
        """The base recipe, over all its steps, with the choices of the best trial."""
        return None if self.best is None else self.chosen(self.best.params)

    def chosen(self, choices: dict[str, Any]) -> Recipe:
        """The base recipe with the choices of a trial."""
        values = {key: value for key, value in readable(choices).items() if key != "layers"}
        # Deeper layers are half as wide: the code is the narrow place.
        units = [max(1, choices["units"] >> depth) for depth in range(choices["layers"])]
        return Recipe.model_validate(self.base.model_dump() | values | {"units": units})

    def run(
        self,
        trials: int,
        on_trial: Callable[[Standing], None] = lambda standing: None,
        on_step: OnStep | None = None,
        stop: Callable[[], bool] = lambda: False,
        at_once: int | None = None,
    ) -> None:
        """Try until `trials` count, earlier runs of this study included, or until `stop` says so.

        at_once: end after so many more, though fewer count.
        """

        def objective(trial: optuna.Trial) -> float:
            chosen = self.chosen(_choose(trial, self._space))
            trial.set_user_attr(AS_GIVEN, chosen == self.base)
            recipe = chosen.shortened(self.steps)
            best = self.best
            on_trial(
                Standing(
                    len(self.counted),
                    trials,
                    None if best is None else best.value,
                    trial.number,
                    dict(trial.params),
                )
            )

            def on_rung(step: int, value: float) -> None:
                trial.report(value, step)
                if step < self.steps and trial.should_prune():
                    raise optuna.TrialPruned

            began = time.monotonic()
            try:
                return run_trial(self.ground, recipe, on_step, on_rung, stop)
            except NotEnoughData as error:
                trial.set_user_attr("refused", str(error))
                raise optuna.TrialPruned from None
            finally:
                trial.set_user_attr("seconds", round(time.monotonic() - began, 2))

        until = trials if at_once is None else min(trials, len(self.counted) + at_once)
        while len(self.counted) < until and not stop():
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not self.counted and not waiting and self._given is not None:
                self.study.enqueue_trial(self._given)
            # By the number of trials, so that a study that was interrupted goes on as it would have.
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.base.seed * 100_003 + len(self.counted),
                multivariate=True,
                n_startup_trials=STARTUP_TRIALS,
            )
            try:
                self.study.optimize(objective, n_trials=1)
            except Interrupted:
                break

    def importances(self) -> dict[str, float] | None:
        """Share of each choice in how good the better trials are; None while trials are too few or too alike.

        Watanabe, Bansal and Hutter 2023, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
        Arbitrary Subspaces.
        """
        if len(self.completed) < LEAST_TRIALS_FOR_IMPORTANCE:
            return None
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        try:
            found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except (RuntimeError, ValueError):
            return None
        return found if np.isfinite(list(found.values())).all() and any(found.values()) else None

    @property
    def _given(self) -> dict[str, Any] | None:
        """The choices of the base recipe; None where the search does not come by them."""
        base = self.base
        choices = {name: getattr(base, name) for name in self._space if name not in ("units", "layers")}
        choices |= {"units": base.units[0], "layers": len(base.units)}
        try:
            optuna.trial.create_trial(value=0.0, params=choices, distributions=self._space)
        except ValueError:
            return None
        return choices if self.chosen(choices) == base else None

    @property
    def _space(self) -> dict[str, BaseDistribution]:
        """What is searched, by its name in the recipe."""
        longest = max(4, min(LONGEST_WINDOW, self.ground.longest_window))
        shortest = min(longest, max(SHORTEST_WINDOW, self.base.minimum_steps or 0))
        return {
            "learning_rate": FloatDistribution(3e-4, 2e-2, log=True),
            "batch_size": CategoricalDistribution([32, 64, 128, 256]),
            "cell": CategoricalDistribution(["lstm", "gru"]),
            "units": IntDistribution(8, 96, log=True),
            "layers": IntDistribution(1, 2),
            "dropout": FloatDistribution(0.0, 0.4, step=0.1),
            "window_steps": IntDistribution(shortest, longest, log=True),
        }


def readable(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with as many digits as mean something."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in choices.items()
    }


def _choose(trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    for name, searched in space.items():
        if isinstance(searched, CategoricalDistribution):
            trial.suggest_categorical(name, searched.choices)
        elif isinstance(searched, IntDistribution):
            trial.suggest_int(name, searched.low, searched.high, log=searched.log)
        elif isinstance(searched, FloatDistribution):
            trial.suggest_float(name, searched.low, searched.high, step=searched.step, log=searched.log)
    return dict(trial.params)


def _pruner(kind: Pruner, steps: int) -> optuna.pruners.BasePruner:
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, steps // 4), max_resource=steps)
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
