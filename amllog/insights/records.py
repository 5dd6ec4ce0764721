"""Questions that a story, a comparison and a tree ask besides those that people ask.

In: questions over any store. Out: tables: every record of a run, and the last value of each metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amllog.insights.columns import EVENT, EVERY, METRIC
from amllog.insights.query import Holds, Summary, Total
from amllog.insights.questions import TIMELINE, Questions
from amllog.insights.table import Table

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.narrow import Narrow

RECORDS = (*TIMELINE, "value", "step", "stack", "logger")
_LAST = Summary(
    ("step_name", "step_id", "name"),
    (Total("records", "count"), Total("last_value", "last", "value"), Total("last_seen", "max", "timestamp")),
)


class Records(Questions):
    """The questions, and two more."""

    def records(self, run: str = "", **narrow: Unpack[Narrow]) -> Table:
        """Every record of every kind in time order (steps and spans by when they began): the columns `RECORDS`."""
        return self._ask(run, narrow, EVERY, RECORDS, order=("timestamp",))

    def last_metrics(self, run: str = "", **narrow: Unpack[Narrow]) -> Table:
        """One row per metric of a step, by step and name: step_name, step_id, name, records (how many values),
        last_value, last_seen."""
        return self._ask(run, narrow, (METRIC, EVENT), ("timestamp", "value", *_LAST.by), summaries=(_LAST,),
                         conditions=(Holds("is_metric"),), order=("step_name", "name", "step_id"))  # fmt: skip
