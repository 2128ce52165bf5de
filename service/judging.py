"""From windows that were understood to their verdicts: what every way into the service shares."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from detector import Baseline, Options, Verdict, Window
from service.http import wire
from service.http.request_log import Facts
from service.http.window_reader import ReadWindow
from service.models import LoadedModel
from service.resources import Resources
from service.state import StoredBaseline


class Task(Struct, frozen=True):
    """A request that was understood. entries: in its order, a window or what is wrong with it."""

    model: LoadedModel
    options: Options
    entries: list[ReadWindow | wire.FailedResult]

    @property
    def windows(self) -> list[ReadWindow]:
        return [entry for entry in self.entries if isinstance(entry, ReadWindow)]


async def judge(task: Task, resources: Resources, deadline: float, facts: Facts) -> list[Verdict]:
    """Verdicts of the windows that could be read, in their order; counted and noted for the log.

    deadline: time.monotonic seconds.
    Raises UnsupportedBudget, StateUnavailable, QueueFull, DeadlinePassed, or what the model raises.
    """
    fields = facts.fields
    fields["model"], fields["version"] = task.model.ref.name, task.model.ref.version
    fields["windows"], fields["verdicts"] = len(task.entries), {}
    read = task.windows
    if len(read) < len(task.entries):
        for entry in task.entries:
            if isinstance(entry, wire.FailedResult):
                resources.metrics.rejected_windows[entry.error.code][0] += 1
    if not read:
        return []
    windows = await _with_baselines(task, read, resources)
    judged = await task.model.batcher.judge(windows, task.options, deadline)
    resources.took(facts, "queue", judged.queue_s, judged.infer_s + judged.verdict_s)
    resources.took(facts, "infer", judged.infer_s, judged.verdict_s)
    resources.took(facts, "verdict", judged.verdict_s)
    assets = [window.asset for window in read]
    fields["verdicts"] = task.model.metrics.judged(windows, assets, judged.verdicts, judged.evidence)
    resources.shadow.offer(task.model, windows, assets, judged.verdicts, task.options)
    return judged.verdicts


async def _with_baselines(task: Task, read: Sequence[ReadWindow], resources: Resources) -> list[Window]:
    """The windows as the detector takes them, each with its asset's baseline if there is one.

    Raises UnsupportedBudget, StateUnavailable.
    """
    if all(window.asset is None for window in read):
        windows = [Window(window.values, None, window.notes) for window in read]
    else:
        known = await resources.assets.baselines(task.model)
        windows = [Window(window.values, _baseline_in(known, window.asset), window.notes) for window in read]
    # An alarm budget may be within what one calibration promises and beyond what the other does.
    if task.options.false_alarm_rate is not None:
        for by_asset in {window.baseline is not None for window in windows}:
            task.model.detector.score_limit(task.options.false_alarm_rate, by_asset=by_asset)
    return windows


def _baseline_in(known: Mapping[str, StoredBaseline], asset: str | None) -> Baseline | None:
    stored = known.get(asset) if asset else None
    return None if stored is None else stored.baseline
