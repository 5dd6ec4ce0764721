"""The questions: what failed, what came before it, how it went, as methods with plain arguments.

In: a store, and what to ask. Out: a `Table` each; what its columns are stands with every question. Every question
takes what `narrow.Narrow` says; `run`, where it is the first argument, is the id of a pipeline run or of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amllog.errors import UsageError
from amllog.insights import metric_rows
from amllog.insights.links import Portal
from amllog.insights.query import columns
from amllog.insights.query.columns import ALL_TABLES, DEPENDENCY, EVENT, EXCEPTION, METRIC, REQUEST, TRACE
from amllog.insights.query.filters import Filters, apply_filters, to_strings
from amllog.insights.query.query import (
    AtLeast,
    Condition,
    Dimension,
    Equals,
    Holds,
    Query,
    State,
    Summary,
    Total,
)
from amllog.insights.query.result import Table
from amllog.insights.stores.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

LOG = ("timestamp", "level", "step_name", "message", "itemType", "type", "stack", "logger", "step_id",
       "parent_run_id", "operation_Id", "operation_ParentId", "dimensions")  # fmt: skip
ERRORS = (*LOG, "duration_seconds", "resultCode")
METRICS = ("timestamp", "step_name", "name", "value", "step", "step_id", "parent_run_id", "operation_Id",
           "operation_ParentId", "dimensions")  # fmt: skip
SPANS = ("timestamp", "step_name", "name", "duration_seconds", "success", "resultCode", "type", "id", "step_id",
         "parent_run_id", "operation_Id", "operation_ParentId", "dimensions")  # fmt: skip
EVENTS = ("timestamp", "step_name", "name", "step_id", "parent_run_id", "operation_Id", "operation_ParentId",
          "dimensions")  # fmt: skip
TIMELINE = ("timestamp", "itemType", "level", "step_name", "message", "type", "outerMessage", "duration_seconds",
            "success", "resultCode", "id", "step_id", "parent_run_id", "operation_Id", "operation_ParentId",
            "dimensions")  # fmt: skip

_SEEN = (Total("began", "min", "timestamp"), Total("last_seen", "max", "timestamp"))
_COUNTS = (
    Total("records", "count"),
    Total("errors", "countif", "is_error"),
    Total("warnings", "countif", "is_warning"),
)
STEPS = Summary(
    ("parent_run_id", "step_id"),
    (Total("step_name", "max", "step_name"), Total("experiment_name", "max", "experiment_name"),
     Total("run_type", "max", "run_type"), *_SEEN, Total("duration_seconds", "max", "step_seconds"), *_COUNTS,
     Total("ended", "countif", "has_ended"), Total("failed", "countif", "has_failed")),
    (State("state", (("failed > 0", "failed"), ("ended > 0", "done")), "open"),),
)  # fmt: skip
RUNS = Summary(
    ("parent_run_id",),
    (Total("experiment_name", "max", "experiment_name"), Total("run_type", "max", "run_type"),
     Total("began", "min", "began"), Total("last_seen", "max", "last_seen"), Total("steps", "count"),
     Total("ended", "countif", "ended > 0"), Total("failed", "countif", "failed > 0"),
     Total("records", "sum", "records"), Total("errors", "sum", "errors"), Total("warnings", "sum", "warnings")),
    (State("state", (("failed > 0", "failed"), ("ended < steps", "open")), "done"),),
)  # fmt: skip
_SUMMED = ("timestamp", "parent_run_id", "step_id", "step_name", "experiment_name", "run_type", "step_seconds",
           "is_error", "is_warning", "has_ended", "has_failed")  # fmt: skip


class Questions:
    """Every question, over any store."""

    def __init__(
        self, store: Store, portal: Portal | None = None, journals: Callable[[str], list[Path]] | None = None
    ) -> None:
        """`portal`: where the same can be asked; `journals`: the journal files that hold records of a run or step."""
        self.store, self.portal, self.journals = store, portal, journals

    def over(self, store: Store) -> Self:
        """The same, answered by another store."""
        return type(self)(store, self.portal, self.journals)

    def query(self, kql: str) -> Table:
        """The rows of free KQL: sent as it is to the service, run by duckdb-kql over journals."""
        found = self.store.query(kql)
        return self._linked(found)

    def runs(self, **narrow: Unpack[Filters]) -> Table:
        """One row per pipeline run, the earliest first: parent_run_id, state (failed; open: a step began and has not
        ended, or was killed; done), experiment_name, run_type, began, last_seen, steps, ended, failed (how many of the
        steps), records, errors, warnings."""
        return self._ask("", narrow, ALL_TABLES, _SUMMED, summaries=(STEPS, RUNS), order=("began", "parent_run_id"),
                         conditions=(_is_known("parent_run_id"),))  # fmt: skip

    def steps(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """One row per step, the earliest first: parent_run_id, step_id, state (failed; done; open: it has not ended,
        or was killed), step_name, experiment_name, run_type, began, last_seen, duration_seconds (None while open),
        records, errors, warnings, ended, failed (how many of its processes)."""
        return self._ask(run, narrow, ALL_TABLES, _SUMMED, summaries=(STEPS,), order=("began", "step_id"),
                         conditions=(_is_known("step_id"),))  # fmt: skip

    def logs(
        self,
        run: str = "",
        *,
        limit: int | None = None,
        newest_first: bool = False,
        **narrow: Unpack[Filters],
    ) -> Table:
        """Logs and exceptions together, in time order: the columns `LOG`. At most `limit` of them."""
        return self._ask(run, narrow, (TRACE, EXCEPTION), LOG, order=_in_time(newest_first), limit=limit)

    def errors(
        self,
        run: str = "",
        *,
        limit: int | None = None,
        newest_first: bool = False,
        **narrow: Unpack[Filters],
    ) -> Table:
        """What failed: exceptions, logs at ERROR or above, and steps that ended without success (by when they began);
        the columns `LOG`, and of steps duration_seconds and resultCode."""
        return self._ask(run, narrow, (TRACE, EXCEPTION, REQUEST), ERRORS, order=_in_time(newest_first), limit=limit,
                         conditions=(Holds("is_error"),))  # fmt: skip

    def exceptions(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """One row per type and place (problemId), the most frequent first: type, problemId, records (how many),
        first_seen, last_seen, and of the latest: message, step_name, step_id, parent_run_id, stack."""
        latest = ("message", "step_name", "step_id", "parent_run_id", "stack")
        totals = (Total("records", "count"), Total("first_seen", "min", "timestamp"),
                  Total("last_seen", "max", "timestamp"), *(Total(name, "last", name) for name in latest))  # fmt: skip
        summary = Summary(("type", "problemId"), totals)
        return self._ask(run, narrow, (EXCEPTION,), ("timestamp", *summary.by, *latest), summaries=(summary,),
                         order=("-records", "type", "problemId"))  # fmt: skip

    def metrics(
        self, run: str = "", *, name: str | Sequence[str] = "", pivot: str = "", **narrow: Unpack[Filters]
    ) -> Table:
        """Every value of every metric in time order: the columns `METRICS`. NaN and infinite ones too.

        Lists, rows and tables of `log.run` are unfolded after the query, whose KQL finds their records: a row per
        number, a table's named `<metric>.<column>` (see `unfolding`).
        `pivot`: one row per value of this column ("step", "step_name", "timestamp"), one column per metric.
        """
        names = to_strings("name", name) if name else ()
        found = self._ask(run, narrow, (METRIC, EVENT), METRICS, order=("timestamp",),
                          conditions=(Holds("has_metrics"), *_named(metric_rows.record_names(names))))  # fmt: skip
        found = metric_rows.unfold(found, names)
        if pivot and pivot not in METRICS:
            raise UsageError(f"pivot={pivot!r}: one of {', '.join(METRICS)}")
        return found.pivot(pivot, "name", "value") if pivot else found

    def spans(self, run: str = "", *, name: str | Sequence[str] = "", **narrow: Unpack[Filters]) -> Table:
        """Spans by when they began: the columns `SPANS`. `id` is what others have as operation_ParentId."""
        return self._ask(run, narrow, (DEPENDENCY,), SPANS, order=("timestamp",), conditions=_named(name))

    def events(self, run: str = "", *, name: str | Sequence[str] = "", **narrow: Unpack[Filters]) -> Table:
        """Events in time order: the columns `EVENTS`; not those that only carry run metrics."""
        return self._ask(run, narrow, (EVENT,), EVENTS, order=("timestamp",),
                         conditions=(Holds("is_notable"), *_named(name)))  # fmt: skip

    def count(self, run: str = "", *, by: str | Sequence[str] = (), **narrow: Unpack[Filters]) -> Table:
        """How many logs and exceptions: `records`; `int(…)` of the table is the number. `by`: one row per value of
        these columns or dimensions, the greatest number first."""
        keys = tuple(map(_column, (by,) if isinstance(by, str) and by else by))
        summary = Summary(keys, (Total("records", "count"),))
        order = (
            ("-records", *(key.key if isinstance(key, Dimension) else key for key in keys)) if keys else ()
        )
        return self._ask(
            run, narrow, (TRACE, EXCEPTION), keys or ("timestamp",), summaries=(summary,), order=order
        )

    def timeline(self, run: str = "", **narrow: Unpack[Filters]) -> Table:
        """Steps and spans (by when they began), events, warnings and errors in time order: the columns `TIMELINE`."""
        return self._ask(run, narrow, (TRACE, EXCEPTION, EVENT, REQUEST, DEPENDENCY), TIMELINE, order=("timestamp",),
                         conditions=(Holds("is_notable"),))  # fmt: skip

    def _ask(
        self,
        run: str,
        narrow: Any,
        tables: tuple[str, ...],
        asked: tuple[str | Dimension, ...],
        *,
        conditions: tuple[Condition, ...] = (),
        **rest: Any,
    ) -> Table:
        since, until, own = apply_filters(run, narrow)
        if any(isinstance(one, AtLeast) for one in own) and not columns.DEFAULT_SEVERITIES.keys() & set(
            tables
        ):
            raise UsageError(f"level={narrow['level']!r}: {' and '.join(tables)} have no level")
        limit = rest.get("limit")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise UsageError(f"limit={limit!r}: a whole number, at least 1")
        found = self.store.answer(Query(tables, asked, since, until, (*conditions, *own), **rest))
        return self._linked(found)

    def _linked(self, table: Table) -> Table:
        """Return the table with links to the resource of these questions."""
        return replace(table, texts=table.texts.linked_to(self.portal)) if self.portal else table


def _in_time(newest_first: bool) -> tuple[str, ...]:
    return ("-timestamp",) if newest_first else ("timestamp",)


def _is_known(column: str) -> Condition:
    return Equals((column,), ("",), negated=True)


def _named(name: str | Sequence[str]) -> tuple[Condition, ...]:
    return (Equals(("name",), to_strings("name", name)),) if name else ()


def _column(name: str) -> str | Dimension:
    """A column of answers, or a dimension: also one that is called like a test of ours (`is_error`)."""
    if name in ("dimensions", "stack", "records"):
        raise UsageError(f"by={name!r}: a dimension, or a column such as step_name, level, message or type")
    known = columns.CATALOGUE.get(name)
    return name if known and (known.type != "bool" or known.only) else Dimension(name)
