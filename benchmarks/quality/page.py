"""docs/quality.md: what was measured goes between markers, what people wrote around them stays."""

import re
from collections.abc import Mapping, Sequence

from benchmarks.quality.results import Stored
from benchmarks.quality.tables import table

RUN = "run"
_MARKED = re.compile(r"<!-- measured: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


class BadPage(Exception):
    """A page has no place for what was measured, or several."""


def fill(page: str, sections: Mapping[str, str]) -> str:
    """The page with the given sections between their markers. Raises BadPage."""
    marked = [match["name"] for match in _MARKED.finditer(page)]
    for name in sections:
        if marked.count(name) != 1:
            raise BadPage(
                f"expected one '<!-- measured: {name} -->' with '<!-- end -->' behind it, found "
                f"{marked.count(name)}"
            )

    def filled(match: re.Match[str]) -> str:
        text = sections.get(match["name"])
        if text is None:
            return match[0]
        return f"<!-- measured: {match['name']} -->\n\n{text}\n\n<!-- end -->"

    return _MARKED.sub(filled, page)


def about_the_run(stored: Sequence[Stored]) -> str:
    """Where, with what and for how long."""
    machines = dict.fromkeys(item.machine for item in stored)
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in item.libraries.items()) for item in stored
    )
    seconds: dict[str, list[float]] = {}
    for item in stored:
        seconds.setdefault(item.protocol, []).append(item.seconds)
    rows = [
        [f"`{name}`", str(len(took)), f"{sum(took) / len(took):.0f}", f"{sum(took) / 60:.0f}"]
        for name, took in seconds.items()
    ]
    total = sum(map(sum, seconds.values())) / 60
    return "\n\n".join(
        [
            f"Measured on {' and '.join(machines)}, in single-threaded processes, with "
            f"{'; '.join(versions)}. On one core that makes {total:.0f} minutes:",
            table(["protocol", "measurements", "seconds each", "minutes in all"], rows),
        ]
    )
