"""What answers questions: the protocol of a store, and the store that only writes them down.

In: a `Query`, or free KQL. Out: a `Table`. A store raises errors of amllog only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from amllog.errors import UsageError
from amllog.insights.query.columns import CATALOGUE
from amllog.insights.query.query import Dimension, Query, column_name
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.result import Column, Table

_FUNCTIONS = {"count": "int", "countif": "int"}  # others: the type of what they take


class Store(Protocol):
    """Where records are read from: local journals, or the service."""

    def answer(self, query: Query) -> Table:
        """The query's rows; the table knows its KQL."""
        ...

    def query(self, kql: str) -> Table:
        """The rows of a free KQL query."""
        ...


class Unasked:
    """A store that asks nobody: its tables have no rows, but know their KQL."""

    def answer(self, query: Query) -> Table:
        """The question's columns and KQL, without rows."""
        return answered(query, ())

    def query(self, kql: str) -> Table:
        """UsageError: without a store, nobody runs KQL."""
        raise UsageError("free KQL needs a store: insights.connect()")


def columns_of(query: Query) -> tuple[Column, ...]:
    """The columns that a query's rows have, in their order, by both engines."""
    found = {
        column_name(one): "text" if isinstance(one, Dimension) else CATALOGUE[one].type
        for one in query.columns
    }
    for summary in query.summaries:
        by = {column_name(one): found[column_name(one)] for one in summary.by}
        states = {state.name: "text" for state in summary.states}
        totals = {
            total.name: _FUNCTIONS.get(total.function) or found[total.argument] for total in summary.totals
        }
        found = {**by, **states, **totals}
    return tuple(Column(name, kind) for name, kind in found.items())


def left_out(torn: int, unread: Iterable[object], foreign: Sequence[object] = ()) -> tuple[str, ...]:
    """Return notes on lines and files that are not in an answer, and on files of other users that are in it."""
    lines = "1 line" if torn == 1 else f"{torn} lines"
    told = f"{lines} could not be read and left out (torn by a kill, or being written right now)"
    notes = [f"not read: {one}" for one in unread] + [told] * bool(torn)
    if foreign:
        files = "1 file of another user" if len(foreign) == 1 else f"{len(foreign)} files of other users"
        notes.append(
            f"{files} read, such as {foreign[0]}: a record of your own with the same id counts, not theirs"
        )
    return tuple(notes)


def answered(
    query: Query,
    rows: Iterable[Sequence[Any]],
    *,
    notes: tuple[str, ...] = (),
    sql_time: datetime | None = None,
) -> Table:
    """Rows of either engine (sequences in the order of `columns_of`) as the query's table. `sql_time` is the time of
    an answer of DuckDB. The table generates its KQL and SQL when they are read."""
    found = Table.of(columns_of(query), rows, notes=notes, texts=QueryTexts(query, sql_time=sql_time))
    if query.limit is not None and len(found) >= query.limit:
        return found.noting(f"the limit of {query.limit} rows is reached: there may be more")
    return found
