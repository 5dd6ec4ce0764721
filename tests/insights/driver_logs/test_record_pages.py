"""Pages of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.insights import connection
from amllog.insights.driver_logs import record_pages
from amllog.insights.insights import Insights
from amllog.local.azure import INSTRUMENTATION_KEY
from amllog.record import envelope


@pytest.fixture
def insights(tmp_path: Path) -> Insights:
    """Questions over 5,000 records of one step and one of another. 2,500 have the same time, more than a page."""
    lines = []
    for number in range(5_001):
        seconds = 1_700_000_000.0 + min(number, 2_500)
        dimensions = {"step_id": "s" if number else "other", "record_id": f"r-{number}"}
        data = {"message": f"m{number}", "properties": dimensions}
        lines.append(envelope.encode_record(seconds, INSTRUMENTATION_KEY, {}, "MessageData", data))
    (tmp_path / "20260101T000000-gone-999999-abcd.jsonl").write_bytes(b"".join(lines))
    return Insights(connection.local_store([tmp_path]))


def test_each_record_once(insights: Insights) -> None:
    """All records of a step are read once and in time order, also if more than a page have the same time."""
    rows = list(record_pages.record_rows(insights, "s"))
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)
    assert sorted(row["message"] for row in rows) == sorted(f"m{number}" for number in range(1, 5_001))
    assert sum(1 for _ in record_pages.record_rows(insights, "")) == 5_001
    assert record_pages.FIRST_ROWS < 2_501
