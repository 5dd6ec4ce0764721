"""Envelopes as rows, without DuckDB."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from amllog.insights.stores.local.python_rows import to_record

from ...conftest import envelope, failure, log, step  # isort: skip


def test_a_log_line_is_a_row() -> None:
    """Time, level, message and dimensions are columns."""
    record = to_record(log("hello", 2, fold="3"))
    assert record is not None
    assert (record.table, record.severity) == ("traces", 2)
    assert record.time == datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
    assert (record.values["message"], record.values["level"]) == ("hello", "WARNING")
    assert (record.dimensions["fold"], record.searched) == ("3", ("hello",))


def test_exceptions_and_steps_are_rows() -> None:
    """An exception is an error, and the end of a step has its duration and its success."""
    error, end = to_record(failure("broke")), to_record(step("train", success=False, seconds=5))
    assert error is not None and end is not None
    assert (error.values["is_error"], error.values["type"]) == (True, "ValueError")
    assert (end.values["duration_seconds"], end.values["success"], end.values["has_failed"]) == (
        5.0,
        False,
        True,
    )


@pytest.mark.parametrize(
    "line",
    [
        None,
        {},
        {"time": "2026-11-22T10:00:00Z"},
        {**log("x"), "time": "never"},
        {**log("x"), "time": 5},
        {**log("x"), "data": {"baseType": "MessageData"}},
        envelope("OtherData", {}),
        {**log("x"), "tags": 5},
    ],
)
def test_lines_without_a_record_have_no_row(line: Any) -> None:
    """An invalid time, an unknown type and missing members are not errors."""
    assert to_record(line) is None
