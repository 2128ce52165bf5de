"""An evaluation as one self-contained HTML page."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from detector import Detector
from evaluation.charts import auc_by_file, p_value_chart, reliability_chart
from evaluation.contest import FIGURE_NAMES
from evaluation.evaluate import Evaluation
from evaluation.extracts import Extract, worst_false_alarms, worst_misses
from evaluation.meanings import MEANINGS
from evaluation.page import (
    DASH,
    Row,
    cards,
    definitions,
    document,
    number,
    paragraph,
    percent,
    picture,
    section,
    table,
)
from evaluation.record import record
from evaluation.rivals import ALWAYS_ON, MODEL, NAMES
from evaluation.tables import (
    calls,
    classes_table,
    confusion_table,
    delay,
    detectors_table,
    faults_table,
    files_table,
    found,
)
from evaluation.timeline import draw_extract, draw_key, draw_timeline

OnPicture = Callable[[str], None]
# Figures that do not change when alarms have to persist.
_RANKING = ("auc", "pr_auc", "vus_pr")


def write_report(
    path: Path, evaluation: Evaluation, detector: Detector, on_picture: OnPicture = lambda name: None
) -> None:
    """Write the page. on_picture: called with the name of what is drawn next."""
    content = record(evaluation)
    path.write_text(page(content, evaluation, detector, on_picture), encoding="utf-8")


def page(content: dict[str, Any], evaluation: Evaluation, detector: Detector, on_picture: OnPicture) -> str:
    """HTML. content: see `record`; whatever stands in the page as a number comes from it."""
    title = f"{content['model']} {content['version']}: evaluation"
    sections = [
        _head(content, evaluation),
        _detectors(content),
        _files(content, on_picture),
        section("Kinds of fault", faults_table(content["faults"]) if content["faults"] else ""),
        _confusion(content, evaluation),
        _promises(content, on_picture),
        _extracts(
            "Worst misses",
            worst_misses(evaluation),
            "rows without an alarm",
            evaluation,
            detector,
            on_picture,
        ),
        _extracts(
            "Worst false alarms",
            worst_false_alarms(evaluation),
            "rows in false alarm",
            evaluation,
            detector,
            on_picture,
        ),
        _timelines(evaluation, detector, on_picture),
        section("How it was counted", definitions(MEANINGS)),
    ]
    return document(title, sections)


def _head(content: dict[str, Any], evaluation: Evaluation) -> str:
    total, settings = content["all"], content["settings"]
    manifest = evaluation.manifest
    by = (
        f"each commissioned from its first {settings['baseline_rows']} rows"
        if settings["baseline_rows"]
        else "judged by the model's own baseline"
    )
    about = (
        f"{total['files']} recordings, {total['judged_rows']:,} judged rows, {by}. Windows of"
        f" {manifest.window.steps} steps, {len(manifest.sensors)} sensors. Alarm budget:"
        f" {percent(settings['false_alarm_rate_asked'])} of normal windows. Model made {manifest.created}."
    )
    figures = [
        (number(total.get("f1")), f"F1 (always on: {number(total.get('always_on_f1'))})"),
        (number(total.get("auc")), "ROC AUC, mean over files"),
        (percent(total.get("false_alarm_rate")), "of normal rows in false alarm"),
        (percent(total.get("missed_alarm_rate")), "of faulty rows missed"),
        (found(total), f"faults found, after {delay(total)} (median)"),
        (calls(total), "false alarms raised in normal operation"),
    ]
    return "\n".join(
        [
            f"<h1>{escape(content['model'])} {content['version']}</h1>",
            paragraph(about, quiet=True),
            *(paragraph(note, quiet=True) for note in content["notes"]),
            _verdict(content["against_references"]),
            cards(figures),
        ]
    )


def _verdict(contest: dict[str, Any]) -> str:
    """The plain answer, before any table."""
    beats = contest["beats_all"]
    with_it = "" if contest["complete"] else " that it can be compared with"
    style, answer = {
        True: ("", f"Beats every plain detector{with_it} in mean AUC and in F1."),
        False: (" bad", "Does not beat every plain detector."),
        None: (" open", "Cannot be compared with plain detectors: no labelled faults."),
    }[beats]
    matches = [match for match in (*contest["matches"], *contest["behind_in"]) if match["beats"] is not None]
    rows = [_match(match) for match in matches]
    heads = [
        "against:",
        "figure:",
        "model",
        "it",
        "difference",
        "higher in",
        "mean over files, 95 % interval",
    ]
    behind = sorted({FIGURE_NAMES[match["figure"]] for match in contest["behind_in"]})
    also = f" But behind in {', '.join(behind)}." if behind and beats else ""
    details = table(heads, rows) if rows else ""
    return f'<div class="verdict{style}"><strong>{answer}{also}</strong>{details}</div>'


def _match(match: dict[str, Any]) -> Row:
    paired = match["by_file"]
    mean, low, high = paired["mean"], paired["low"], paired["high"]
    over_files = DASH if low is None else f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    return Row(
        [
            NAMES[match["reference"]],
            FIGURE_NAMES[match["figure"]],
            number(match["model"]),
            number(match["other"]),
            f"{match['difference']:+.3f}",
            f"{paired['higher']} of {len(paired['differences'])} files",
            over_files,
        ],
        "" if match["beats"] else "lost",
    )


def _detectors(content: dict[str, Any]) -> str:
    summaries = {
        MODEL: content["all"],
        **{name: item["all"] for name, item in content["references"].items()},
    }
    parts = [
        detectors_table(summaries),
        paragraph("Shaded: a plain detector is at least as good as the model.", quiet=True),
        paragraph(content["references_from"], quiet=True),
    ]
    if content["persisted"]:
        rule = content["settings"]["alarm_after"]
        least, windows = rule.split("/")
        parts += [
            f"<h3>With alarms that persist: {rule}</h3>",
            paragraph(
                f"An alarm needs {least} of the last {windows} windows of the same run to be anomalous. What"
                " ranks rows does not change.",
                quiet=True,
            ),
            detectors_table(content["persisted"], skip=_RANKING),
        ]
    return section("Beside plain detectors", *parts)


def _files(content: dict[str, Any], on_picture: OnPicture) -> str:
    on_picture("AUC by file")
    names = {name: NAMES[name] for name in (MODEL, *content["references"]) if name != ALWAYS_ON}
    auc = {
        file: {
            name: (summary if name == MODEL else content["references"][name]["files"][file]).get("auc")
            for name in names
        }
        for file, summary in content["files"].items()
    }
    known = {file: by for file, by in auc.items() if by[MODEL] is not None}
    chart = picture(auc_by_file(known, names), "ROC AUC of each detector, by file") if known else ""
    return section(
        "File by file", chart, files_table(content["files"], content["references"], content["all"])
    )


def _confusion(content: dict[str, Any], evaluation: Evaluation) -> str:
    confusion = content["confusion"]
    if confusion is None:
        return ""
    several = len(evaluation.manifest.classes) > 2
    note = "Rows by label and verdict" + (
        "; an anomalous row is called by its most probable class of fault." if several else "."
    )
    return section(
        "Confusion",
        paragraph(note, quiet=True),
        confusion_table(confusion),
        classes_table(confusion["classes"]) if confusion["classes"] else "",
    )


def _promises(content: dict[str, Any], on_picture: OnPicture) -> str:
    """Probabilities and p-values: what was said, and what came of it."""
    measured, kinds = content["reliability"], content["p_values"]
    left, right = [], []
    if measured is not None:
        on_picture("reliability")
        left = [
            "<h3>Probabilities</h3>",
            picture(reliability_chart(measured), "Reliability diagram"),
            paragraph(
                f"Expected calibration error {number(measured['ece'])}; Brier score"
                f" {number(measured['brier'])}, where always saying the share of faulty rows"
                f" ({percent(measured['faulty'])}) scores {number(measured['brier_of_base_rate'])}. Points"
                " below the dotted line: the model is too sure of a fault."
            ),
        ]
    named = [("before the first fault", "before_first_fault"), ("all rows labelled normal", "normal_rows")]
    there = [(name, kinds[key]) for name, key in reversed(named) if kinds[key] is not None]
    if there:
        on_picture("p-values")
        rates = list(there[0][1]["realised"])
        rows = [
            Row([name, *(percent(item["realised"][rate]) for rate in rates), number(item["distance"])])
            for name, item in there
        ]
        heads = ["realised at:", *(percent(float(rate), 0) for rate in rates), "distance"]
        right = [
            "<h3>False-alarm promise</h3>",
            picture(p_value_chart(there), "p-values of normal rows"),
            paragraph(
                "p-values of normal rows should be uniform, so that a budget of 5 % makes 5 % false alarms."
                " Distance: the largest gap to the uniform distribution."
            ),
            table(heads, rows),
        ]
    if not left and not right:
        return ""
    columns = "".join(f"<div>{''.join(part)}</div>" for part in (left, right) if part)
    return section("Probabilities and p-values: said and seen", f'<div class="pair">{columns}</div>')


def _extracts(
    title: str,
    extracts: list[Extract],
    what: str,
    evaluation: Evaluation,
    detector: Detector,
    on_picture: OnPicture,
) -> str:
    parts = []
    for extract in extracts:
        name = extract.result.recording.name
        on_picture(f"{title.lower()}: {name}")
        where = f"{name}, rows {extract.first_row}–{extract.last_row}"
        label = "" if extract.label == "normal" else f" ({extract.label})"
        caption = (
            f"{where}{label}: {extract.rows:,} {what}. The sensors most blamed there; shaded: the stretch."
        )
        parts.append(
            picture(
                draw_extract(extract, detector, evaluation.alarm_after),
                f"Readings and expected course in {where}",
                caption,
            )
        )
    return section(title, picture(draw_key(), "Key of the colours") if parts else "", *parts)


def _timelines(evaluation: Evaluation, detector: Detector, on_picture: OnPicture) -> str:
    limit = detector.score_limit(evaluation.false_alarm_rate_asked, by_asset=evaluation.baseline_rows > 0)
    parts = []
    for result in evaluation.files:
        name = result.recording.name
        on_picture(name)
        drawing = draw_timeline(result, limit, evaluation.alarm_after)
        image = picture(drawing, f"Timeline of {name}")
        parts.append(f'<div class="timeline"><h3>{escape(name)}</h3>{image}</div>')
    about = "The score of the model over time, its threshold dotted; below, the truth and each verdict."
    return section("Every recording", paragraph(about, quiet=True), *parts)
