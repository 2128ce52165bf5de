"""Models side by side on the same recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.contest import FIGURES as DECIDING
from evaluation.errors import EvaluationError
from evaluation.evaluate import Evaluation
from evaluation.judged import Judged, summarise
from evaluation.paired import LEAST_FILES, LEVEL, RESAMPLES, SEED, Paired, paired
from evaluation.rivals import MODEL

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in which models are compared. better: 1 where larger is better, -1 where smaller is."""

    key: str
    name: str
    better: int


FIGURES = (
    Figure("auc", "ROC AUC", 1),
    Figure("f1", "F1", 1),
    Figure("pr_auc", "PR AUC", 1),
    Figure("vus_pr", "VUS-PR", 1),
    Figure("range_f1", "range F1", 1),
    Figure("false_alarm_rate", "false alarms", -1),
    Figure("missed_alarm_rate", "missed", -1),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A model less the first one, in one figure, file by file."""

    model: str
    against: str
    figure: Figure
    paired: Paired

    @property
    def better(self) -> int:
        """Files in which the model is better than the first."""
        return self.paired.higher if self.figure.better > 0 else self.paired.lower

    @property
    def worse(self) -> int:
        return self.paired.lower if self.figure.better > 0 else self.paired.higher

    @property
    def answer(self) -> str:
        """What the interval says: `better`, `worse`, `unclear`, or `too few files`."""
        low, high = self.paired.low, self.paired.high
        if low is None or high is None:
            return "too few files"
        if low <= 0 <= high:
            return "unclear"
        return "better" if (low > 0) == (self.figure.better > 0) else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Evaluations of several models on the same recordings, by the name that each is shown by.

    The first is what the others are compared with; its plain detectors stand for all.
    Raises EvaluationError unless there are two models at least and all judged the same files.
    """

    evaluations: Mapping[str, Evaluation]

    def __post_init__(self) -> None:
        if len(self.evaluations) < 2:
            raise EvaluationError("to compare takes two different models at least")
        files = {tuple(result.recording.name for result in item.files) for item in self.evaluations.values()}
        if len(files) > 1:
            raise EvaluationError("the models were not judged on the same files")

    @property
    def first(self) -> Evaluation:
        return next(iter(self.evaluations.values()))

    def detectors(self, persisted: bool = False) -> dict[str, list[Judged]]:
        """The models, then the plain detectors of the first one: what each made of each file."""
        models = {name: _judged(item, MODEL, persisted) for name, item in self.evaluations.items()}
        plain = [name for name in self.first.summaries() if name != MODEL]
        return models | {name: _judged(self.first, name, persisted) for name in plain}

    def differences(self) -> list[Difference]:
        """Every later model against the first, in every figure; every plain detector in those that decide."""
        against = next(iter(self.evaluations))
        by_file = {name: [summarise([one]) for one in files] for name, files in self.detectors().items()}
        return [
            Difference(
                name,
                against,
                figure,
                paired(*([one.get(figure.key) for one in by_file[key]] for key in (against, name))),
            )
            for name in by_file
            if name != against
            for figure in FIGURES
            if name in self.evaluations or figure.key in DECIDING
        ]


def _judged(evaluation: Evaluation, name: str, persisted: bool) -> list[Judged]:
    return [(result.persisted if persisted else result.judged)[name] for result in evaluation.files]


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know before trusting a difference."""
    evaluations = comparison.evaluations
    budgets = {name: item.false_alarm_rate_asked for name, item in evaluations.items()}
    out = []
    if len(set(budgets.values())) > 1:
        said = ", ".join(f"{name} {rate:.3g}" for name, rate in budgets.items())
        out.append(
            f"Each model has its own alarm budget ({said}): F1 and both rates depend on it, the AUCs do not."
        )
    steps = {name: item.manifest.window.minimum_steps for name, item in evaluations.items()}
    if len(set(steps.values())) > 1:
        out.append(
            "The models need windows of different length: each ranks the rows that it can judge, and misses"
            " those in a fault that it cannot."
        )
    if len(comparison.first.files) < LEAST_FILES:
        out.append(f"Fewer than {LEAST_FILES} files: no interval is given.")
    return [*out, *dict.fromkeys(note for item in evaluations.values() for note in item.notes)]


def record(comparison: Comparison) -> dict[str, Any]:
    """Everything that the page shows in numbers, ready for `json.dumps`."""
    first = comparison.first
    files = [result.recording.name for result in first.files]
    models: Sequence[str] = list(comparison.evaluations)

    def figures(persisted: bool = False) -> dict[str, Any]:
        return {
            name: {
                "all": summarise(judged),
                "files": {file: summarise([one]) for file, one in zip(files, judged, strict=True)},
            }
            for name, judged in comparison.detectors(persisted).items()
        }

    return {
        "schema_version": SCHEMA_VERSION,
        "models": models,
        "created": {name: item.manifest.created for name, item in comparison.evaluations.items()},
        "files": files,
        "settings": {
            "baseline_rows": first.baseline_rows,
            "stride": first.stride,
            "alarm_after": None if first.alarm_after is None else str(first.alarm_after),
            "false_alarm_rate_asked": {
                name: item.false_alarm_rate_asked for name, item in comparison.evaluations.items()
            },
        },
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL, "over": "files"},
        "notes": notes(comparison),
        "references_from": f"Plain detectors are those of {models[0]}. {first.references_from}",
        "detectors": figures(),
        "persisted": figures(persisted=True) if first.alarm_after else None,
        "differences": [
            {
                "model": item.model,
                "against": item.against,
                "figure": item.figure.key,
                "larger_is_better": item.figure.better > 0,
                "better": item.better,
                "worse": item.worse,
                "answer": item.answer,
                **asdict(item.paired),
            }
            for item in comparison.differences()
        ],
    }
