"""One value of an answer, brought to its column's type, whichever engine gave it.

In: values of DuckDB, of duckdb-kql, of the query service's client. Out: plain Python values. What cannot be brought to
the type is None (a text: ""), as KQL's own conversions do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

EARLIEST, END = (
    "0001-01-02",
    "9999-12-31",
)  # a day from what Python can tell, for offsets and for reckoning with it
_WHOLE_NUMBER = re.compile(r"\s*(?:([+-]?\d+)|(0[xX][0-9a-fA-F]+))\s*", re.ASCII)


def to_time(value: Any) -> datetime | None:
    """An aware UTC datetime; a naive one and a text without an offset are UTC."""
    if isinstance(value, str):
        text = value.strip().replace("Z", "+00:00")
        head, dot, rest = text.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        if dot:  # Python before 3.11 reads 3 or 6 digits, the service gives 7
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
    """A text; None is "", as in KQL, where texts are never null."""
    return _json_text(value) if value is None or isinstance(value, (dict, list, bool)) else str(value)


def to_integer(value: Any) -> int | None:
    """A whole number of 64 bits; a text is one only if it is nothing but digits and a sign, or 0x and such digits."""
    try:
        if isinstance(value, str):
            match = _WHOLE_NUMBER.fullmatch(value)
            found = int(match[0], 16 if match[2] else 10) if match else None
        else:
            found = None if value is None else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found is not None and -(2**63) <= found < 2**63 else None


def to_real(value: Any) -> float | None:
    """A number, or None. The names of NaN and of the infinities are accepted.

    A whole number that is too large for a float is infinite, as in DuckDB.
    """
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (ValueError, TypeError):
        return None


def to_boolean(value: Any) -> bool | None:
    """True or false; SQL, JSON and KQL write them differently."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return None if value is None else bool(value)


def to_dimensions(value: Any) -> dict[str, str]:
    """customDimensions as text by key; the service and DuckDB give them as JSON text."""
    found = load_json(value)
    if not isinstance(found, Mapping):
        return {}
    return {str(key): item if isinstance(item, str) else _json_text(item) for key, item in found.items()}


def to_stack(value: Any) -> str:
    """A stack as text; from a list of frames where the record has no text of its own."""
    frames = load_json(value) if str(value or "").lstrip().startswith("[") else None
    if not isinstance(frames, list):
        return to_text(value)
    return "\n".join(_frame(frame) for frame in reversed(frames) if isinstance(frame, Mapping))


def to_any(value: Any) -> Any:
    """A value of a free query: only times are brought to UTC."""
    return to_time(value) if isinstance(value, datetime) else value


def float_name(value: float) -> str:
    """NaN or an infinity as JavaScript and .NET name it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "time": to_time,
    "text": to_text,
    "int": to_integer,
    "real": to_real,
    "bool": to_boolean,
    "dimensions": to_dimensions,
    "stack": to_stack,
    "any": to_any,
}


def load_json(value: Any) -> Any:
    """A value that may be the text of JSON. None if that text is invalid or nested too deeply."""
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
