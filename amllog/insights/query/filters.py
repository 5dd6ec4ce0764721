"""What narrows a question down: plain arguments → a time range and conditions.

In: the arguments that every question takes. Out: the parts of a `Query`. UsageError names the argument, its value and
what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple, TypedDict, Union

from amllog.errors import UsageError
from amllog.insights.query.query import AtLeast, Condition, Contains, Dimension, Equals
from amllog.record.line_format import LEVEL_NAMES
from amllog.record.text import replace_surrogates, to_text

Instant = Union[str, date, datetime]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(w|d|h|m|min|s)", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "min": "minutes", "s": "seconds"}
_MAX_DURATION = timedelta(days=36_500)
_DIMENSIONS = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_type")
_FRACTION = re.compile(r"\.(\d+)")


class Filters(TypedDict, total=False):
    """The arguments of every question.

    `last`: "7d", "24h", "30m", "90s" or a timedelta. `since` (included) and `until` (not included): a datetime, a date
    or ISO 8601 text; without an offset it is UTC. `parent_run_id`, `step_id`, `step_name`, `experiment_name`,
    `run_type`: the dimension's exact value, or a list of which one is enough. `level`: DEBUG … CRITICAL or logging's
    number: logs and exceptions of this level or above. `contains`: text in message, stack or name, in capitals or not.
    `where`: other dimensions, key → value or list of values; "" finds records without it.
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
    """The same as parts of a query."""

    since: datetime | timedelta | None
    until: datetime | None
    conditions: tuple[Condition, ...]


def apply_filters(run: str, asked: Mapping[str, Any]) -> AppliedFilters:
    """`run` is the id of a pipeline run or of a step; "" is every run."""
    unknown = sorted(asked.keys() - Filters.__annotations__.keys())
    if unknown:
        allowed = ", ".join(Filters.__annotations__)
        raise UsageError(f"{', '.join(unknown)}: no such argument; a question takes {allowed}")
    given = {name: value for name, value in asked.items() if value is not None and value != ""}
    if "last" in given and "since" in given:
        raise UsageError(f"last={given['last']!r} and since={given['since']!r}: give one of them")
    since = parse_duration(given["last"]) if "last" in given else parse_instant("since", given.get("since"))
    until = parse_instant("until", given.get("until"))
    return AppliedFilters(since, until, tuple(_conditions(run, given)))


def parse_duration(value: str | timedelta) -> timedelta:
    """`7d` as a timedelta."""
    found = value if isinstance(value, timedelta) else None
    match = _DURATION.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match and float(match[1]) < 1e9:
        found = timedelta(**{_UNITS[match[2]]: float(match[1])})
    if found is None or not timedelta(0) < found <= _MAX_DURATION:
        raise UsageError(
            f"last={value!r}: a number and w, d, h, m or s, such as 7d or 30m (at most 100 years)"
        )
    return found


def parse_instant(name: str, value: object) -> datetime | None:
    """A point in time as an aware datetime; None is none."""
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        text = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", value.strip().replace("Z", "+00:00"))
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{name}={value!r}: a datetime, or text such as 2026-11-22T10:00:00Z") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        found = datetime.combine(value, time())
    if not isinstance(found, datetime):
        raise UsageError(f"{name}={value!r}: a datetime, or text such as 2026-11-22T10:00:00Z")
    try:
        return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
    except OverflowError:
        raise UsageError(f"{name}={value!r}: a time of the years 1 to 9999 in UTC") from None


def parse_severity(level: object) -> int:
    """A level's name or logging's number as severity 0–4."""
    if isinstance(level, int) and not isinstance(level, bool):
        return min(4, max(0, level - 1) // 10)
    name = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(str(level).upper(), str(level).upper())
    if name not in LEVEL_NAMES:
        raise UsageError(f"level={level!r}: one of {', '.join(LEVEL_NAMES)}, or logging's number")
    return LEVEL_NAMES.index(name)


def to_strings(name: str, value: object) -> tuple[str, ...]:
    """One value or a list of values as the texts that dimensions are."""
    several = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    found = tuple(dict.fromkeys(replace_surrogates(to_text(one)) for one in several))
    if not found:
        raise UsageError(f"{name}={value!r}: at least one value")
    return found


def _conditions(run: str, given: Mapping[str, Any]) -> list[Condition]:
    found: list[Condition] = []
    if run:
        found.append(Equals(("parent_run_id", "step_id"), to_strings("run", run)))
    found += [Equals((name,), to_strings(name, given[name])) for name in _DIMENSIONS if name in given]
    where = given.get("where", {})
    if not isinstance(where, Mapping):
        raise UsageError(f"where={where!r}: a mapping of dimensions to values")
    found += [
        Equals((Dimension(replace_surrogates(str(key))),), to_strings(f"where[{key!r}]", value))
        for key, value in where.items()
    ]
    if "level" in given and parse_severity(given["level"]):
        found.append(AtLeast(parse_severity(given["level"])))
    if "contains" in given:
        found.append(Contains(replace_surrogates(str(given["contains"]))))
    return found
