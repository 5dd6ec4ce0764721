"""Answer queries for runs, steps and their times from the index alone, without reading a journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from amllog.insights.query.query import Equals, Query, Summary, Total
from amllog.insights.query.sql import naive_utc
from amllog.insights.stores.local.index_entries import RecordGroup

_KEYS = ("parent_run_id", "step_id", "step_name", "root_run_id")
_FIELDS = {  # of a group, by the function and the argument of a total
    ("min", "timestamp"): "first",
    ("max", "timestamp"): "last",
    ("max", "operation_Id"): "operation_id",
}


def rows(query: Query, groups: Sequence[RecordGroup], now: datetime) -> list[tuple[Any, ...]] | None:
    """Return the same rows as DuckDB: the earliest and latest times by run and step. None if files must be read.

    `groups`: those that the query selects.
    """
    summary = query.summaries[0] if len(query.summaries) == 1 else None
    if summary is None or not _is_supported(query, summary) or not _are_inside(query, groups, now):
        return None
    by_key: dict[tuple[str, ...], list[RecordGroup]] = {}
    for group in groups:
        by_key.setdefault(tuple(getattr(group, str(key)) for key in summary.by), []).append(group)
    result = [
        {
            **dict(zip(map(str, summary.by), key)),
            **{total.name: _total(total, members) for total in summary.totals},
        }
        for key, members in by_key.items()
    ]
    result.sort(key=lambda row: tuple(row[name] for name in query.order))
    return [tuple(row.values()) for row in result[: query.limit]]


def _is_supported(query: Query, summary: Summary) -> bool:
    return (
        bool(summary.by)
        and set(summary.by) <= set(_KEYS)
        and all((total.function, total.argument) in _FIELDS for total in summary.totals)
        and not summary.states
        and all(
            isinstance(condition, Equals) and set(condition.columns) <= set(_KEYS)
            for condition in query.conditions
        )
        and not any(name.startswith("-") for name in query.order)
    )


def _are_inside(query: Query, groups: Sequence[RecordGroup], now: datetime) -> bool:
    """Return whether all records of the groups are in the query's time range.

    The index has only the first and the last time of a group, and not which records are inside.
    """
    since = now - query.since if isinstance(query.since, timedelta) else query.since
    return (
        since is None or all(datetime.fromisoformat(group.first) >= naive_utc(since) for group in groups)
    ) and (
        query.until is None
        or all(datetime.fromisoformat(group.last) < naive_utc(query.until) for group in groups)
    )


def _total(total: Total, groups: Sequence[RecordGroup]) -> datetime | str:
    values = [getattr(group, _FIELDS[total.function, total.argument]) for group in groups]
    if total.argument != "timestamp":
        return str(max(values))
    times = map(datetime.fromisoformat, values)
    return min(times) if total.function == "min" else max(times)
