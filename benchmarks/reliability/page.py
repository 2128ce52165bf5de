"""Figures of a run, into docs/reliability.md between their markers, and the picture beside it."""

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.reliability.growth import WARM_UP, Growth, growth
from benchmarks.reliability.load import Tally
from benchmarks.reliability.overload import Overload, flat
from benchmarks.reliability.soak import RELOAD_EVERY_S, Sample, Soak

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
PICTURE = ROOT / "docs" / "images" / "reliability-soak.png"
_MEASURED: Mapping[str, tuple[str, Callable[[Sample], float]]] = {
    "memory": ("MB", lambda sample: sample.rss_mb),
    "descriptors": ("", lambda sample: sample.descriptors),
    "median latency": ("ms", lambda sample: sample.p50_s * 1e3),
    "99th percentile of latency": ("ms", lambda sample: sample.p99_s * 1e3),
}


def fill(texts: Mapping[str, str]) -> None:
    """Put each text between `<!-- name -->` and `<!-- /name -->`. Raises ValueError if they are not there."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in texts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"{PAGE} has no marker {name}")
        page = pattern.sub(lambda found, text=text: f"{found[1]}\n{text.strip()}\n\n{found[2]}", page)  # type: ignore[misc]
    PAGE.write_text(page, encoding="utf-8")


def about(command: str, load: tuple[float, float, float]) -> str:
    """Where and how it was measured. load: of the machine, before the run."""
    cores, model = os.cpu_count(), _processor()
    busy = ", ".join(f"{each:.1f}" for each in load)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "onnxruntime"))
    return (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}: {cores} cores ({model}), "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {libraries}. "
        f"The generator of the load ran on the same machine. Load averages before the run: {busy}; "
        "other work beside it makes the figures worse than the service is."
    )


def overload_table(results: Mapping[str, Overload]) -> str:
    """One column for each. Times of answers count from when the request was written, if nothing is said."""
    columns = [_overload_column(each) for each in results.values()]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return _table(("", *results), rows)


def _overload_column(result: Overload) -> dict[str, str]:
    tally = result.tally
    retry = ", ".join(f"{each} s" for each in sorted(tally.retry_after, key=int)) or "none"
    others = {status: count for status, count in tally.statuses.items() if status not in (200, 429)}
    recovered = "not within 5 s" if result.recovered is None else f"{result.recovered.seconds:.2f} s"
    calm_ms = result.calm.percentile(99) * 1e3
    return {
        "capacity, 16 callers": f"{result.capacity:.0f} requests/s, p99 {calm_ms:.0f} ms",
        "sent": f"{tally.sent} in {result.seconds:.0f} s: {result.times:.1f} × capacity",
        "not sent for want of a connection": str(tally.unsent),
        "accepted": f"{tally.accepted}, {tally.accepted / result.seconds:.0f}/s",
        "accepted: p50, p99, longest": _spread(tally.seconds),
        "the same since they were due": _spread(tally.since_due),
        "429, and its Retry-After": f"{tally.statuses[429]}; {retry}",
        "refused: p50, p99, longest": _spread(tally.refused_seconds),
        "other answers": ", ".join(f"{count} × {status}" for status, count in others.items()) or "none",
        "without an answer": _unanswered(tally),
        "memory, last quarter against the second": f"{flat(result.rss_mb):+.1%}",
        "memory, most": f"{max(result.rss_mb):.0f} MB",
        "all accepted again after": recovered,
    }


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return " / ".join(f"{each:.2f} s" for each in np.percentile(seconds, (50, 99, 100)))


def _unanswered(tally: Tally) -> str:
    """How many, and how their connections ended."""
    how = ", ".join(f"{count} × {kind}" for kind, count in tally.broken.items())
    return f"{tally.unanswered} without an answer" + (f" ({how})" if how else "")


def growths(soak: Soak) -> dict[str, Growth]:
    """Raises ValueError when the run was too short."""
    moments = [sample.at for sample in soak.samples]
    return {name: growth(moments, [of(s) for s in soak.samples]) for name, (_, of) in _MEASURED.items()}


def soak_table(soak: Soak, found: Mapping[str, Growth]) -> str:
    tally = soak.tally
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(tally.statuses.items()))
    faults = ", ".join(f"{name} ({count})" for name, count in soak.faults.items())
    rows = []
    for name, each in found.items():
        unit = f" {_MEASURED[name][0]}".rstrip()
        verdict = "grew" if each.grew else "no growth shown"
        rows.append(
            (
                name,
                f"{each.mean:.1f}{unit}",
                f"{each.per_hour:+.1f}{unit}",
                f"±{each.bound:.1f}{unit}",
                verdict,
            )
        )
    table = _table(("", "mean", "slope per hour", "99 % bound", "verdict"), rows)
    failures = "".join(f"\n- {failure}" for failure in soak.failures) or " none."
    return (
        f"**{soak.seconds / 60:.1f} minutes**, {tally.sent} requests: {answers}; {_unanswered(tally)}. "
        f"{soak.reloads} reloads, one every {RELOAD_EVERY_S:.0f} s. "
        f"Faults: {faults}.\n\n{table}\n\nThe first {WARM_UP:.0%} of the run is not looked at. "
        f"Beside that went wrong:{failures}"
    )


def draw(soak: Soak) -> None:
    figure, axes = plt.subplots(3, 1, figsize=(9, 6.5), sharex=True, layout="constrained")
    minutes = [sample.at / 60 for sample in soak.samples]
    ink, other = "#1f4e79", "#c55a11"
    axes[0].plot(minutes, [sample.rss_mb for sample in soak.samples], color=ink, linewidth=1)
    axes[0].set_ylabel("memory, MB")
    axes[1].plot(minutes, [sample.descriptors for sample in soak.samples], color=ink, linewidth=1)
    axes[1].set_ylabel("open files")
    axes[2].plot(minutes, [s.p99_s * 1e3 for s in soak.samples], color=other, linewidth=1, label="p99")
    axes[2].plot(minutes, [s.p50_s * 1e3 for s in soak.samples], color=ink, linewidth=1, label="median")
    axes[2].set(yscale="log", ylabel="latency, ms", xlabel="minutes")
    axes[2].legend(frameon=False, loc="upper right", ncols=2)
    for axis in axes[:2]:
        axis.set_ylim(0, None)
    for axis in axes:
        axis.axvspan(0, WARM_UP * minutes[-1], color="#000000", alpha=0.05, linewidth=0)
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title(
        f"{soak.seconds / 60:.1f} minutes of mixed traffic with faults (grey: not looked at)",
        loc="left",
        fontsize=10,
    )
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return found[1] if found else platform.machine()
