"""From recordings to a published model: split, fit, export, calibrate, evaluate, seal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detector.artefact import CARD_FILE, GOLDEN_FILE, TWIN_FILE, Artefact, save_golden
from detector.detector import Detector
from detector.manifest import SCHEMA_VERSION, Architecture, Manifest, WindowShape
from detector.onnx_runtime import MODEL_FILE, OnnxRuntime
from detector.operation import OPERATION_FILE, Operation
from detector.store import ModelStore
from detector.windows import Floats
from evaluation.contest import Contest
from evaluation.evaluate import evaluate
from evaluation.plots import draw_losses, draw_run
from evaluation.reference import REFERENCE_FILE, References, normal_stretches
from history.recording import Recording
from history.twin import Twin
from training.calibrate import calibrate, empty_calibration
from training.card import write_card
from training.checkpoint import Curves
from training.dataset import NORMAL, Experiment, Population, all_sensors, prepare, survey
from training.describe import describe_data, describe_sensors, fingerprint
from training.errors import Interrupted, NotBetter, NotEnoughData
from training.export import export_onnx
from training.fit import Fitting, OnStep, begin
from training.golden import make_golden
from training.keras_runtime import KERAS_FILE, KerasRuntime
from training.publish import publish, staging
from training.recipe import Recipe
from training.rehearsal import Network, Rehearsal, in_company
from training.run import RunFolder, versions
from training.split import Split, split

REPORT_FOLDER = "report"
# Weight of the classifier's score where it learnt from recorded faults, and where from injected ones alone.
RECORDED_WEIGHT, INJECTED_WEIGHT = 0.75, 0.333
# Deviations beyond which a reading says nothing about a sensor's ordinary dynamics.
TWIN_LIMIT = 4.0
# Test recordings that are drawn into the report.
MOST_PICTURES = 4
# Rows that figures are counted over; more only cost memory and time.
MOST_REPORTED = 50_000
# A run that is kept is written this often: a crash costs some seconds.
CHECKPOINT_STEPS = 100


@dataclass(frozen=True, slots=True)
class About:
    """What people should know of a model that its data does not say. units: by sensor name."""

    name: str
    description: str = ""
    licence: str = ""
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """A published model and how it came about."""

    folder: Path
    manifest: Manifest
    split: Split
    curves: Curves


@dataclass(frozen=True, slots=True)
class Run:
    """How a training survives its interruption.

    folder: where its state goes when it is interrupted, and with `keep` all along. publish_interrupted: then
    the best weights so far are calibrated and published all the same.
    """

    folder: RunFolder
    keep: bool = False
    publish_interrupted: bool = False


OnStage = Callable[[str], None]


def train(
    recordings: Sequence[Recording],
    about: About,
    store: ModelStore,
    recipe: Recipe,
    test: Sequence[Recording] = (),
    on_stage: OnStage = lambda stage: None,
    on_step: OnStep | None = None,
    stop: Callable[[], bool] = lambda: False,
    run: Run | None = None,
    publish_anyway: bool = False,
) -> Trained:
    """Train a model and publish it as the next version of its name.

    recordings: divided into training, calibration and test (training/split.py). test: recordings to report
    on instead. on_stage: called with what begins now, in words. on_step: see `Fitting.run`.
    stop: whether to end early; asked after each step and between stages. run: where the state is kept, and
    from which a training that was begun goes on. publish_anyway: also a model that does not beat the plain
    detectors on the test recordings; its card says so.
    Raises TrainingError, Interrupted and NotBetter among them; the store is untouched unless the whole
    artefact was written and verified.
    """
    sensors = all_sensors(recordings)
    if not sensors:
        raise NotEnoughData("no sensors in the given files")
    on_stage("Looking at the data")
    parts = split([r.select(sensors) for r in recordings], recipe, [r.select(sensors) for r in test])
    population = survey(parts.train, recipe)
    experiments = [prepare(recording, population, recipe) for recording in parts.train]

    rng = np.random.default_rng([recipe.seed, 2])
    fitting = begin(experiments, population, recipe, rng)
    network = fitting.network
    prepared = {id(experiment.recording): experiment for experiment in experiments}
    folds = [[prepared[id(recording)] for recording in fold] for fold in parts.folds]
    # What is to be published though it was interrupted still has to be calibrated.
    unless = (lambda: False) if run is not None and run.publish_interrupted else stop
    # The staging folder comes first: a store that cannot be written to must say so before, not after.
    with (
        staging(store, about.name) as folder,
        in_company(fitting, folds, population, recipe, unless) as stand_ins,
    ):
        on_stage("Fitting")
        stopped = _fit(fitting, recipe, run, fingerprint([*recordings, *test]), on_step, stop)
        on_stage("Exporting")
        network.save(folder / KERAS_FILE)
        export_onnx(network, population.center, population.scale, folder / MODEL_FILE)
        uncalibrated = draft(about, parts, population, experiments, recipe, network.count_params(), stopped)
        final = Network(OnnxRuntime(folder), fitting.operation, experiments)
        curves = fitting.curves
        if folds:
            heard = stand_ins(on_stage, on_step)
            _end_if(stop, fitting, recipe, run)
        else:
            held_out = [prepare(recording, population, recipe) for recording in parts.calibration]
            heard = [Rehearsal(final, held_out)]
        on_stage("Calibrating")
        manifest, operation = calibrate(uncalibrated, final, heard, recipe, _held_out(parts))
        operation.save(folder / OPERATION_FILE)
        twin = Twin.fit(
            sensors, _normal_rows(experiments, population), *_operating_point(experiments, population)
        )
        twin.save(folder / TWIN_FILE)
        save_golden(folder / GOLDEN_FILE, make_golden(twin, manifest, KerasRuntime(folder), rng))
        _end_if(stop, fitting, recipe, run)
        references(experiments, recipe).save(folder / REFERENCE_FILE)
        on_stage("Evaluating")
        manifest, contest = _report(folder, manifest, parts, curves, recipe)
        if contest is not None and contest.lost and not publish_anyway:
            if run is not None:
                run.folder.save(fitting.state(), recipe)
            raise NotBetter(". ".join(map(str, contest.lost)))
        on_stage("Publishing")
        published = publish(store, folder, manifest)
    if run is not None:
        run.folder.finish(published)
    return Trained(published, manifest, parts, curves)


def _fit(
    fitting: Fitting,
    recipe: Recipe,
    run: Run | None,
    data_sha256: str,
    on_step: OnStep | None,
    stop: Callable[[], bool],
) -> int | None:
    """Fit, or go on fitting. Returns the step at which it was stopped, to be published, else None."""
    state = None if run is None else run.folder.take_up(data_sha256)
    if state is not None:
        fitting.restore(state)
    while not fitting.done and not stop():
        fitting.run(fitting.step + CHECKPOINT_STEPS, on_step, stop)
        if run is not None and run.keep:
            run.folder.save(fitting.state(), recipe)
    if fitting.done:
        _end_if(stop, fitting, recipe, run)
        return None
    if run is None or not run.publish_interrupted or not fitting.has_best:
        raise _interrupted(fitting, recipe, run)
    fitting.take_best()
    return fitting.step


def _end_if(stop: Callable[[], bool], fitting: Fitting, recipe: Recipe, run: Run | None) -> None:
    """Raises Interrupted when training is to stop and what it has is not to be published."""
    if stop() and (run is None or not run.publish_interrupted):
        raise _interrupted(fitting, recipe, run)


def _interrupted(fitting: Fitting, recipe: Recipe, run: Run | None) -> Interrupted:
    """The error, once the state is kept."""
    if run is not None:
        run.folder.save(fitting.state(), recipe)
    return Interrupted(fitting.step, recipe.steps, None if run is None else run.folder.path)


def _held_out(parts: Split) -> str:
    """What calibration's windows come from, in words."""
    if parts.folds:
        return f"{len(parts.train)} recordings, each scored by a network that was not trained on it"
    if parts.by == "experiment":
        return f"{len(parts.calibration)} recordings that the network was not trained on"
    return "later stretches of the training recordings"


def references(experiments: Sequence[Experiment], recipe: Recipe) -> References:
    """The plain detectors that the model has to beat, fitted on the same normal operation."""
    stretches = []
    for experiment in experiments:
        measured = np.zeros(len(experiment.state), np.bool_)
        measured[experiment.measured] = True
        stretches += normal_stretches(experiment.standardised, measured, experiment.runs)
    return References.fit(stretches, recipe.window_steps)


def _report(
    folder: Path, manifest: Manifest, parts: Split, curves: Curves, recipe: Recipe
) -> tuple[Manifest, Contest | None]:
    """Figures on the test recordings, the card and the plots; the manifest with its metrics, and whether the
    model beats the plain detectors, where there was anything to test on."""
    baseline_rows = recipe.baseline_rows if manifest.recipe["baseline"] == "asset" else 0
    test = [r for r in parts.test if len(r) > baseline_rows + recipe.window_steps]
    report = folder / REPORT_FOLDER
    report.mkdir()
    draw_losses(curves.reconstruction, curves.classification, report / "losses.png")
    contest = None
    if test:
        operation = Operation.load(folder, len(manifest.sensors))
        detector = Detector(Artefact(folder, manifest, ""), OnnxRuntime(folder), operation)
        stride = -(-sum(map(len, test)) // MOST_REPORTED)
        evaluation = evaluate(detector, test, baseline_rows, stride=stride)
        metrics = rounded(evaluation.summary()) | ({"stride": stride} if stride > 1 else {})
        manifest = msgspec.structs.replace(manifest, metrics=metrics)
        contest = evaluation.contest()
        for number, result in enumerate(evaluation.files[:MOST_PICTURES], start=1):
            draw_run(result, report / f"run-{number}.png")
    card = write_card(manifest, [r.name for r in test], parts.by, contest)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return manifest, contest


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Four significant digits: more would be noise."""
    return {
        key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in figures.items()
    }


def _operating_point(experiments: Sequence[Experiment], population: Population) -> tuple[Floats, Floats]:
    """Centre and scale for the twin, (sensors,) each.

    Where machines differ, those of the most typical one: between them lies no machine at all, and the scale
    over all of them is none's own.
    """
    own = [experiment.baseline for experiment in experiments if experiment.baseline is not None]
    if not own:
        return population.center, population.scale
    away = [np.abs((baseline.center - population.center) / population.scale).mean() for baseline in own]
    typical = own[int(np.argmin(away))]
    return typical.center, typical.scale


def _normal_rows(experiments: Sequence[Experiment], population: Population) -> list[Floats]:
    """Standardised rows of normal operation for the twin, drifting sensors among them.

    Cut to ±TWIN_LIMIT, so that an outlier does not become its dynamics; a sensor that was never observed
    counts as lying at its centre.
    """
    rows = []
    for experiment in experiments:
        baseline = experiment.baseline
        center = population.center if baseline is None else baseline.center
        scale = population.scale if baseline is None else baseline.scale
        normal = (experiment.recording.values[experiment.measured] - center) / scale
        normal[:, ~np.isfinite(normal).any(axis=0)] = 0.0
        rows.append(np.clip(normal, -TWIN_LIMIT, TWIN_LIMIT))
    return rows


def _classifier_weight(experiments: Sequence[Experiment], recipe: Recipe) -> float:
    """What the head has seen of real faults is worth more than imitations (docs/decisions/0026)."""
    if recipe.classifier_weight is not None:
        return recipe.classifier_weight
    recorded = any((experiment.state > NORMAL).any() for experiment in experiments)
    return RECORDED_WEIGHT if recorded else INJECTED_WEIGHT


def draft(
    about: About,
    parts: Split,
    population: Population,
    experiments: Sequence[Experiment],
    recipe: Recipe,
    parameters: int,
    stopped_at_step: int | None = None,
) -> Manifest:
    """What is known before calibration. stopped_at_step: where the fit was interrupted, if it was."""
    labelled = any(r.labels is not None for r in parts.train)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=about.name,
        version=1,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        sensors=describe_sensors(experiments, population, about.units),
        window=WindowShape(
            recipe.window_steps, recipe.least_steps, population.period_s, recipe.max_gap_periods
        ),
        classes=list(population.classes),
        architecture=Architecture(recipe.cell, list(recipe.units), recipe.input_clip, parameters),
        recipe={
            **recipe.model_dump(mode="json"),
            "baseline": "asset" if population.per_asset else "pooled",
            **({} if stopped_at_step is None else {"stopped_at_step": stopped_at_step}),
        },
        calibration=empty_calibration(_classifier_weight(experiments, recipe)),
        default_false_alarm_rate=0.5,
        metrics={},
        training_data=describe_data(
            [*parts.train, *parts.calibration],
            "recorded and injected faults" if labelled else "injected faults only",
            about.description,
            about.licence,
        ),
        libraries=versions(),
        files={},
    )
