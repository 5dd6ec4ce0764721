"""The decision whether a file may have records of a query."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from amllog.insights.query.query import AtLeast, Contains, Equals, Holds, Query
from amllog.insights.stores.local.index_entries import IndexEntry, RecordGroup
from amllog.insights.stores.local.pruning import counts_torn, is_of_run, is_selected, may_match

GROUP = RecordGroup("r1", "s1", "train", "trace", 2, "2026-11-22T10:00:00", "2026-11-22T11:00:00", 2, 0)
ENTRY = IndexEntry(1, 1, 1, (GROUP,), (), "")
NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def query(*conditions: Any, **options: Any) -> Query:
    """Return a query for traces with these conditions."""
    return Query(("traces",), ("timestamp",), conditions=conditions, **options)


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (query(), True),
        (Query(("requests",), ("timestamp",)), False),
        (query(since=timedelta(minutes=59)), False),
        (query(since=timedelta(hours=1)), True),
        (query(until=datetime(2026, 11, 22, 10, tzinfo=timezone.utc)), False),
        (query(until=datetime(2026, 11, 22, 10, 1, tzinfo=timezone.utc)), True),
        (query(Equals(("parent_run_id", "step_id"), ("s1",))), True),
        (query(Equals(("parent_run_id",), ("r1",), negated=True)), False),
        (query(Equals(("fold",), ("1",))), True),
        (query(Contains("x")), True),
        (query(AtLeast(2)), True),
        (query(AtLeast(3)), False),
        (query(Holds("is_error")), False),
    ],
)
def test_groups_are_selected(selected: Query, expected: bool) -> None:
    """Type, time range, ids, level and errors exclude a group, and unknown conditions do not."""
    assert may_match(GROUP, selected, NOW) is expected
    assert is_selected(ENTRY, selected, NOW) is expected


def test_torn_lines_count_by_their_run() -> None:
    """The level of a torn line is unknown, so only ids and times exclude it."""
    assert counts_torn(ENTRY, query(AtLeast(4)), NOW)
    assert not counts_torn(ENTRY, query(Equals(("parent_run_id",), ("r2",))), NOW)
    assert counts_torn(ENTRY, None, NOW)


def test_compacted_files_are_selected_by_run() -> None:
    """A condition on the run excludes the files of other runs."""
    assert is_of_run("r1", None)
    assert is_of_run("r1", query(Equals(("parent_run_id",), ("r1",))))
    assert not is_of_run("r2", query(Equals(("parent_run_id",), ("r1",))))
    assert is_of_run("r2", query(Equals(("parent_run_id", "step_id"), ("r1",))))
