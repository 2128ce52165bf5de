"""The sections of docs/quality.md: what each is made of, and its tables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality import gaps
from benchmarks.quality.contributions import Hits
from benchmarks.quality.detection import (
    DETECTION_HEAD,
    detection_row,
    detection_table,
    files_of,
    persistence_table,
    probability_table,
    summaries,
)
from benchmarks.quality.embedded import EMBEDDED, Embedded
from benchmarks.quality.figures import DEFAULT, Figures, Share
from benchmarks.quality.machine_temperature import MACHINE_TEMPERATURE
from benchmarks.quality.protocol import Protocol
from benchmarks.quality.results import Results
from benchmarks.quality.skab import FIVE_FOLD, LEAVE_FOLDER_OUT, UNLABELLED, Unlabelled
from benchmarks.quality.tables import DASH, percent, short, spread, table
from benchmarks.quality.tennessee import (
    CLASSES,
    DEFAULT_WINDOW,
    FAULT_DETECTION,
    JUDGED_ONLY,
    SHORT_WINDOW,
    Classes,
    FaultDetection,
)
from evaluation.rivals import ALWAYS_ON, MODEL, NAMES, PCA, Z2
from history.faults import FAULTS

PROMISED_BUDGETS = (0.01, 0.05, 0.10)
# Hardly observable; averages are given with and without them.
HARD_FAULTS = (3, 9, 15)
IMAGES = "images"
# Measured once on the same files, outside this benchmark.
SINGLE_ROW_PCA = (0.754, 0.651)
FOREST = (0.714, 0.789)
# (first, among three) by kind, of the prototype that the design was made from.
PROTOTYPE_HITS = {
    "shift": (0.93, 1.0), "ramp": (0.84, 0.97), "spike": (0.90, 1.0), "noise": (0.93, 1.0),
    "scale": (0.53, 0.70), "swap": (0.39, 0.69), "stuck": (0.10, 0.20),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """name: of its markers in the page. protocols: what it is made of. parts: of those, all if empty."""

    name: str
    protocols: tuple[Protocol, ...]
    write: Callable[[Results], str]
    parts: tuple[str, ...] = ()

    @property
    def needs(self) -> list[tuple[Protocol, str]]:
        """Protocols and their parts."""
        return [
            (protocol, part)
            for protocol in self.protocols
            for part in protocol.parts
            if not self.parts or part in self.parts
        ]


def of_unlabelled(results: Results) -> dict[int, dict[str, Figures]]:
    found = results.of(UNLABELLED, Unlabelled)
    return {seed: {part: item.figures for part, item in parts.items()} for seed, parts in found.items()}


def _join(*blocks: str) -> str:
    return "\n\n".join(blocks)


def _seeds(found: Mapping[int, Any]) -> str:
    seeds = ", ".join(map(str, found))
    return f"Mean ± standard deviation over seeds {seeds}." if len(found) > 1 else f"Seed {seeds} alone."


def write_unlabelled(results: Results) -> str:
    figures = of_unlabelled(results)
    return _join(
        _seeds(figures),
        detection_table(figures, published=True, probable=False),
        "Alarms that persist:",
        persistence_table(files_of(figures)),
        f"![AUC by file]({IMAGES}/quality-skab.png)",
    )


def write_labelled(protocol: Protocol) -> Callable[[Results], str]:
    def write(results: Results) -> str:
        figures = results.of(protocol, Figures)
        files = files_of(figures)
        blocks = [
            _seeds(figures),
            detection_table(figures, published=protocol is FIVE_FOLD, probable=True),
            probability_table(files),
        ]
        if protocol is FIVE_FOLD:
            blocks.append(f"![Probabilities against what came of them]({IMAGES}/quality-reliability.png)")
        else:
            blocks += ["Each folder by itself, at the default budget:", _by_part(figures)]
        return _join(*blocks, "Alarms that persist:", persistence_table(files))

    return write


def _by_part(figures: Mapping[int, Mapping[str, Figures]]) -> str:
    parts = dict.fromkeys(part for by_part in figures.values() for part in by_part)
    rows = []
    for part in parts:
        files = {seed: by_part[part].files for seed, by_part in figures.items() if part in by_part}
        for detector in (MODEL, PCA, Z2, ALWAYS_ON):
            row = detection_row(NAMES[detector], part, summaries(files, DEFAULT, detector))
            rows.append([part, row[0], *row[2:]])
    return table(["left out", "detector", *DETECTION_HEAD[2:]], rows)


def realised(figures: Mapping[str, Figures], budget: str, detector: str) -> float | None:
    """Share of alarms ahead of the fault, over the models of one seed that take the budget."""
    shares = [file.before_fault[budget] for part in figures.values() for file in part.files
              if budget in file.before_fault]  # fmt: skip
    total = sum((by_name[detector] for by_name in shares if detector in by_name), Share(0, 0))
    return total.alarms / total.rows if total.rows else None


def budget_sources(results: Results) -> dict[str, dict[int, dict[str, Figures]]]:
    """By the words for how the models were trained."""
    return {
        "without labels": of_unlabelled(results),
        "labels, five folds": results.of(FIVE_FOLD, Figures),
        "labels, folder left out": results.of(LEAVE_FOLDER_OUT, Figures),
    }


def write_budget(results: Results) -> str:
    rows = []
    for words, figures in budget_sources(results).items():
        models = [part for parts in figures.values() for part in parts.values()]
        for budget in map(str, PROMISED_BUDGETS):
            refused = [model.refused[budget] for model in models if budget in model.refused]
            cells = [
                spread([realised(parts, budget, detector) for parts in figures.values()])
                for detector in (MODEL, PCA, Z2)
            ]
            told = (
                f"{len(refused)} of {len(models)}; smallest supported {percent(min(refused))}"
                + ("" if min(refused) == max(refused) else f" to {percent(max(refused))}")
                if refused
                else f"0 of {len(models)}"
            )
            rows.append([words, percent(float(budget)), *cells, told])
    head = ["models trained", "budget asked", *(NAMES[name] for name in (MODEL, PCA, Z2)), "refused by"]
    return _join(
        _seeds(of_unlabelled(results)),
        table(head, rows),
        f"![Budget asked for and realised]({IMAGES}/quality-alarm-budget.png)",
    )


def write_gaps(results: Results) -> str:
    found = [parts[""].gaps for parts in results.of(UNLABELLED, Unlabelled).values()]
    rows = []
    for name in gaps.CUTS:
        held = [by_cut[name] for by_cut in found]
        rows.append(
            [
                name,
                *(
                    spread([item.alarms[str(budget)] / item.normal for item in held])
                    for budget in gaps.BUDGETS
                ),
                spread([item.found / item.faulty for item in held]),
                spread([item.auc for item in held]),
                spread(
                    [item.cannot_judge / (item.normal + item.faulty + item.cannot_judge) for item in held]
                ),
            ]
        )
    head = [
        "of a window there is",
        *(f"alarms on normal windows at {percent(budget)}" for budget in gaps.BUDGETS),
        f"faulty windows found at {percent(gaps.FOUND_AT)}",
        "AUC",
        "cannot be judged",
    ]
    whole = found[0]["all of it"]
    return _join(
        f"{_seeds(results.of(UNLABELLED, Unlabelled))} {whole.normal} windows ahead of the faults, "
        f"{whole.faulty} that end in one.",
        table(head, rows),
    )


def mean_over_faults(rates: Mapping[str, float], hard: bool) -> float:
    """Mean over faults. hard: whether HARD_FAULTS count."""
    return float(np.mean([rate for fault, rate in rates.items() if hard or int(fault) not in HARD_FAULTS]))


DETECTORS = {**NAMES, JUDGED_ONLY: "model, no alarm where it cannot judge"}
WINDOWS = {DEFAULT_WINDOW: "default window", SHORT_WINDOW: "window of 10"}


def write_detection(results: Results) -> str:
    found = results.of(FAULT_DETECTION, FaultDetection)
    averages, by_fault, names = [], [], []
    for part in WINDOWS:
        measured = [parts[part] for parts in found.values() if part in parts]
        if not measured:
            continue
        steps = measured[0].window_steps
        for detector in measured[0].detectors:
            rates = [item.detectors[detector] for item in measured]
            averages.append(
                [
                    DETECTORS[detector],
                    str(steps),
                    DASH
                    if detector == JUDGED_ONLY
                    else spread([mean_over_faults(item.auc, hard=False) for item in rates]),
                    spread([mean_over_faults(item.detected, hard=False) for item in rates]),
                    spread([mean_over_faults(item.detected, hard=True) for item in rates]),
                    spread([float(np.mean(list(item.false_alarms.values()))) for item in rates]),
                ]
            )
            if detector == JUDGED_ONLY:
                continue
            by_fault.append([item.detected for item in rates])
            names.append(f"{DETECTORS[detector]}, {steps}")
    averages.append(
        ["PCA T² or Q of single rows, 11 components", "1", DASH, *map(short, SINGLE_ROW_PCA), ".010"]
    )
    averages.append([NAMES[ALWAYS_ON], DASH, ".500", "1.000", "1.000", "1.000"])
    faults = list(by_fault[0][0])
    return _join(
        _seeds(found),
        table(
            [
                "detector",
                "steps of a window",
                "AUC, 18 faults",
                "detected, 18 faults",
                "all 21",
                "false alarms",
            ],
            averages,
        ),
        "Detected, by fault; the number behind a detector is the steps of its window:",
        table(
            ["fault", *names],
            [
                [fault, *(spread([rates[fault] for rates in of_seeds]) for of_seeds in by_fault)]
                for fault in faults
            ],
        ),
        f"![Fault detection rate by fault]({IMAGES}/quality-tennessee-faults.png)",
    )


def accuracy(classes: Classes, hard: bool) -> float:
    """Share of rows whose fault was named. hard: whether rows of HARD_FAULTS count."""
    counts = np.array(classes.counts)
    rows = np.array([hard or fault not in HARD_FAULTS for fault in classes.faults])
    return float(np.diag(counts)[rows].sum() / counts[rows].sum())


def write_classes(results: Results) -> str:
    found = results.of(CLASSES, Classes)
    measured = [parts[""] for parts in found.values()]
    rows = [
        ["model", spread([accuracy(item, hard=True) for item in measured]),
         spread([accuracy(item, hard=False) for item in measured])],
        ["random forest, 300 trees, on the last 10 rows", *map(short, FOREST)],
        ["a guess", short(1 / 21), short(1 / 21)],
    ]  # fmt: skip
    return _join(
        _seeds(found),
        table(["classifier", "accuracy, all 21 faults", "rows of 18 faults"], rows),
        f"![Which fault was called which]({IMAGES}/quality-tennessee-classes.png)",
    )


def write_machine_temperature(results: Results) -> str:
    figures = results.of(MACHINE_TEMPERATURE, Figures)
    return _join(_seeds(figures), detection_table(figures, published=False, probable=False))


def summed(found: Iterable[Mapping[str, Hits]]) -> dict[str, list[Hits]]:
    """By kind, one for each seed."""
    every = list(found)
    return {kind: [hits[kind] for hits in every] for kind in FAULTS}


def contribution_sources(results: Results) -> dict[str, dict[str, list[Hits]]]:
    """By data set, then by kind of fault."""
    skab = results.of(UNLABELLED, Unlabelled)
    tennessee = results.of(FAULT_DETECTION, FaultDetection)
    plants = [parts[DEFAULT_WINDOW].contributions for parts in tennessee.values() if DEFAULT_WINDOW in parts]
    return {
        "SKAB": summed(parts[""].contributions for parts in skab.values()),
        "Tennessee Eastman": summed(plants),
    }


def write_contributions(results: Results) -> str:
    sources = contribution_sources(results)
    rows = []
    for kind in FAULTS:
        cells = []
        for by_kind in sources.values():
            hits = by_kind[kind]
            cells += [spread([item.first / item.windows for item in hits], 2)]
            cells += [spread([item.among_three / item.windows for item in hits], 2)]
        known = PROTOTYPE_HITS.get(kind)
        rows.append([kind, *cells, DASH if known is None else f"{short(known[0], 2)} / {short(known[1], 2)}"])
    head = [f"{name}, {place}" for name in sources for place in ("first", "among three")]
    windows = {name: by_kind["shift"][0].windows for name, by_kind in sources.items() if by_kind["shift"]}
    told = " and ".join(f"{count} of {name}" for name, count in windows.items())
    return _join(
        f"{_seeds(results.of(UNLABELLED, Unlabelled))} Windows of each kind and seed: {told}.",
        table(["fault", *head, "prototype on SKAB, first / among three"], rows),
    )


def write_embedded(results: Results) -> str:
    embedded = results.of(EMBEDDED, Embedded)[0][""]
    figures = embedded.figures
    rows = []
    for file in figures.files:
        row = detection_row(NAMES[MODEL], file.name, summaries({0: [file]}, DEFAULT, MODEL))
        always = summaries({0: [file]}, DEFAULT, ALWAYS_ON)[0]["f1"]
        rows.append([row[1], row[2], row[3], DASH if always is None else short(always), *row[4:]])
    head = ["file", *DETECTION_HEAD[2:4], "always-on F1", *DETECTION_HEAD[4:]]
    return _join(
        f"`pump-loop` version {embedded.version}, made {embedded.created}.",
        detection_table({0: {"": figures}}, published=False, probable=True),
        "File by file, at the default budget:",
        table(head, rows),
        "Alarms that persist:",
        persistence_table({0: figures.files}),
    )


SECTIONS = (
    Section("skab-unlabelled", (UNLABELLED,), write_unlabelled),
    Section("skab-labelled-5fold", (FIVE_FOLD,), write_labelled(FIVE_FOLD)),
    Section("skab-labelled-leave-folder-out", (LEAVE_FOLDER_OUT,), write_labelled(LEAVE_FOLDER_OUT)),
    Section("alarm-budget", (UNLABELLED, FIVE_FOLD, LEAVE_FOLDER_OUT), write_budget),
    Section("gaps", (UNLABELLED,), write_gaps),
    Section("tennessee-fault-detection", (FAULT_DETECTION,), write_detection),
    Section("tennessee-classes", (CLASSES,), write_classes),
    Section("nab-machine-temperature", (MACHINE_TEMPERATURE,), write_machine_temperature),
    Section("contributions", (UNLABELLED, FAULT_DETECTION), write_contributions, ("", DEFAULT_WINDOW)),
    Section("embedded", (EMBEDDED,), write_embedded),
)
