"""`CARD.md`: what a person should know of a model before trusting it, written from its manifest."""

from typing import Any

from detector.manifest import Manifest, NormalOperation
from evaluation.contest import Contest

_FIGURES = (
    ("F1", "f1"),
    ("F1 of an always-on detector", "always_on_f1"),
    ("False-alarm rate", "false_alarm_rate"),
    ("Missed-alarm rate", "missed_alarm_rate"),
    ("Precision", "precision"),
    ("Recall", "recall"),
    ("ROC AUC, mean over files", "auc"),
    ("Median delay of detection, s", "median_delay_s"),
    ("Share of rows with an alarm", "alarm_share"),
)


def write_card(
    manifest: Manifest, test_names: list[str], split_by: str, contest: Contest | None = None
) -> str:
    """Markdown. test_names: recordings that the figures were measured on. split_by: see training.split.
    contest: against the plain detectors, on the same recordings; None where there were none."""
    sections = [
        f"# {manifest.name}\n\n{manifest.training_data.description or 'No description was given.'}",
        _data(manifest),
        _network(manifest),
        _figures(manifest, test_names, split_by),
        _contest(contest),
        _calibration(manifest),
        _sensors(manifest),
        _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _data(manifest: Manifest) -> str:
    data = manifest.training_data
    span = f", from {data.start} to {data.end}" if data.start else ""
    return f"""## Data

- {data.files} recordings, {data.rows:,} rows{span}, for training and calibration.
- Labels: {data.labels}.
- Licence of the data: {data.licence or "not stated"}. No reading of it is part of the model's files: the golden
  windows and the twin are simulated from its means, correlations and dynamics.
- Fingerprint of the readings and labels (SHA-256): `{data.sha256}`"""


def _network(manifest: Manifest) -> str:
    architecture, window = manifest.architecture, manifest.window
    units = " + ".join(map(str, architecture.units))
    period = "no time stamps" if window.period_s is None else f"one reading every {window.period_s:g} s"
    recipe = manifest.recipe
    return f"""## Network

{architecture.cell.upper()} autoencoder with a softmax head, {units} units, {architecture.parameters:,} parameters.
Windows of {window.steps} steps, at least {window.minimum_steps}; {period}. Classes: {", ".join(manifest.classes)}.
{_fitting(recipe)}, seed {recipe["seed"]}."""


def _fitting(recipe: dict[str, Any]) -> str:
    first, joint = recipe["reconstruction_steps"], recipe["joint_steps"]
    if recipe.get("loss_weights"):
        fitted = f"Fitted by {first + joint} optimiser steps on both losses, their weights by a schedule"
    else:
        fitted = f"Fitted by {first} optimiser steps on the reconstruction, then {joint} on both\nlosses"
    if "stopped_at_step" in recipe:
        fitted += f"; interrupted after step {recipe['stopped_at_step']}, and published with the best weights by then"
    return fitted


def _figures(manifest: Manifest, test_names: list[str], split_by: str) -> str:
    metrics: dict[str, Any] = manifest.metrics
    if not metrics:
        return "## Figures\n\nNo recording was set apart to report on."
    names = ", ".join(test_names[:12]) + (" and more" if len(test_names) > 12 else "")
    apart = (
        "Whole recordings that were used for nothing else"
        if split_by == "experiment"
        else "The last stretch of each recording; training and calibration used earlier ones"
    )
    baseline = metrics["baseline_rows"]
    judged_by = (
        f"each commissioned as an asset from its first {baseline} rows, which are not counted"
        if baseline
        else "judged by the model's own baseline"
    )
    some = f", every {metrics['stride']}. of theirs" if "stride" in metrics else ""
    rows = [f"| {name} | {metrics[key]:.3g} |" for name, key in _FIGURES if metrics.get(key) is not None]
    if metrics.get("events"):
        rows.insert(0, f"| Faults found | {metrics['events_found']} of {metrics['events']} |")
    table = "\n".join(rows)
    return f"""## Figures

{apart}: {names}; {judged_by}. {metrics["judged_rows"]:,} rows{some}, each judged by the window that ends at it: no
look-ahead, no point adjustment. Alarm budget asked for: {metrics["false_alarm_rate_asked"]:.3g} of normal windows.
One training run, one seed.

| figure | value |
|---|---|
{table}"""


def _contest(contest: Contest | None) -> str:
    title = "## Against plain detectors\n\n"
    if contest is None or contest.beats_all is None:
        return (
            title + "Not compared: the recordings set apart hold no labelled fault, or no normal operation."
        )
    lines = "\n".join(f"- {match}." for match in (*contest.matches, *contest.behind_in))
    if contest.beats_all:
        return title + lines
    return f"{title}**Published although it does not beat them all.**\n\n{lines}"


def _calibration(manifest: Manifest) -> str:
    calibration, probability = manifest.calibration, manifest.calibration.probability
    lines = [
        f"- Held out for it: {calibration.held_out}.",
        f"- Probabilities: fitted on {probability.faults} faults that made up {probability.prior:.0%} of the "
        "windows. Where faults are rarer, so is what a probability promises.",
        f"- Decision: the classifier's score weighs {calibration.classifier_weight:.2f}, the reconstruction's the "
        "rest.",
        f"- Default alarm budget: {manifest.default_false_alarm_rate:.3g} of normal windows.",
        _table("windows judged by the model's own baseline", calibration.model_baseline),
    ]
    if calibration.asset_baseline is not None:
        lines.append(_table("windows of commissioned assets", calibration.asset_baseline))
    return "## Calibration\n\n" + "\n".join(lines)


def _table(what: str, normal: NormalOperation) -> str:
    return (
        f"- For {what}: {normal.independent_windows} independent normal windows, so the smallest budget that can "
        f"be promised is {normal.smallest_false_alarm_rate:.3g}."
    )


def _sensors(manifest: Manifest) -> str:
    rows = "\n".join(
        f"| {s.name} | {s.unit or ''} | {s.center:.4g} | {s.scale:.3g} | {s.drift:.2f} | "
        f"{'yes' if s.scored else 'no, drifts'} |"
        for s in manifest.sensors
    )
    return f"""## Sensors

| sensor | unit | centre | deviation | drift | judged |
|---|---|---|---|---|---|
{rows}"""


def _limits(manifest: Manifest) -> str:
    lines = [
        "- It knows the operating modes of its training data and no others: a new mode is anomalous until an asset "
        "is commissioned in it or the model is trained anew.",
        "- A p-value promises its false-alarm rate only for operation like that of the held-out windows.",
    ]
    left_out = [sensor.name for sensor in manifest.sensors if not sensor.scored]
    if left_out:
        lines.append(
            f"- Faults that show only in {', '.join(left_out)} are not seen: these drift too much to judge."
        )
    if manifest.calibration.probability.faults == "injected":
        lines.append("- Probabilities come from injected faults only; real ones may look otherwise.")
    return "## Limits\n\n" + "\n".join(lines)
