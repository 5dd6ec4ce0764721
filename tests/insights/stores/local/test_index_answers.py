"""Answers from the index alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import RUN, log  # isort: skip


@pytest.mark.parametrize(
    "narrow",
    [
        {}, {"since": "2026-11-22T10:00:01Z"}, {"until": "2026-11-22T10:00:02Z"}, {"until": "2026-11-22T10:00:01Z"},
        {"step_name": "b"}, {"parent_run_id": "r2"}, {"since": "2026-11-22T10:00:03Z"}, {"level": "ERROR"},
        {"where": {"k": "v"}}, {"since": "2026-11-22T10:00:01Z", "until": "2026-11-22T10:00:03Z", "step_id": "s1"},
    ],
    ids=str,
)  # fmt: skip
def test_run_names_are_equal_to_those_from_records(
    journal: Callable[..., Path], narrow: dict[str, Any]
) -> None:
    """`last` is the same run from the index as from records."""
    runs = [("r2", "a"), ("r1", "b"), ("r2", "a"), ("r1", "a"), ("", "b")]
    lines = [
        log(f"{n}", 3 if n == 2 else 1, f"2026-11-22T10:00:0{n}Z", parent_run_id=run, step_id=f"s{n % 2}",
            step_name=name, **({"k": "v"} if n == 1 else {}))
        for n, (run, name) in enumerate(runs)
    ]  # fmt: skip
    path = journal(*lines)
    stores = [Insights(store([path.parent])) for store in (DuckDBStore, PythonStore)]
    names = ("last", "last~1", "r", "s0", "all")
    duckdb, python = ([outcome(insights, name, narrow) for name in names] for insights in stores)
    assert duckdb == python


def outcome(insights: Insights, name: str, narrow: dict[str, Any]) -> str:
    """Return the id of the run, or the error message."""
    try:
        return insights.named(name, **narrow)
    except UsageError as error:
        return str(error)


def test_run_names_read_no_record(journal: Callable[..., Path]) -> None:
    """With an index, the runs are known although the lines were overwritten with spaces."""
    path = journal(log("x"), log("y", parent_run_id="other", time="2026-11-23T10:00:00Z"))
    insights = connect(path.parent)
    assert insights.named("last") == "other"
    status = path.stat()
    path.write_bytes(b" " * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert connect(path.parent).named(RUN[:3]) == RUN
    assert len(insights.logs("other")) == 0
