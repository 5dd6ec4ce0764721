"""Convert the filters of a question to a time range and conditions.

UsageError names the argument, its value and the allowed values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple, TypedDict, Union

from amllog.errors import UsageError
from amllog.insights.query import instants
from amllog.insights.query.query import AtLeast, Condition, Contains, Dimension, Equals
from amllog.record.line_format import LEVEL_NAMES
from amllog.record.text import replace_surrogates, to_text

Instant = Union[str, date, datetime]

_DIMENSIONS = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_type")


class Filters(TypedDict, total=False):
    """The keyword arguments of every question.

    * `last`: a time before now, as a timedelta or a string such as "7d", "24h", "30m" or "90s".
    * `since` (inclusive) and `until` (exclusive): a datetime, a date, an ISO 8601 string (UTC without an offset), or a
      string such as "yesterday", "10:00" or "2h ago".
    * `parent_run_id`, `step_id`, `step_name`, `experiment_name`, `run_type`: the exact value, or a list of values.
    * `level`: DEBUG to CRITICAL, or a number of `logging`. Selects logs and exceptions of this level or above.
    * `contains`: a part of the message, the stack or the name, regardless of case.
    * `where`: a mapping of other dimensions to a value or a list of values. "" selects records without the dimension.
    """

    last: str | timedelta
    since: Instant
    until: Instant
    parent_run_id: str | Sequence[str]
    step_id: str | Sequence[str]
    step_name: str | Sequence[str]
    experiment_name: str | Sequence[str]
    run_type: str | Sequence[str]
    level: str | int
    contains: str
    where: Mapping[str, object]


class AppliedFilters(NamedTuple):
    """The filters as parts of a query."""

    since: datetime | timedelta | None
    until: datetime | None
    conditions: tuple[Condition, ...]


def apply_filters(arguments: Mapping[str, Any]) -> AppliedFilters:
    """Return the time range and conditions of a run and of keyword arguments.

    None and "" count as no argument.
    """
    unknown = sorted(arguments.keys() - Filters.__annotations__.keys())
    if unknown:
        allowed = ", ".join(Filters.__annotations__)
        raise UsageError(f"{', '.join(unknown)}: no such argument; use {allowed}")
    given = {name: value for name, value in arguments.items() if value is not None and value != ""}
    if "last" in given and "since" in given:
        raise UsageError(f"last={given['last']!r} and since={given['since']!r}: use only one of them")
    since = parse_duration(given["last"]) if "last" in given else parse_instant("since", given.get("since"))
    until = parse_instant("until", given.get("until"))
    return AppliedFilters(since, until, tuple(_conditions(given)))


def parse_duration(value: str | timedelta) -> timedelta:
    """Return a string such as `7d` or `1h30m` as a timedelta."""
    duration = instants.parse_duration(value) if isinstance(value, str) else value
    if not isinstance(duration, timedelta) or not timedelta(0) < duration <= instants.MAX_DURATION:
        is_instant = isinstance(value, str) and instants.parse_instant(value, datetime.now(timezone.utc))
        hint = f"; for a point in time, use since={value!r}" if is_instant else ""
        raise UsageError(
            f"last={value!r}: a number and w, d, h, m or s, such as 7d, 1h30m or 30m (at most 100 years){hint}"
        )
    return duration


def parse_instant(name: str, value: object) -> datetime | None:
    """Return a point in time as an aware datetime. None stays None."""
    if value is None:
        return None
    instant: object = value
    if isinstance(value, str):
        instant = instants.parse_instant(value, datetime.now(timezone.utc))
    elif isinstance(value, date) and not isinstance(value, datetime):
        instant = datetime.combine(value, time())
    if not isinstance(instant, datetime):
        raise UsageError(f"{name}={value!r}: a datetime, or a string such as {instants.EXAMPLES}")
    try:
        return (
            instant.replace(tzinfo=timezone.utc)
            if instant.tzinfo is None
            else instant.astimezone(timezone.utc)
        )
    except OverflowError:
        raise UsageError(f"{name}={value!r}: a time of the years 1 to 9999 in UTC") from None


def parse_severity(level: object) -> int:
    """Return a level name or a number of `logging` as a severity from 0 to 4."""
    if isinstance(level, int) and not isinstance(level, bool):
        return min(4, max(0, level - 1) // 10)
    name = {"WARN": "WARNING", "ERR": "ERROR", "FATAL": "CRITICAL"}.get(
        str(level).upper(), str(level).upper()
    )
    if name not in LEVEL_NAMES:
        raise UsageError(f"level={level!r}: one of {', '.join(LEVEL_NAMES)}, or a number of logging")
    return LEVEL_NAMES.index(name)


def to_strings(name: str, value: object) -> tuple[str, ...]:
    """Return one value or a list of values as strings, without duplicates, as dimensions contain them."""
    values = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    strings = tuple(dict.fromkeys(replace_surrogates(to_text(item)) for item in values))
    if not strings:
        raise UsageError(f"{name}={value!r}: at least one value")
    return strings


def _conditions(given: Mapping[str, Any]) -> list[Condition]:
    conditions: list[Condition] = []
    conditions += [Equals((name,), to_strings(name, given[name])) for name in _DIMENSIONS if name in given]
    where = given.get("where", {})
    if not isinstance(where, Mapping):
        raise UsageError(f"where={where!r}: a mapping of dimensions to values")
    conditions += [
        Equals((Dimension(replace_surrogates(str(key))),), to_strings(f"where[{key!r}]", value))
        for key, value in where.items()
    ]
    if "level" in given and parse_severity(given["level"]):
        conditions.append(AtLeast(parse_severity(given["level"])))
    if "contains" in given:
        conditions.append(Contains(replace_surrogates(str(given["contains"]))))
    return conditions
