"""Stand-ins that know normal operation less well than the final network must not set its alarm limits."""

from collections.abc import Sequence

import numpy as np
import pytest

from detector.artefact import Artefact
from detector.detector import Detector, Window
from detector.runtime import Outputs
from detector.windows import Batch
from tests.plant import normal_operation, recording
from tests.unit.training.small_plant import small_recipe
from training.calibrate import calibrate
from training.dataset import Experiment, prepare, survey
from training.operation import measure_operation
from training.pipeline import About, draft
from training.rehearsal import Network, Rehearsal
from training.split import Split

RECIPE = small_recipe(calibration_folds=2)


class Skilled:
    """A network that foresees a share of every reading, and is the surer of `normal` the more it does."""

    name = "skilled"

    def __init__(self, skill: float) -> None:
        self._skill = skill

    def run(self, batch: Batch) -> Outputs:
        standardised = ((batch.readings - batch.center[:, None]) / batch.scale[:, None]).astype(np.float32)
        standardised *= batch.observed
        unforeseen = np.square((1.0 - self._skill) * standardised).mean(axis=(1, 2))
        logits = np.stack([np.zeros(len(batch)), np.log(unforeseen + 1e-6)], axis=1).astype(np.float32)
        return Outputs(standardised, np.float32(self._skill) * standardised, logits)


@pytest.fixture(scope="module")
def experiments() -> list[Experiment]:
    recordings = [recording(f"run-{k}", 1500, seed=k, labelled=False) for k in range(4)]
    population = survey(recordings, RECIPE)
    return [prepare(item, population, RECIPE) for item in recordings]


def network(skill: float, learnt: Sequence[Experiment]) -> Network:
    return Network(Skilled(skill), measure_operation(learnt, RECIPE), learnt)


def shares_of_alarms(
    experiments: list[Experiment], final: Network, rehearsals: list[Rehearsal]
) -> np.ndarray:
    """On new normal operation, at budgets of 5, 10, 20 and 50 %."""
    recordings = tuple(experiment.recording for experiment in experiments)
    population = survey(recordings, RECIPE)
    parts = Split(recordings, (), (), "experiment")
    unknown = draft(About("plant"), parts, population, experiments, RECIPE, 1)
    manifest, operation = calibrate(unknown, final, rehearsals, RECIPE, "stand-ins")
    detector = Detector(Artefact(None, manifest, ""), final.runtime, operation)  # type: ignore[arg-type]
    values = np.concatenate([normal_operation(3000, seed) for seed in (100, 101)])
    windows = [Window(values[start : start + 8]) for start in range(0, len(values) - 8, 8)]
    p_values = detector.score(windows).p_value
    return np.array([(p_values <= budget).mean() for budget in (0.05, 0.1, 0.2, 0.5)])


def of_folds(experiments: list[Experiment], skill: float) -> list[Rehearsal]:
    folds = experiments[:2], experiments[2:]
    return [Rehearsal(network(skill, folds[1 - k]), folds[k]) for k in (0, 1)]


def test_a_budget_is_kept_by_a_network_that_is_better_than_its_stand_ins(experiments):
    shares = shares_of_alarms(experiments, network(0.9, experiments), of_folds(experiments, 0.6))
    assert shares == pytest.approx([0.05, 0.1, 0.2, 0.5], rel=0.4)


def test_a_network_heard_itself_is_calibrated_by_what_was_kept_apart_alone(experiments):
    final = network(0.9, experiments[:2])
    shares = shares_of_alarms(experiments, final, [Rehearsal(final, experiments[2:])])
    assert shares == pytest.approx([0.05, 0.1, 0.2, 0.5], rel=0.4)
