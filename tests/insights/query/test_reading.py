"""The completeness of an answer."""

from __future__ import annotations

from dataclasses import replace

from amllog.insights.query.reading import Reading
from amllog.insights.query.result import Column, Table


def test_an_answer_is_complete_unless_a_store_reports_more() -> None:
    """A table has a complete reading by default, keeps another one, and is equal regardless of it."""
    table = Table((Column("a"),), ())
    assert table.reading == Reading() and table.reading.has_records and not table.reading.unread
    unread = replace(table, reading=Reading(unread=("x",)))
    assert unread == table and unread.noting("note").reading.unread == ("x",)
