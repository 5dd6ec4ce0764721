"""Read the records of a step in pages, so that a step with millions of records needs bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from amllog.insights.insights import Insights
from amllog.insights.query.result import Row
from amllog.insights.reports.follow import row_key

FIRST_ROWS, MAX_ROWS = 2_000, 16_000  # of a page


def record_rows(insights: Insights, step_id: str) -> Iterator[Row]:
    """Yield the records of a step in time order, or all records if `step_id` is "".

    A page begins at the time of the last row before it. The rows of that time come again, so they are skipped.
    """
    filters: dict[str, Any] = {"step_id": step_id} if step_id else {}
    size, last_rows = FIRST_ROWS, Counter[object]()
    while True:
        table = insights.records(limit=size, **filters)
        skipped = last_rows.copy()
        for row in table:
            if skipped[row_key(row)] > 0:
                skipped[row_key(row)] -= 1
            else:
                yield row
        if len(table) < size:
            return
        last = table[-1]["timestamp"]
        last_rows = Counter(row_key(row) for row in table if row["timestamp"] == last)
        is_one_time = filters.get("since") == last  # the page does not reach the next time
        filters["since"] = last
        size = size * 4 if is_one_time else min(size * 4, MAX_ROWS)
