"""The values of literals with a type: numbers, durations in ticks of 100 ns, times, guids, and dynamic JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, too_deep
from amllog.insights.stores.local.kql.tokens import TICKS, ticks, unescape

# The names of a type and the type that they mean.
TYPES = {
    "string": "string", "long": "long", "int": "int", "real": "real", "double": "real", "bool": "bool",
    "boolean": "bool", "datetime": "datetime", "date": "datetime", "timespan": "timespan", "time": "timespan",
    "dynamic": "dynamic", "guid": "guid", "decimal": "decimal",
}  # fmt: skip
_SPAN = re.compile(r"(-)?(?:(\d{1,8})\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d{1,2})(?:-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?)?)?\s*"
    r"(?:Z|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_STRINGS = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_NOT_JSON = re.compile(r"[A-Za-z]\w*\s*\(|\d[A-Za-z]")
_EXPONENT = re.compile(r"\d+(\.\d+)?[eE][+-]?\d+")
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TICKS_MAX = 2**63 - 1


def parse_literal(type_: str, text: str) -> Any:
    """Return the value of `long(…)`, or None for null. A datetime is text, a timespan a number of ticks.

    Raises InvalidKql, or UnsupportedKql for a value that the local engine cannot hold.
    """
    if type_ == "dynamic":
        return _dynamic(text)
    bare = text.strip()
    if (
        type_ in ("datetime", "timespan", "guid")
        and bare[:1] in ("'", '"')
        and bare[-1:] == bare[:1]
        and bare[1:]
    ):
        bare = bare[1:-1]
    if bare == "null":
        return None
    if type_ not in _PARSERS:
        raise UnsupportedKql(f"the type {type_}")
    try:
        return _PARSERS[type_](bare)
    except (ValueError, OverflowError):
        raise InvalidKql(f"{type_}({text[:60]}) is not a literal of this type", code="SYN0002") from None


def _long(text: str) -> int:
    return _whole(text, 63)


def _int(text: str) -> int:
    return _whole(text, 31)


def _whole(text: str, bits: int) -> int:
    match = re.fullmatch(r"([+-]?)(?:(\d+)|0[xX]([0-9a-fA-F]+))", text, re.ASCII)
    if not match:
        raise ValueError(text)
    value = int(match[2]) if match[2] else int(match[3], 16)
    value = -value if match[1] == "-" else value
    if not -(2**bits) <= value < 2**bits:
        raise ValueError(text)
    return value


def _real(text: str) -> float:
    names = {"nan": "nan", "+inf": "inf", "-inf": "-inf"}
    if text.lower() in names:
        return float(names[text.lower()])
    if not _REAL.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _guid(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise ValueError(text)
    return str(UUID(text))


def parse_timespan(text: str) -> int:
    """Return the ticks of `1.02:03:04.5`, `-1h`, or a whole number of days. Raises ValueError for other text."""
    match = _SPAN.fullmatch(text)
    if match:
        days, hours, minutes, seconds = (int(match[group] or 0) for group in (2, 3, 4, 5))
        if hours > 23 or minutes > 59 or seconds > 59:
            raise ValueError(text)
        total = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * TICKS["s"]
        value = total + int((match[6] or "0").ljust(7, "0"))
        value = -value if match[1] else value
    elif re.fullmatch(r"-?\d+", text, re.ASCII):
        value = int(text) * TICKS["d"]
    else:
        value = (-1 if text.startswith("-") else 1) * ticks(text.removeprefix("-"))
    if abs(value) > _TICKS_MAX:
        raise ValueError(text)
    return value


def parse_datetime(text: str) -> str:
    """Return a time as `YYYY-MM-DD HH:MM:SS.ffffff` in UTC. Raises ValueError for other text."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    numbers = [int(match[group] or default) for group, default in zip(range(1, 7), (1, 1, 1, 0, 0, 0))]
    fraction = (match[7] or "").ljust(7, "0")
    if fraction[6] != "0":
        raise UnsupportedKql(f"datetime({text}): local times have microseconds")
    value = datetime(*numbers, int(fraction[:6]))  # type: ignore[arg-type, misc]  # noqa: DTZ001  UTC by definition
    if match[8]:
        offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
        value = value - offset if match[8] == "+" else value + offset
    return value.isoformat(" ", "microseconds")


def _dynamic(text: str) -> Any:
    """Parse the JSON of a dynamic literal, in which strings may have single quotes."""
    if not text:
        raise InvalidKql("dynamic() has no value", code="SYN0002")
    if text == "null":
        return None
    parts = _STRINGS.split(text)
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = json.dumps(_json_string(part), ensure_ascii=False)
        elif _NOT_JSON.search(_EXPONENT.sub("", part)):
            raise UnsupportedKql(f"dynamic({text[:40]}): the local engine reads JSON only")
    try:
        value = json.loads("".join(parts), parse_constant=_no_constant)
    except RecursionError:
        raise too_deep() from None
    except ValueError:
        raise UnsupportedKql(f"dynamic({text[:40]}), which is not JSON") from None
    return value


def _json_string(quoted: str) -> str:
    """Return the value of a string in a dynamic literal: of JSON, or with the quotes and escapes of KQL."""
    try:
        text = str(json.loads(quoted))
        text.encode()
    except ValueError:
        return unescape(quoted[1:-1])
    return text


_PARSERS = {
    "long": _long, "int": _int, "real": _real, "bool": _bool, "guid": _guid, "timespan": parse_timespan,
    "datetime": parse_datetime,
}  # fmt: skip
