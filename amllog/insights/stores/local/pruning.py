"""Decide from the index whether a file may have records of a query, so that other files are not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.query import AtLeast, Equals, Holds, Query
from amllog.insights.query.sql import naive_utc
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.local.index_entries import IndexEntry, RecordGroup

# A condition on these is true for all lines of a process or for none.
_ID_COLUMNS = {"parent_run_id", "step_id", "step_name", "root_run_id"}


def is_selected(entry: IndexEntry, query: Query | None, now: datetime) -> bool:
    """Return whether the file of the entry may have records of the query. None selects all records."""
    return query is None or any(may_match(group, query, now) for group in entry.groups)


def counts_torn(entry: IndexEntry, query: Query | None, now: datetime) -> bool:
    """Return whether the torn lines of a file with records count for the query.

    The type and the level of a torn line are unknown. So it counts if other records of its run may match.
    """
    if query is not None:
        conditions = (
            condition
            for condition in query.conditions
            if isinstance(condition, Equals) and {*condition.columns} <= _ID_COLUMNS
        )
        query = replace(query, tables=ALL_TABLES, conditions=tuple(conditions))
    return is_selected(entry, query, now)


def is_of_run(run: str, query: Query | None) -> bool:
    """Return whether a compacted file of this run may have records of the query."""
    equals = [condition for condition in (query.conditions if query else ()) if isinstance(condition, Equals)]
    return all(
        condition.columns != ("parent_run_id",) or (run in condition.values) != condition.negated
        for condition in equals
    )


def may_match(group: RecordGroup, query: Query, now: datetime) -> bool:
    """Return whether records of this group may match the query. Never False if one does."""
    if group.item_type not in {TABLES[table].item_type for table in query.tables}:
        return False
    since = now - query.since if isinstance(query.since, timedelta) else query.since
    if since is not None and datetime.fromisoformat(group.last) < naive_utc(since):
        return False
    if query.until is not None and datetime.fromisoformat(group.first) >= naive_utc(query.until):
        return False
    return all(_may_satisfy(group, condition) for condition in query.conditions)


def _may_satisfy(group: RecordGroup, condition: object) -> bool:
    if isinstance(condition, Equals) and {*condition.columns} <= _ID_COLUMNS:
        return any(
            (getattr(group, str(column)) in condition.values) != condition.negated
            for column in condition.columns
        )
    if isinstance(condition, Holds) and condition.column == "is_error":
        return group.errors > 0
    if isinstance(condition, AtLeast):
        is_exception = group.item_type == "exception"
        return group.severity >= condition.severity or group.severity < 0 or is_exception
    return True
