"""Check the values of name filters against the records, because a mistyped name has no rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.filters import to_strings
from amllog.insights.query.query import Dimension, Equals, Query, Summary, Total, column_name
from amllog.insights.query.result import Table
from amllog.insights.stores.store import Store

NAMES = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_type")
MAX_LISTED = 10  # values in a sentence


def check(store: Store, table: Table, filters: Mapping[str, Any]) -> Table:
    """Return the table with a note for each name that no record has, whatever its run and its time.

    The notes are also in `reading.unknown`. Values of other dimensions are not names, but their keys are. "" selects
    records without a dimension, and is no name.
    """
    sentences = (*_unknown_names(store, filters), *_unknown_keys(store, filters))
    if not sentences or not table.reading.has_records:
        return table
    return replace(table.noting(*sentences), reading=replace(table.reading, unknown=sentences))


def _unknown_names(store: Store, filters: Mapping[str, Any]) -> Iterator[str]:
    for name in NAMES:
        wanted = [value for value in to_strings(name, filters.get(name) or "") if value]
        missing = {*wanted} - {*_values(store, name, wanted)} if wanted else ()
        for value in (value for value in wanted if value in missing):
            near = difflib.get_close_matches(value, filter(None, _values(store, name)), MAX_LISTED, 0.0)
            listed = f"there are: {', '.join(near)}" if near else "no record has any"
            yield f"{name}={value!r}: no record has this value; {listed}"


def _unknown_keys(store: Store, filters: Mapping[str, Any]) -> Iterator[str]:
    where = filters.get("where")
    for key, value in where.items() if isinstance(where, Mapping) else ():
        if value != "" and not any(_values(store, Dimension(str(key)))):
            yield f"where {key}: no record has this dimension"


def _values(store: Store, column: str | Dimension, wanted: list[str] | None = None) -> list[str]:
    """Return the values of a column, of all records or of those with a wanted one."""
    name, conditions = column_name(column), (Equals((column,), tuple(wanted)),) if wanted else ()
    summary = Summary((column,), (Total("began", "min", "timestamp"),))
    order = ("began", name) if isinstance(column, str) else ("began",)
    query = Query(ALL_TABLES, ("timestamp", column), None, None, conditions, (summary,), order)
    return [str(row[name]) for row in store.answer(query)]
