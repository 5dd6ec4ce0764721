"""The protocol of a store, and what all stores share: the columns of an answer, its notes and its table.

A store raises only errors of amllog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from amllog.errors import UsageError
from amllog.insights.query.columns import CATALOGUE
from amllog.insights.query.query import Alias, Dimension, Query, column_name
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.reading import Reading
from amllog.insights.query.result import Column, Table

COMPLETE = Reading()
MAX_FILES = 3  # with damaged lines, in a note
_RESULT_TYPES = {"count": "int", "countif": "int"}  # other functions have the type of their argument


class Store(Protocol):
    """A place that records are read from: local journals, or the service.

    `knows_runs`: the ids of all runs are known without reading records.
    """

    @property
    def knows_runs(self) -> bool: ...

    def answer(self, query: Query) -> Table:
        """Return the rows of a query, in a table that knows its KQL."""
        ...

    def query(self, kql: str) -> Table:
        """Return the rows of a KQL query."""
        ...


class Unasked:
    """A store that runs no queries. Its tables have no rows, but know their KQL."""

    knows_runs = False

    def answer(self, query: Query) -> Table:
        """Return a table with the columns and the KQL of the query, without rows."""
        return make_table(query, ())

    def query(self, kql: str) -> Table:
        """Raise UsageError, because this store cannot run KQL."""
        raise UsageError("free KQL needs a store: insights.connect()")


def columns_of(query: Query) -> tuple[Column, ...]:
    """Return the columns of a query's rows in their order, which is the same in all stores."""
    types = {
        column_name(column): "text"
        if isinstance(column, Dimension)
        else CATALOGUE[column.column if isinstance(column, Alias) else column].type
        for column in query.columns
    }
    for summary in query.summaries:
        by = {column_name(column): types[column_name(column)] for column in summary.by}
        states = {state.name: "text" for state in summary.states}
        totals = {
            total.name: _RESULT_TYPES.get(total.function) or types[total.argument] for total in summary.totals
        }
        types = {**by, **states, **totals}
    return tuple(Column(name, type_) for name, type_ in types.items())


def reading_notes(
    torn: int,
    unread: Iterable[object],
    foreign: Sequence[object] = (),
    damaged: Mapping[Path, int] | None = None,
) -> tuple[str, ...]:
    """Return notes on lines and files that are not in an answer, and on files of other users that are in it.

    `torn`: the number of unfinished last lines. `unread`: sentences about files that were not read. `damaged`: the
    number of other lines that could not be read, by file.
    """
    notes = [f"not read: {item}" for item in unread]
    notes += damage_notes(damaged or {}, torn)
    if foreign:
        files = "1 file of another user" if len(foreign) == 1 else f"{len(foreign)} files of other users"
        notes.append(
            f"{files} read, such as {foreign[0]}: a record of your own with the same id counts, not theirs"
        )
    return tuple(notes)


def damage_notes(damaged: Mapping[Path, int], torn: int = 0) -> tuple[str, ...]:
    """Return a note on damaged lines with the files that have them, and on unfinished ones."""
    total = sum(damaged.values())
    files = ", ".join(map(str, [*damaged][:MAX_FILES])) + (" and others" if len(damaged) > MAX_FILES else "")
    reasons = ["torn by a kill, or being written right now"] * bool(torn) + [f"damaged: {files}"] * bool(
        total
    )
    if torn and total:
        reasons = [f"{count} {reason}" for count, reason in zip((torn, total), reasons)]
    lines = "1 line" if torn + total == 1 else f"{torn + total} lines"
    return (f"{lines} could not be read and left out ({', and '.join(reasons)})",) if reasons else ()


def make_table(
    query: Query,
    rows: Iterable[Sequence[Any]],
    *,
    notes: tuple[str, ...] = (),
    sql_time: datetime | None = None,
    reading: Reading = COMPLETE,
) -> Table:
    """Return rows, in the order of `columns_of`, as the table of a query.

    `sql_time`: the time of an answer of DuckDB. The table generates its KQL and SQL when they are read.
    """
    texts = QueryTexts(query, sql_time=sql_time)
    table = Table.of(columns_of(query), rows, notes=notes, texts=texts, reading=reading)
    if query.limit is not None and len(table) >= query.limit:
        return table.noting(f"the limit of {query.limit} rows is reached: there may be more")
    return table
