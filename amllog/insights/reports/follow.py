"""Follow a run live: poll a store for logs and exceptions, and yield each exactly once.

Records may arrive late and out of order, so that the time of the last row is not enough to find the new ones.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from amllog.errors import UsageError
from amllog.insights.query.filters import parse_duration, parse_instant
from amllog.insights.query.result import Row, Table
from amllog.insights.questions import Questions

LATE = timedelta(minutes=2)  # each poll reads again this much time before the latest row


class Watch:
    """The state of following one run."""

    def __init__(self, questions: Questions, run: str, lines: int | None, filters: dict[str, Any]) -> None:
        self._questions, self._run, self._filters = questions, run, dict(filters)
        if "last" in self._filters:  # a relative time would move with the clock
            ago = parse_duration(self._filters.pop("last"))
            self._filters["since"] = datetime.now().astimezone() - ago
        self._yielded: Counter[object] = Counter()
        self._total = 0
        self._latest: datetime | None = None
        if lines is not None:
            rows = questions.logs(run, limit=lines, newest_first=True, **self._filters).rows
            if len(rows) == lines:  # older rows are not shown
                self._filters["since"] = rows[-1]["timestamp"]

    def poll(self) -> list[Row]:
        """Return the new rows in time order."""
        count = int(self._questions.count(self._run, **self._filters))
        rows = self._new(self._ask(only_recent=True))
        if self._total < count:  # a record is later than `LATE`
            rows = sorted([*rows, *self._new(self._ask(only_recent=False))], key=lambda row: row["timestamp"])
        return rows

    def has_ended(self) -> bool:
        """Return whether every known step has ended."""
        steps = self._questions.steps(self._run)
        return bool(steps) and all(row["state"] != "open" for row in steps)

    def _ask(self, *, only_recent: bool) -> Table:
        filters = dict(self._filters)
        if only_recent and self._latest is not None:
            since = parse_instant("since", filters.get("since"))
            filters["since"] = max(filter(None, (since, self._latest - LATE)))
        return self._questions.logs(self._run, **filters)

    def _new(self, table: Table) -> list[Row]:
        """Return the rows that were not yielded yet. Equal rows are counted, so that a new one among them is found."""
        counts: Counter[object] = Counter()
        rows = []
        for row in table:
            key = row_key(row)
            counts[key] += 1
            if counts[key] > self._yielded[key]:
                self._yielded[key] += 1
                self._total += 1
                rows.append(row)
            self._latest = max(self._latest or row["timestamp"], row["timestamp"])
        return rows


def watch(
    questions: Questions,
    run: str,
    *,
    seconds: float = 2.0,
    quiet_seconds: float = 30.0,
    lines: int | None = None,
    **filters: Any,
) -> Iterator[Row]:
    """Yield the logs and exceptions of a run, at most the last `lines` of the existing ones and then the new ones.

    Polls every `seconds`. Ends at Ctrl-C, or when all steps have ended and nothing has arrived for `quiet_seconds`,
    because another step may be about to begin. If `run` is "", all runs are followed until Ctrl-C.
    """
    if not 0 <= seconds <= 86_400:
        raise UsageError(f"seconds={seconds!r}: the polling interval must be between 0 and 86400")
    try:
        state, quiet_since = Watch(questions, run, lines, filters), time.monotonic()
        while True:
            # Before the poll, which then sees all records of the run.
            has_ended = bool(run) and state.has_ended()
            rows = state.poll()
            yield from rows
            if rows:
                quiet_since = time.monotonic()
            elif has_ended and time.monotonic() - quiet_since >= quiet_seconds:
                return
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def row_key(row: Row) -> object:
    """Return what identifies a row of logs: the id of its record, or else its values."""
    record_id = row["dimensions"].get("record_id")
    return record_id or (
        row["timestamp"],
        row["step_id"],
        row["message"],
        row["stack"],
        tuple(row["dimensions"].items()),
    )
