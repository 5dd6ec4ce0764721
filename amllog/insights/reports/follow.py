"""Following a run live: what is new since the last look, on any store.

In: the questions, a run, what narrows it down. Out: rows as they arrive: none twice, none lost, also of records that
arrive late or out of order.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from amllog.errors import UsageError
from amllog.insights.query import filters
from amllog.insights.query.result import Row, Table
from amllog.insights.questions import Questions

LATE = timedelta(minutes=2)  # records that come later than others are looked for this far back at every look


class Watch:
    """One run, looked at again and again."""

    def __init__(self, questions: Questions, run: str, lines: int | None, narrow: dict[str, Any]) -> None:
        self._questions, self._run, self._narrow = questions, run, dict(narrow)
        if "last" in self._narrow:  # it would move on with the clock
            ago = filters.parse_duration(self._narrow.pop("last"))
            self._narrow["since"] = datetime.now().astimezone() - ago
        self._given: Counter[object] = Counter()
        self._number = 0
        self._latest: datetime | None = None
        if lines is not None:
            rows = questions.logs(run, limit=lines, newest_first=True, **self._narrow).rows
            if len(rows) == lines:  # what is older does not count
                self._narrow["since"] = rows[-1]["timestamp"]

    def poll(self) -> list[Row]:
        """What is new, in time order."""
        there = int(self._questions.count(self._run, **self._narrow))
        found = self._new(self._ask(late=True))
        if self._number < there:  # something came later than anything should
            found = sorted([*found, *self._new(self._ask(late=False))], key=lambda row: row["timestamp"])
        return found

    def has_ended(self) -> bool:
        """Whether every step that is known of has ended."""
        steps = self._questions.steps(self._run)
        return bool(steps) and all(row["state"] != "open" for row in steps)

    def _ask(self, *, late: bool) -> Table:
        asked = dict(self._narrow)
        if late and self._latest is not None:
            since = filters.parse_instant("since", asked.get("since"))
            asked["since"] = max(filter(None, (since, self._latest - LATE)))
        return self._questions.logs(self._run, **asked)

    def _new(self, table: Table) -> list[Row]:
        """Rows that were not given yet. Of rows that are the same in everything, as many as there are more now."""
        here: Counter[object] = Counter()
        found = []
        for row in table:
            key = row_key(row)
            here[key] += 1
            if here[key] > self._given[key]:
                self._given[key] += 1
                self._number += 1
                found.append(row)
            self._latest = max(self._latest or row["timestamp"], row["timestamp"])
        return found


def watch(
    questions: Questions, run: str, *, seconds: float = 2.0, quiet_seconds: float = 30.0, lines: int | None = None,
    **narrow: Any,
) -> Iterator[Row]:  # fmt: skip
    """Logs and exceptions of a run, those that are there (of these at most the last `lines`) and then new ones.

    Looks every `seconds`. Ends when all its steps have ended and for `quiet_seconds` nothing came (another step may be
    about to begin), or at Ctrl-C. `run` "" is every run, and ends at Ctrl-C only.
    """
    if not 0 <= seconds <= 86_400:
        raise UsageError(f"seconds={seconds!r}: between two looks, 0 to 86400")
    try:
        watched, quiet_since = Watch(questions, run, lines, narrow), time.monotonic()
        while True:
            over = bool(run) and watched.has_ended()  # before the look: what was written until then is seen
            new = watched.poll()
            yield from new
            if new:
                quiet_since = time.monotonic()
            elif over and time.monotonic() - quiet_since >= quiet_seconds:
                return
            time.sleep(seconds)
    except KeyboardInterrupt:
        return


def row_key(row: Row) -> object:
    """What tells a row of logs from the others: its record's id, or all that it says."""
    own = row["dimensions"].get("record_id")
    return own or (
        row["timestamp"],
        row["step_id"],
        row["message"],
        row["stack"],
        tuple(row["dimensions"].items()),
    )
