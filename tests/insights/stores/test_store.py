"""The parts that all stores share: columns, notes and tables."""

from __future__ import annotations

import pytest

from amllog.errors import UsageError
from amllog.insights.query.query import Dimension, Query, Summary, Total
from amllog.insights.stores.store import Unasked, columns_of, make_table, reading_notes

QUERY = Query(("traces",), ("timestamp", "message", Dimension("fold")), limit=2)


def test_columns_follow_the_summaries() -> None:
    """Without a summary, the columns are those of the query. A total has its own name and type."""
    assert [(column.name, column.type) for column in columns_of(QUERY)] == [
        ("timestamp", "time"),
        ("message", "text"),
        ("fold", "text"),
    ]
    totals = (Total("records", "count"), Total("first", "min", "timestamp"))
    summary = Query(QUERY.tables, QUERY.columns, summaries=(Summary((Dimension("fold"),), totals),))
    assert [(column.name, column.type) for column in columns_of(summary)] == [
        ("fold", "text"),
        ("records", "int"),
        ("first", "time"),
    ]


def test_notes_name_what_is_missing() -> None:
    """Torn lines are counted, unread files and files of other users are named."""
    assert reading_notes(0, []) == ()
    unread, torn, foreign = reading_notes(2, ["a: is a link"], ["b"])
    assert unread == "not read: a: is a link"
    assert torn.startswith("2 lines could not be read")
    assert foreign.startswith("1 file of another user read, such as b")


def test_a_full_table_has_a_note() -> None:
    """A table with as many rows as the limit may be incomplete."""
    row = ("2026-11-22T10:00:00Z", "hello", "1")
    assert make_table(QUERY, [row]).notes == ()
    assert make_table(QUERY, [row, row]).notes == ("the limit of 2 rows is reached: there may be more",)


def test_unasked_runs_no_query() -> None:
    """Tables of `Unasked` have columns and KQL but no rows, and KQL of users is an error."""
    table = Unasked().answer(QUERY)
    assert (len(table), table.names) == (0, ("timestamp", "message", "fold"))
    assert "traces" in table.kql
    with pytest.raises(UsageError, match="connect"):
        Unasked().query("traces")
