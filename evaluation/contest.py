"""Whether a model is worth its trouble: does it beat the plain detectors, and by how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.paired import Paired, paired
from evaluation.rivals import MODEL, NAMES

Summary = Mapping[str, Any]

# What decides, and what does not; higher is better in each. F1 does not: detectors that were given the same
# alarm budget keep it differently well, and the one that breaks its promise finds more.
FIGURES = {"auc": "AUC"}
OTHER_FIGURES = {"f1": "F1", "pr_auc": "PR AUC", "vus_pr": "VUS-PR", "range_f1": "range F1"}
FIGURE_NAMES: Mapping[str, str] = FIGURES | OTHER_FIGURES


@dataclass(frozen=True, slots=True)
class Match:
    """The model against one plain detector in one figure. Figures are None where they could not be had.

    by_file: the model's figure less the other's, file by file. It does not decide: it says how far the files
    agree.
    """

    reference: str
    figure: str
    model: float | None
    other: float | None
    by_file: Paired

    @property
    def difference(self) -> float | None:
        """Above 0 where the model is better."""
        return None if self.model is None or self.other is None else self.model - self.other

    @property
    def beats(self) -> bool | None:
        """A tie is not a win. None where there is nothing to compare."""
        return None if self.difference is None else self.difference > 0

    def __str__(self) -> str:
        name, figure = NAMES[self.reference], FIGURE_NAMES[self.figure]
        if self.model is None or self.other is None or self.difference is None:
            return f"Cannot be compared with {name} in {figure}"
        verb = "Beats" if self.beats else "Does not beat"
        files = len(self.by_file.differences)
        return (
            f"{verb} {name} in {figure}: {self.model:.3f} against {self.other:.3f} ({self.difference:+.3f});"
            f" higher in {self.by_file.higher} of {files} files"
        )


@dataclass(frozen=True, slots=True)
class Contest:
    """All matches of one evaluation. others: in figures that do not decide, but should not be hidden."""

    matches: tuple[Match, ...]
    others: tuple[Match, ...] = ()

    @property
    def lost(self) -> tuple[Match, ...]:
        """Those that the model does not win."""
        return tuple(match for match in self.matches if match.beats is False)

    @property
    def behind_in(self) -> tuple[Match, ...]:
        """The other figures in which a plain detector is at least as good."""
        return tuple(match for match in self.others if match.beats is False)

    @property
    def complete(self) -> bool:
        """Whether every plain detector was there and every match decided."""
        there = {match.reference for match in self.matches if match.beats is not None}
        undecided = any(match.beats is None for match in self.matches)
        return not undecided and there == set(NAMES) - {MODEL}

    @property
    def beats_all(self) -> bool | None:
        """Whether every match that could be decided is won; see `complete`.

        None where nothing could be compared: no labels, or no faults among them.
        """
        if all(match.beats is None for match in self.matches):
            return None
        return not self.lost


def contest(summaries: Mapping[str, Summary], by_file: Sequence[Mapping[str, Summary]]) -> Contest:
    """summaries: by detector, the model's among them, see `judged.summarise`. by_file: the same by file."""
    return Contest(_matches(summaries, by_file, FIGURES), _matches(summaries, by_file, OTHER_FIGURES))


def _matches(
    summaries: Mapping[str, Summary], by_file: Sequence[Mapping[str, Summary]], figures: Mapping[str, str]
) -> tuple[Match, ...]:
    return tuple(
        Match(
            name,
            figure,
            summaries[MODEL].get(figure),
            summary.get(figure),
            paired([f[name].get(figure) for f in by_file], [f[MODEL].get(figure) for f in by_file]),
        )
        for name, summary in summaries.items()
        if name != MODEL
        for figure in figures
    )
