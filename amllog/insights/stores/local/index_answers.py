"""Questions that the index alone can answer, without reading a line: which steps of which runs there are, of when.

In: a query, the parts that it is about. Out: its rows, or None where the files must be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from amllog.insights.query.query import Equals, Query, Summary
from amllog.insights.query.sql import naive_utc
from amllog.insights.stores.local.index_entries import RecordGroup

_KEYS = ("parent_run_id", "step_id", "step_name")
_TIMES = {"min": "first", "max": "last"}


def rows(query: Query, record_groups: Sequence[RecordGroup], now: datetime) -> list[tuple[Any, ...]] | None:
    """The rows as DuckDB would give them: the earliest and latest times by run and step, of whole parts."""
    summary = query.summaries[0] if len(query.summaries) == 1 else None
    if summary is None or not _is_outline(query, summary) or not _are_whole(query, record_groups, now):
        return None
    groups: dict[tuple[str, ...], list[RecordGroup]] = {}
    for part in record_groups:
        groups.setdefault(tuple(getattr(part, str(key)) for key in summary.by), []).append(part)
    made = [
        {
            **dict(zip(map(str, summary.by), key)),
            **{total.name: _time(total.function, own) for total in summary.totals},
        }
        for key, own in groups.items()
    ]
    made.sort(key=lambda row: tuple(row[name] for name in query.order))
    return [tuple(row.values()) for row in made[: query.limit]]


def _is_outline(query: Query, summary: Summary) -> bool:
    return (
        bool(summary.by)
        and set(summary.by) <= set(_KEYS)
        and all(one.function in _TIMES and one.argument == "timestamp" for one in summary.totals)
        and not summary.states
        and all(isinstance(one, Equals) and set(one.columns) <= set(_KEYS) for one in query.conditions)
        and not any(name.startswith("-") for name in query.order)
    )


def _are_whole(query: Query, groups: Sequence[RecordGroup], now: datetime) -> bool:
    """Whether every record of the parts lies in the query's time: of a part that began before, nobody knows."""
    since = now - query.since if isinstance(query.since, timedelta) else query.since
    return (
        since is None or all(datetime.fromisoformat(one.first) >= naive_utc(since) for one in groups)
    ) and (
        query.until is None
        or all(datetime.fromisoformat(one.last) < naive_utc(query.until) for one in groups)
    )


def _time(function: str, groups: Sequence[RecordGroup]) -> datetime:
    side = _TIMES[function]
    return (min if function == "min" else max)(datetime.fromisoformat(getattr(part, side)) for part in groups)
