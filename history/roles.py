"""What each column of a table is: time, label, sensor, or something that must not become a sensor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from history.errors import BadTimestamps, NoSuchColumn
from history.numerals import is_empty, is_number, to_number
from history.stamps import looks_like_clock, looks_like_date, looks_like_stamp

# Names are compared in lower case, with spaces, points and hyphens as underscores.
TIME_NAMES = (
    "datetime", "date_time", "timestamp", "time_stamp", "time", "ts", "_time", "utc", "utc_time",
    "local_time", "date_and_time", "zeit", "zeitstempel", "datum_zeit", "datum_uhrzeit", "date", "datum",
    "epoch", "unix_time", "t_stamp", "tstamp",
)  # fmt: skip
# In order of preference. Numbers in these are yes or no.
YES_NO_NAMES = (
    "anomaly", "is_anomaly", "anomalous", "is_anomalous", "label", "labels", "is_fault", "is_faulty",
    "faulty", "outlier", "is_outlier", "attack", "is_attack", "normal/attack", "ground_truth", "abnormal",
)  # fmt: skip
# Numbers in these are numbers of classes.
CLASS_NAMES = (
    "fault", "fault_type", "fault_class", "fault_id", "fault_code", "faultnumber", "fault_number", "class",
    "class_label", "anomaly_type", "anomaly_class", "failure", "failure_type", "failure_mode",
)  # fmt: skip
LABEL_NAMES = YES_NO_NAMES + CLASS_NAMES
COMPANION_NAMES = frozenset(
    {"changepoint", "change_point", "is_changepoint", "change_points", "changepoints"}
)
COUNTER_NAMES = frozenset(
    {"step", "index", "row", "row_number", "rownumber", "row_id", "sample", "sample_number", "samplenumber",
     "record", "no", "nr", "#", "n", "id", "counter", "unnamed:_0", "lfd_nr"}
)  # fmt: skip
# A column of words under such a name says that each row is one reading of one of many sensors.
TAG_NAMES = frozenset(
    {"tag", "tagname", "tag_name", "tag_id", "sensor", "sensor_name", "sensor_id", "variable", "point",
     "point_name", "signal", "parameter", "channel", "item", "metric", "measurement"}
)  # fmt: skip
# Any other column that counts rows is known for one by this many rows.
LEAST_COUNTED = 10
# Word by which an option says that there is no such column.
NO_COLUMN = ""


@dataclass(frozen=True, slots=True)
class Roles:
    """Indices of columns. time: none, one, or a date and a time of day. labels: none, one, or one for
    each class. left_out: with the reason."""

    time: tuple[int, ...]
    labels: tuple[int, ...]
    sensors: tuple[int, ...]
    left_out: dict[int, str]


def plain(name: str) -> str:
    """A name as it is compared with the names known here."""
    return name.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "_").rstrip("_")


def is_class_column(name: str) -> bool:
    """Whether numbers in a label column are class numbers, rather than no and yes."""
    return plain(name) in CLASS_NAMES


def find_roles(
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    place: str,
    *,
    time_column: str | None = None,
    label_column: str | None = None,
    label_columns: Sequence[str] = (),
    sensors: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    time_format: str | None = None,
) -> Roles:
    """Decide by names and by the first rows. Options win; an empty time or label column means: none.

    Raises NoSuchColumn when an option names a column that is not there, BadTimestamps when a column is named
    like time and cannot be read as such.
    """
    index = {name: position for position, name in enumerate(names)}
    asked = set(sensors or ())
    left_out = {_find(index, name, "--ignore", place): "ignored as asked" for name in ignore if name in index}
    free = [position for position, name in enumerate(names) if position not in left_out and name not in asked]
    if label_columns:
        labels = tuple(_find(index, name, "--label-columns", place) for name in label_columns)
    else:
        labels = _label(names, free, index, label_column, place)
    time = _time(names, [p for p in free if p not in labels], sample, index, time_column, time_format, place)
    for position in free:
        name = plain(names[position])
        if position in labels or position in time:
            continue
        if name in COMPANION_NAMES or name in LABEL_NAMES:
            left_out[position] = "looks like a label"
        elif sensors is not None:
            left_out[position] = "not among the sensors asked for"
    taken = {*time, *left_out, *labels}
    kept = tuple(position for position in range(len(names)) if position not in taken)
    return Roles(time, labels, kept, left_out)


def _find(index: dict[str, int], name: str, option: str, place: str) -> int:
    if name not in index:
        near = {key.lower(): position for key, position in index.items()}
        if name.lower() in near:
            return near[name.lower()]
        raise NoSuchColumn(
            f"has no column {name!r}, named by {option}; it has {', '.join(index)}", place=place
        )
    return index[name]


def _label(
    names: Sequence[str], free: Sequence[int], index: dict[str, int], option: str | None, place: str
) -> tuple[int, ...]:
    if option is not None:
        return () if option == NO_COLUMN else (_find(index, option, "--label-column", place),)
    by_name = {plain(names[position]): position for position in reversed(free)}
    return tuple(by_name[name] for name in LABEL_NAMES if name in by_name)[:1]


def _time(
    names: Sequence[str],
    free: Sequence[int],
    sample: Sequence[Sequence[str]],
    index: dict[str, int],
    option: str | None,
    time_format: str | None,
    place: str,
) -> tuple[int, ...]:
    if option == NO_COLUMN:
        return ()
    if option is not None:
        found = _find(index, option, "--time-column", place)
        return _with_clock(found, free, sample)
    by_name = {plain(names[position]): position for position in reversed(free)}
    named = [by_name[name] for name in TIME_NAMES if name in by_name]
    for position in named:
        if _mostly(sample, position, looks_like_stamp):
            return _with_clock(position, free, sample)
    for position in free:
        if _mostly(sample, position, looks_like_stamp):
            return _with_clock(position, free, sample)
    for position in named:
        if _mostly(sample, position, is_number) and _rises(sample, position):
            return (position,)
    for position in named:
        if _mostly(sample, position, _is_text):
            if time_format is not None:
                return (position,)
            example = next(row[position] for row in sample if _is_text(row[position]))
            raise BadTimestamps(
                f"column {names[position]!r} is named like time, but {example[:40]!r} is no known stamp; "
                "say how to read it with --time-format, or take another with --time-column, or 'none'",
                place=place,
            )
    return ()


def _is_text(cell: str) -> bool:
    return not is_number(cell) and not is_empty(cell)


def _with_clock(position: int, free: Sequence[int], sample: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """A date, and the time of day if that is a column of its own."""
    if _mostly(sample, position, looks_like_date):
        for other in free:
            if other != position and _mostly(sample, other, looks_like_clock):
                return (position, other)
    return (position,)


def _mostly(sample: Sequence[Sequence[str]], position: int, test: Callable[[str], bool]) -> bool:
    cells = [row[position] for row in sample if row[position].strip()]
    return bool(cells) and sum(map(test, cells)) > 0.8 * len(cells)


def _rises(sample: Sequence[Sequence[str]], position: int) -> bool:
    """Whether numbers mostly grow: a column named `time` might be a duration."""
    numbers = [to_number(row[position], ".") or to_number(row[position], ",") or 0.0 for row in sample]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    return not steps or sum(step >= 0 for step in steps) >= 0.8 * len(steps)
