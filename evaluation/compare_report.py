"""Models side by side as one self-contained HTML page."""

from html import escape
from pathlib import Path
from typing import Any

from evaluation.charts import auc_by_file
from evaluation.compare import FIGURES, Comparison, record
from evaluation.page import DASH, Cell, Row, document, number, paragraph, percent, picture, section, table
from evaluation.rivals import ALWAYS_ON, NAMES
from evaluation.tables import FIGURES as COLUMNS

_STYLES = {"better": "right", "worse": "wrong"}


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page."""
    path.write_text(page(record(comparison)), encoding="utf-8")


def page(content: dict[str, Any]) -> str:
    """HTML. content: see `compare.record`; whatever stands in the page as a number comes from it."""
    first, *others = content["models"]
    title = " and ".join([", ".join([first, *others[:-1]]), others[-1]])
    rows = content["settings"]["baseline_rows"]
    by = f"each commissioned from its first {rows} rows" if rows else "judged by each model's own baseline"
    made = ", ".join(f"{name} {when}" for name, when in content["created"].items())
    head = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            paragraph(f"{len(content['files'])} recordings, {by}. Made: {made}.", quiet=True),
            *(paragraph(note, quiet=True) for note in content["notes"]),
        ]
    )
    auc = {
        file: {name: item["files"][file].get("auc") for name, item in content["detectors"].items()}
        for file in content["files"]
    }
    known = {file: by for file, by in auc.items() if by[first] is not None}
    names = {name: name for name in content["models"]}
    chart = picture(auc_by_file(known, names), "ROC AUC of each model, by file") if known else ""
    return document(
        title,
        [
            head,
            _differences(content),
            _side_by_side(content),
            section("File by file", chart, _files(content)),
        ],
    )


def _differences(content: dict[str, Any]) -> str:
    bootstrap = content["bootstrap"]
    names = {figure.key: figure.name for figure in FIGURES}
    rows = []
    for item in content["differences"]:
        low, high = item["low"], item["high"]
        rows.append(
            Row(
                [
                    NAMES.get(item["model"], item["model"]),
                    names[item["figure"]],
                    DASH if item["mean"] is None else f"{item['mean']:+.3f}",
                    DASH if low is None else f"{low:+.3f} to {high:+.3f}",
                    str(item["better"]),
                    str(item["worse"]),
                    str(item["equal"]),
                    Cell(item["answer"], _STYLES.get(item["answer"], "")),
                ]
            )
        )
    level = f"{bootstrap['level']:.0%} interval"
    heads = ["model:", "figure:", "mean difference", level, "better in", "worse in", "equal in", "answer:"]
    about = (
        f"Each figure less that of {content['models'][0]}, file by file; the mean over files, and a"
        f" percentile bootstrap interval of it: {bootstrap['resamples']:,} resamples of whole files, seed"
        f" {bootstrap['seed']}. Many figures are looked at, so that one in twenty may seem clear by chance."
    )
    return section(f"Against {content['models'][0]}", paragraph(about, quiet=True), table(heads, rows))


def _side_by_side(content: dict[str, Any]) -> str:
    def figures(detectors: dict[str, Any]) -> str:
        rows = [
            Row(
                [NAMES.get(name, name), *(column.show(item["all"]) for column in COLUMNS)],
                "strong" if name in content["models"] else "",
            )
            for name, item in detectors.items()
        ]
        return table(["detector:", *(column.head for column in COLUMNS)], rows)

    parts = [figures(content["detectors"]), paragraph(content["references_from"], quiet=True)]
    if content["persisted"]:
        rule = content["settings"]["alarm_after"]
        parts += [f"<h3>With alarms that persist: {rule}</h3>", figures(content["persisted"])]
    return section("Side by side", *parts)


def _files(content: dict[str, Any]) -> str:
    """F1 and AUC of every detector, both rates of the models."""
    detectors, models = content["detectors"], content["models"]
    ranked = [name for name in detectors if name != ALWAYS_ON]
    blocks = [
        ("ROC AUC", "auc", ranked, number),
        ("F1", "f1", list(detectors), number),
        ("false alarms", "false_alarm_rate", models, percent),
        ("missed", "missed_alarm_rate", models, percent),
    ]
    rows = [
        Row(
            [
                file,
                *(
                    show(detectors[name]["files"][file].get(key))
                    for _, key, names, show in blocks
                    for name in names
                ),
            ]
        )
        for file in content["files"]
    ]
    heads = ["file:", *(NAMES.get(name, name) for _, _, names, _ in blocks for name in names)]
    groups = [("", 1), *((title, len(names)) for title, _, names, _ in blocks)]
    return table(heads, rows, groups)
