"""Whether a model is worth its trouble: does it beat the plain detectors, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.rivals import MODEL, NAMES

# Higher is better in each.
FIGURES: Mapping[str, str] = {"auc": "AUC", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class Match:
    """The model against one plain detector in one figure. Figures are None where they could not be had."""

    reference: str
    figure: str
    model: float | None
    other: float | None

    @property
    def difference(self) -> float | None:
        """Above 0 where the model is better."""
        return None if self.model is None or self.other is None else self.model - self.other

    @property
    def beats(self) -> bool | None:
        """A tie is not a win. None where there is nothing to compare."""
        return None if self.difference is None else self.difference > 0

    def __str__(self) -> str:
        name, figure = NAMES[self.reference], FIGURES[self.figure]
        if self.model is None or self.other is None or self.difference is None:
            return f"{figure} against {name}: cannot be compared"
        verb = "beats" if self.beats else "does not beat"
        return (
            f"{verb} {name} in {figure} by {self.difference:+.3f} ({self.model:.3f} against {self.other:.3f})"
        )


@dataclass(frozen=True, slots=True)
class Contest:
    """All matches of one evaluation."""

    matches: tuple[Match, ...]

    @property
    def lost(self) -> tuple[Match, ...]:
        """Those that the model does not win."""
        return tuple(match for match in self.matches if match.beats is False)

    @property
    def beats_all(self) -> bool | None:
        """None where nothing could be compared: no labels, or no faults among them."""
        if all(match.beats is None for match in self.matches):
            return None
        return not self.lost


def contest(summaries: Mapping[str, Mapping[str, Any]]) -> Contest:
    """summaries: see `judged.summarise`, by detector, the model's among them."""
    own = summaries[MODEL]
    return Contest(
        tuple(
            Match(name, figure, own.get(figure), summary.get(figure))
            for name, summary in summaries.items()
            if name != MODEL
            for figure in FIGURES
        )
    )
