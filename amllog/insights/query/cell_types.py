"""Convert one value of an answer to the type of its column, whichever engine returned it.

The engines are DuckDB and the client of the query service. The results are plain Python values. A value
that cannot be converted is None, or "" for a string, as in the conversions of KQL.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

# One day inside the range of `datetime`, so that offsets and arithmetic do not overflow.
EARLIEST, END = "0001-01-02", "9999-12-31"
# The columns of a free query by the service's types.
KUSTO_COLUMNS = {
    "datetime": "time", "string": "text", "guid": "text", "int": "int", "long": "int", "real": "real",
    "double": "real", "decimal": "real", "bool": "bool", "boolean": "bool", "timespan": "timespan",
    "dynamic": "dynamic",
}  # fmt: skip
TICKS_PER_SECOND = 10_000_000  # the service's unit of a duration is 100 ns
_TIMESPAN = re.compile(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"\s*(?:([+-]?\d+)|(0[xX][0-9a-fA-F]+))\s*", re.ASCII)


def to_time(value: Any) -> datetime | None:
    """Return an aware UTC datetime. A naive datetime and a string without an offset are UTC."""
    if isinstance(value, str):
        text = value.strip().replace("Z", "+00:00")
        head, dot, rest = text.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        if dot:  # Python before 3.11 parses 3 or 6 digits, the service returns 7
            text = f"{head}.{rest[:digits][:6]:0<6}{rest[digits:]}"
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return None


def to_text(value: Any) -> str:
    """Return a string. None is "", because strings are never null in KQL."""
    return _json_text(value) if value is None or isinstance(value, (dict, list, bool)) else str(value)


def to_integer(value: Any) -> int | None:
    """Return a whole number of 64 bits. A string must be a sign and decimal digits, or 0x and hexadecimal digits."""
    try:
        if isinstance(value, str):
            match = _WHOLE_NUMBER.fullmatch(value)
            number = int(match[0], 16 if match[2] else 10) if match else None
        else:
            number = None if value is None else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def to_real(value: Any) -> float | None:
    """Return a float. The names of NaN and the infinities are accepted.

    A whole number that is too large for a float is infinite, as in DuckDB.
    """
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (ValueError, TypeError):
        return None


def to_boolean(value: Any) -> bool | None:
    """Return True or False. SQL, JSON and KQL write them differently."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return None if value is None else bool(value)


def to_timespan(value: Any) -> timedelta | None:
    """Return a duration of a number of ticks, or of the service's text. Fractions of microseconds are cut."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        match = _TIMESPAN.fullmatch(value)
        if not match:
            return None
        days, hours, minutes, seconds = (int(match[group] or 0) for group in (2, 3, 4, 5))
        ticks = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * TICKS_PER_SECOND
        value = (ticks + int((match[6] or "0").ljust(7, "0"))) * (-1 if match[1] else 1)
    if not isinstance(value, int):
        return None
    microseconds = abs(value) // 10
    return timedelta(microseconds=microseconds if value >= 0 else -microseconds)


def to_dynamic(value: Any) -> Any:
    """Return a dynamic value of a free query: a list, a dict, or a single value.

    The service writes lists and dicts as JSON. A text that looks like one of them is converted as well, because the
    service's answer does not distinguish them.
    """
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    parsed = load_json(value)
    return parsed if isinstance(parsed, (dict, list)) else value


def timespan_text(ticks: int) -> str:
    """Return a number of ticks as the service writes it: `[-][d.]hh:mm:ss[.fffffff]`."""
    seconds, fraction = divmod(abs(ticks), TICKS_PER_SECOND)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    head = f"{'-' if ticks < 0 else ''}{f'{days}.' if days else ''}"
    return f"{head}{hour:02d}:{minute:02d}:{second:02d}{f'.{fraction:07d}' if fraction else ''}"


def duration_text(value: timedelta) -> str:
    """Return a duration as the service writes it."""
    return timespan_text(value // timedelta(microseconds=1) * 10)


def to_dimensions(value: Any) -> dict[str, str]:
    """Return customDimensions as strings by key. The service and DuckDB return them as JSON."""
    dimensions = load_json(value)
    if not isinstance(dimensions, Mapping):
        return {}
    return {str(key): item if isinstance(item, str) else _json_text(item) for key, item in dimensions.items()}


def to_stack(value: Any) -> str:
    """Return a stack as a string. It is built from a list of frames if the record has no string."""
    frames = load_json(value) if str(value or "").lstrip().startswith("[") else None
    if not isinstance(frames, list):
        return to_text(value)
    return "\n".join(_frame(frame) for frame in reversed(frames) if isinstance(frame, Mapping))


def to_any(value: Any) -> Any:
    """Return a value of a free query unchanged, except that times are converted to UTC."""
    return to_time(value) if isinstance(value, datetime) else value


def float_name(value: float) -> str:
    """Return the name of NaN or an infinity in JavaScript and .NET."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "time": to_time,
    "text": to_text,
    "int": to_integer,
    "real": to_real,
    "bool": to_boolean,
    "dimensions": to_dimensions,
    "stack": to_stack,
    "timespan": to_timespan,
    "dynamic": to_dynamic,
    "any": to_any,
}


def load_json(value: Any) -> Any:
    """Parse a string as JSON, and return other values unchanged. None if the JSON is invalid or nested too deeply."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _json_text(item: Any) -> str:
    return "" if item is None else json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def _frame(frame: Mapping[str, Any]) -> str:
    place = frame.get("fileName") or frame.get("assembly") or ""
    line = f", line {frame['line']}" if frame.get("line") else ""
    return f'  File "{place}"{line}, in {frame.get("method") or "?"}'
