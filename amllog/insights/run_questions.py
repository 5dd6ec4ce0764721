"""Questions that a story, a comparison and a tree ask besides those that people ask.

In: questions over any store. Out: tables: every record of a run, and the last value of each metric.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from amllog.insights import metric_rows
from amllog.insights.query.columns import ALL_TABLES, EVENT, METRIC
from amllog.insights.query.query import Dimension, Equals, Holds, Summary, Total
from amllog.insights.query.result import Column, Row, Table
from amllog.insights.questions import METRICS, TIMELINE, Questions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.query.filters import Filters

RECORDS = (*TIMELINE, "value", "step", "stack", "logger")
_BY = ("step_name", "step_id", "name")
_LAST = Summary(
    _BY,
    (Total("records", "count"), Total("last_value", "last", "value"), Total("last_seen", "max", "timestamp")),
)


class RunQuestions(Questions):
    """The questions, and three more."""

    def records(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """Every record of every kind in time order (steps and spans by when they began): the columns `RECORDS`."""
        return self._ask(run, narrow, ALL_TABLES, RECORDS, order=("timestamp",))

    def last_metrics(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """One row per metric of a step, by step and name: step_name, step_id, name, records (how many values),
        last_value, last_seen. Single numbers only."""
        return self._ask(run, narrow, (METRIC, EVENT), ("timestamp", "value", *_BY), summaries=(_LAST,),
                          conditions=(Holds("is_metric"),), order=("step_name", "name", "step_id"))  # fmt: skip

    def last_values(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """`last_metrics` and, unfolded as in `metrics`, lists, rows and tables of `log.run`: of each column the last
        number. One more column, last_text: what a metric is that is no number."""
        plain = self.last_metrics(run, **narrow)
        folded = self._ask(run, narrow, (EVENT,), METRICS, order=("timestamp",),
                           conditions=(Holds("has_metrics"), Equals((Dimension("value"),), ("",))))  # fmt: skip
        found = {tuple(row[name] for name in _BY): {**row, "last_text": ""} for row in plain}
        for row in folded:
            _add(found, row, metric_rows.unfold(replace(folded, rows=(row,))))
        return replace(
            plain,
            columns=(*plain.columns, Column("last_text", "text")),
            rows=tuple(
                sorted(found.values(), key=lambda row: (row["step_name"], row["name"], row["step_id"]))
            ),
            notes=tuple(dict.fromkeys((*plain.notes, *folded.notes))),
        )


def _add(found: dict[tuple[str, ...], Row], record: Row, numbers: Table) -> None:
    """What one record of several values adds: each of its numbers, or a text where it is none."""
    text = "" if numbers else metric_rows.last_text(record)
    for row in numbers or (record,):
        key = tuple(row[name] for name in _BY)
        known = found.setdefault(key, {**dict(zip(_BY, key)), "records": 0, "last_value": None,
                                       "last_seen": record["timestamp"], "last_text": ""})  # fmt: skip
        known["records"] += 1
        if record["timestamp"] >= known["last_seen"]:
            known.update(last_seen=record["timestamp"], last_value=row["value"], last_text=text)
