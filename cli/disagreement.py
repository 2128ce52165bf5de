"""How far a challenger and the live version of a running service agree: from the service's own metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from cli.console import note, out
from cli.errors import CommandError
from cli.live_version import served

VERDICTS = ("normal", "anomalous", "cannot_judge")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Since the service started. pairs: windows by verdict of the live version and of the challenger.

    difference: mean score of the challenger less that of the live version, in deviations; None without any.
    dropped: windows that the challenger did not judge.
    """

    live: int
    challenger: int
    pairs: Mapping[tuple[str, str], int]
    difference: float | None
    dropped: int

    @property
    def windows(self) -> int:
        return sum(self.pairs.values())

    @property
    def agreement(self) -> float:
        """Share of windows with the same verdict."""
        same = sum(count for (one, other), count in self.pairs.items() if one == other)
        return same / self.windows if self.windows else float("nan")


def read_disagreement(text: str, model: Mapping[str, Any]) -> Disagreement:
    """From Prometheus' text, and a model as `/models` shows it. Raises CommandError without a challenger."""
    from prometheus_client.parser import text_string_to_metric_families

    name, live, challenger = model["name"], model["live"], model["challenger"]
    if challenger is None:
        raise CommandError(f"{name} has no challenger; `offnormal challenge {name}@VERSION` names one")
    wanted = {"model": name, "version": str(live), "challenger": str(challenger)}
    pairs: dict[tuple[str, str], int] = {}
    numbers: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("offnormal_challenger_"):
            continue
        for sample in family.samples:
            if not wanted.items() <= sample.labels.items():
                continue
            if "verdict" in sample.labels:
                pair = (sample.labels["verdict"], sample.labels["challenger_verdict"])
                pairs[pair] = int(sample.value)
            elif "le" not in sample.labels:
                numbers[sample.name.removeprefix("offnormal_challenger_")] = sample.value
    count = numbers.get("score_difference_count", 0.0)
    return Disagreement(
        live,
        challenger,
        pairs,
        numbers["score_difference_sum"] / count if count else None,
        int(numbers.get("dropped_windows_total", 0)),
    )


def show_disagreement(url: str, key: str | None, name: str) -> None:
    """Print what a service knows of a model's challenger. Raises CommandError."""
    from cli.service_client import ServiceClient

    with ServiceClient(url, key) as client:
        found = read_disagreement(client.metrics(), served(client, name))
    table = Table(title=f"{name}: version {found.live} and its challenger, version {found.challenger}")
    table.add_column(f"version {found.live} says")
    for verdict in VERDICTS:
        table.add_column(f"{found.challenger}: {verdict}", justify="right")
    for verdict in VERDICTS:
        counts = [found.pairs.get((verdict, other), 0) for other in VERDICTS]
        table.add_row(verdict, *(f"{count:,}" for count in counts))
    out.print(table)
    if not found.windows:
        note("no window was judged by both yet")
        return
    out.print(f"the same verdict for {found.agreement:.2%} of {found.windows:,} windows")
    if found.difference is not None:
        out.print(
            f"the challenger scores {found.difference:+.3f} deviations on average against the live version"
        )
    if found.dropped:
        note(f"{found.dropped:,} windows were not judged by the challenger: the service had more to do")
