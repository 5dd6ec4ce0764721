"""Yield the logs of a run in pages, so that the first lines of a long run are printed at once."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

from amllog.cli import output
from amllog.cli.query_arguments import passed_filters
from amllog.insights.insights import Insights
from amllog.insights.query import filters
from amllog.insights.query.result import Row, Table
from amllog.insights.reports.follow import row_key

FIRST_LINES = 200  # the size of the first page. Each further page is four times as large


def pages(options: Namespace, insights: Insights, run_id: str) -> Iterator[Table]:
    """Yield all lines in time order, in pages.

    A page begins at the time of the last line before it. The lines of that time come again, in any order, so they are
    counted and skipped.
    """
    size, chosen = FIRST_LINES, passed_filters(options)
    printed: Counter[object] = Counter()  # the lines of the last time that were yielded
    if "last" in chosen:  # a relative range would move with the clock between pages
        chosen["since"] = datetime.now(timezone.utc) - filters.parse_duration(chosen.pop("last"))
    while True:
        table = insights.logs(run_id, limit=size, **chosen)
        skipped, rows = printed.copy(), list[Row]()
        for row in table:
            if skipped[row_key(row)] > 0:
                skipped[row_key(row)] -= 1
            else:
                rows.append(row)
        yield replace(table, rows=tuple(rows), notes=output.notes_without_limit(table))
        if len(table) < size:
            return
        last = table[-1]["timestamp"]
        before = printed if chosen.get("since") == last else Counter()
        printed = before + Counter(row_key(row) for row in rows if row["timestamp"] == last)
        chosen["since"], size = last, size * 4
