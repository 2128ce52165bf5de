"""Where exactly a decoded body is wrong. Only walked once a fast decoder has refused it."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from service.errors import NotJson, RepeatedSensor, WrongContent

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_PLAIN_KEY = re.compile(r"[^\W\d][\w ./%°-]*")
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")
# Longer names than this are cut in messages: an answer must not grow with the nonsense it was sent.
_SHOWN = 80


def key(name: str) -> str:
    """A step into an object, as part of a place: `.Pressure`, or `["odd \\"name\\""]`."""
    name = shown(name)
    return f".{name}" if _PLAIN_KEY.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"


def shown(name: str) -> str:
    """A caller's own word, short enough for a message."""
    return name if len(name) <= _SHOWN else name[:_SHOWN] + "…"


def join(at: str, path: str) -> str:
    """A place inside a place; either may be empty."""
    return f"{at}.{path}" if at and path and not path.startswith("[") else at + path


def not_json(error: Exception, at: str = "") -> NotJson:
    """From the decoder's message, which names a byte at best."""
    if isinstance(error, RecursionError):
        return NotJson("the body is nested too deeply", place=at or None)
    if isinstance(error, UnicodeDecodeError):
        return NotJson("the body is not UTF-8", place=at or None, expected="UTF-8")
    return NotJson(f"the body is not JSON: {error}", place=at or None, expected="JSON text")


def decoded(decoder: msgspec.json.Decoder[_Struct], content: bytes | msgspec.Raw, at: str = "") -> _Struct:
    """What the decoder makes of JSON text. at: where the text stands in the body.

    Raises WrongContent and NotJson, each with its place.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise wrong_field(error, at) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error, at) from None


def wrong_field(error: msgspec.ValidationError, at: str = "") -> WrongContent:
    """A field of an object that is unknown, missing, or of another type than its struct says."""
    match = _PATH.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    if unknown := _UNKNOWN_FIELD.fullmatch(what):
        return WrongContent(f"unknown field {shown(unknown[1])!r}", place=join(at, shown(unknown[1])))
    if missing := _MISSING_FIELD.fullmatch(what):
        return WrongContent(f"the field {missing[1]!r} is missing", place=join(at, missing[1]))
    expected, _, got = what.partition(", got ")
    expected = shown(expected.removeprefix("Expected ").replace("`", ""))
    place = join(at, path) or None
    if got:
        return WrongContent(
            f"{place or 'the body'} is of type {got.strip('`')}", place=place, expected=expected
        )
    return WrongContent(f"{place or 'the body'} is not acceptable", place=place, expected=expected)


def wrong_reading(raw: bytes, shape: Sequence[type], at: str) -> WrongContent:
    """The first value of nested readings that is no reading.

    shape: what each level must be, outermost first: (dict, list) for readings by sensor, (list, list)
    for rows.
    """
    try:
        found = _walk(_loads(raw), shape, at)
    except (RecursionError, ValueError):
        found = None
    return found or WrongContent(f"{at} cannot be read", place=at, expected="numbers or null")


def repeated_sensor(raw: bytes, at: str) -> RepeatedSensor | None:
    """The first key that an object of readings has twice, if any."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                repeated.append(name)
            seen.add(name)

    json.loads(raw, object_pairs_hook=look)
    if not repeated:
        return None
    return RepeatedSensor(
        f"sensor {shown(repeated[0])!r} is given twice",
        place=at + key(repeated[0]),
        expected="each sensor once",
    )


def _loads(raw: bytes) -> Any:
    # Python would refuse an integer of thousands of digits, and it is a number out of range like any other.
    return json.loads(raw, parse_int=float)


def _walk(value: Any, shape: Sequence[type], at: str) -> WrongContent | None:
    if not shape:
        return _wrong_number(value, at)
    steps: Iterator[tuple[str, Any]]
    if isinstance(value, dict) and shape[0] is dict:
        steps = ((f"{at}{key(name)}", inner) for name, inner in value.items())
    elif isinstance(value, list) and shape[0] is list:
        steps = ((f"{at}[{index}]", inner) for index, inner in enumerate(value))
    else:
        expected = "an object of readings by sensor" if shape[0] is dict else "a list"
        return WrongContent(f"{at} is {_kind(value)}", place=at, expected=expected)
    return next((found for place, inner in steps if (found := _walk(inner, shape[1:], place))), None)


def _wrong_number(value: Any, at: str) -> WrongContent | None:
    if value is None or (isinstance(value, float) and math.isfinite(value)):
        return None
    if isinstance(value, float):
        return WrongContent(
            f"{at} is out of range", place=at, expected="a 64-bit floating-point number or null"
        )
    return WrongContent(f"{at} is {_kind(value)}", place=at, expected="a number or null")


def _kind(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
