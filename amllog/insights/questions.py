"""The questions about runs, as methods with plain arguments.

Each method returns a `Table`. All take the keyword arguments of `filters.Filters`. `run`, where it is the first
argument, selects a run or a step with everything below it. It is an id, the beginning of one, `last`, `last~1`, or a
list of these. "" and `all` select all runs. UsageError lists the candidates of a name that no run has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amllog.errors import UsageError
from amllog.insights import known_values, metric_rows, run_tree
from amllog.insights.links import Portal
from amllog.insights.query import columns, selections
from amllog.insights.query.columns import EXCEPTION, TRACE
from amllog.insights.query.filters import Filters, apply_filters, to_strings
from amllog.insights.query.query import AtLeast, Condition, Dimension, Equals, Query, Summary, Total
from amllog.insights.query.result import Table
from amllog.insights.query.run_ids import RunId, run_condition
from amllog.insights.stores.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Questions:
    """All questions, over any store."""

    def __init__(
        self, store: Store, portal: Portal | None = None, journals: Callable[[str], list[Path]] | None = None
    ) -> None:
        """Query `store`. `portal` is the resource that links lead to. `journals` returns the journal files that hold
        records of a run or step."""
        self.store, self.portal, self.journals = store, portal, journals

    def over(self, store: Store) -> Self:
        """Return the same questions over another store."""
        return type(self)(store, self.portal, self.journals)

    def query(self, kql: str) -> Table:
        """Return the rows of free KQL. The service gets it unchanged. Over journals, a part of KQL runs."""
        return self._linked(self.store.query(kql))

    def runs(self, **filters: Unpack[Filters]) -> Table:
        """Return one row per pipeline run, the earliest first.

        The columns are parent_run_id, state, experiment_name, run_type, began, last_seen, steps, ended, failed,
        records, errors and warnings. `ended` and `failed` count steps. The state is "failed" if a step has failed. It
        is "open" if a step has not ended, for example because it was killed. Else it is "done".
        """
        table = self._ask(selections.RUNS_QUERY, "", filters)
        if not table or not self.store.knows_runs:
            return table
        return run_tree.merge_runs(table, run_tree.load_tree(self.store, {}))

    def steps(self, run: str = "", **filters: Unpack[Filters]) -> Table:
        """Return one row per step, the earliest first.

        The columns are parent_run_id, step_id, state, step_name, experiment_name, run_type, began, last_seen,
        duration_seconds, records, errors, warnings, ended and failed. The state is "failed", "done", or "open" if the
        step has not ended, for example because it was killed. `duration_seconds` is None for an open step. `ended` and
        `failed` count processes.
        """
        return self._ask(selections.STEPS_QUERY, run, filters)

    def logs(
        self,
        run: str = "",
        *,
        limit: int | None = None,
        newest_first: bool = False,
        **filters: Unpack[Filters],
    ) -> Table:
        """Return logs and exceptions in time order, with the columns `selections.LOG`, at most `limit` rows."""
        return self._ask(_ordered(selections.LOGS_QUERY, limit, newest_first), run, filters)

    def errors(
        self,
        run: str = "",
        *,
        limit: int | None = None,
        newest_first: bool = False,
        **filters: Unpack[Filters],
    ) -> Table:
        """Return exceptions, logs at ERROR or above, and failed steps, in time order.

        The columns are `selections.ERRORS`: those of logs, with duration_seconds and resultCode for steps. A step is
        placed at its beginning.
        """
        return self._ask(_ordered(selections.ERRORS_QUERY, limit, newest_first), run, filters)

    def exceptions(self, run: str = "", **filters: Unpack[Filters]) -> Table:
        """Return one row per exception type and location, the most frequent first.

        The columns are type, problemId (the location), records (the number), first_seen and last_seen. The columns
        message, step_name, step_id, parent_run_id and stack are those of the latest exception.
        """
        return self._ask(selections.EXCEPTIONS_QUERY, run, filters)

    def metrics(
        self, run: str = "", *, name: str | Sequence[str] = "", pivot: str = "", **filters: Unpack[Filters]
    ) -> Table:
        """Return every value of every metric in time order, with the columns `selections.METRICS`.

        NaN and infinite values are included. Lists, rows and tables of `log.run` are expanded into one row per number
        (`metric_rows.unfold`). The KQL of the answer selects their records only. `pivot` returns one row per value of
        that column ("step", "step_name" or "timestamp") and one column per metric.
        """
        names = to_strings("name", name) if name else ()
        has_name = _has_name(metric_rows.record_names(names))
        table = self._ask(selections.METRICS_QUERY, run, filters, has_name)
        table = metric_rows.unfold(table, names)
        if pivot and pivot not in selections.METRICS:
            raise UsageError(f"pivot={pivot!r}: one of {', '.join(selections.METRICS)}")
        return table.pivot(pivot, "name", "value") if pivot else table

    def spans(self, run: str = "", *, name: str | Sequence[str] = "", **filters: Unpack[Filters]) -> Table:
        """Return spans in the order in which they began, with the columns `selections.SPANS`.

        The `id` of a span is the `operation_ParentId` of the records in it.
        """
        return self._ask(selections.SPANS_QUERY, run, filters, _has_name(name))

    def events(self, run: str = "", *, name: str | Sequence[str] = "", **filters: Unpack[Filters]) -> Table:
        """Return events in time order, with the columns `selections.EVENTS`, without those that carry run metrics."""
        return self._ask(selections.EVENTS_QUERY, run, filters, _has_name(name))

    def count(self, run: str = "", *, by: str | Sequence[str] = (), **filters: Unpack[Filters]) -> Table:
        """Return the number of logs and exceptions in the column `records`.

        `int(table)` is the number. `by` names columns or dimensions. Then there is one row per value of these, the
        greatest number first.
        """
        keys = tuple(map(_column, (by,) if isinstance(by, str) and by else by))
        summary = Summary(keys, (Total("records", "count"),))
        names = (key.key if isinstance(key, Dimension) else key for key in keys)
        order = ("-records", *names) if keys else ()
        query = Query((TRACE, EXCEPTION), keys or ("timestamp",), summaries=(summary,), order=order)
        return self._ask(query, run, filters)

    def timeline(self, run: str = "", **filters: Unpack[Filters]) -> Table:
        """Return steps, spans, events, warnings and errors in time order, with the columns `selections.TIMELINE`.

        Steps and spans are placed at their beginning.
        """
        return self._ask(selections.TIMELINE_QUERY, run, filters)

    def records(self, run: str = "", *, limit: int | None = None, **filters: Unpack[Filters]) -> Table:
        """Return records of all kinds in time order, with the columns `selections.RECORDS`, at most `limit` rows.

        Steps and spans are placed at their beginning.
        """
        return self._ask(_ordered(selections.RECORDS_QUERY, limit, False), run, filters)

    def last_metrics(self, run: str = "", **filters: Unpack[Filters]) -> Table:
        """Return one row per metric of a step, for metrics that are single numbers.

        The columns are step_name, step_id, name, records (the number of values), last_value and last_seen.
        """
        return self._ask(selections.LAST_METRICS_QUERY, run, filters)

    def last_values(self, run: str = "", **filters: Unpack[Filters]) -> Table:
        """Return `last_metrics` with the last numbers of lists, rows and tables of `log.run`.

        The additional column last_text is the value of a metric that is not a number.
        """
        single = self.last_metrics(run, **filters)
        folded = self._ask(selections.FOLDED_QUERY, run, filters)
        return metric_rows.with_folded(single, folded)

    def _ask(self, query: Query, run: str, filters: Any, conditions: tuple[Condition, ...] = ()) -> Table:
        times = {name: filters[name] for name in ("last", "since", "until") if filters.get(name)}
        selected = run_tree.find_run(self.store, run, assume=True, **times)
        since, until, filtered = apply_filters(filters)
        has_level = columns.DEFAULT_SEVERITIES.keys() & set(query.tables)
        if not has_level and any(isinstance(condition, AtLeast) for condition in filtered):
            raise UsageError(f"level={filters['level']!r}: {' and '.join(query.tables)} have no level")
        conditions = (*query.conditions, *conditions, *filtered)
        limited = replace(query, since=since, until=until)
        table = self._answer(limited, selected, conditions)
        if not selected.is_known and _is_empty(table):
            selected = run_tree.confirm_run(self.store, selected)
            table = self._answer(limited, selected, conditions) if selected.is_known else table
        if _is_empty(table) and self.store.knows_runs:
            table = known_values.check(self.store, table, filters)
        return self._linked(table.noting(selected.note) if selected.note else table)

    def _answer(self, query: Query, run: RunId, conditions: tuple[Condition, ...]) -> Table:
        return self.store.answer(replace(query, conditions=(*conditions, *run_condition(run))))

    def _linked(self, table: Table) -> Table:
        """Return the table with links to the resource of these questions."""
        return replace(table, texts=table.texts.linked_to(self.portal)) if self.portal else table


def _is_empty(table: Table) -> bool:
    """Return whether no record is in an answer. A count has a row also then."""
    return not table or (table.names == ("records",) and table.value == 0)


def _ordered(query: Query, limit: Any, newest_first: bool) -> Query:
    """Return a query by time with a limit and a direction."""
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise UsageError(f"limit={limit!r}: a whole number, at least 1")
    return replace(query, limit=limit, order=("-timestamp",) if newest_first else ("timestamp",))


def _has_name(name: str | Sequence[str]) -> tuple[Condition, ...]:
    return (Equals(("name",), to_strings("name", name)),) if name else ()


def _column(name: str) -> str | Dimension:
    """Return a column of answers by its name, else the dimension.

    A dimension may be called like an internal test of amllog, such as `is_error`.
    """
    if name in ("dimensions", "stack", "records"):
        raise UsageError(f"by={name!r}: a dimension, or a column such as step_name, level, message or type")
    column = columns.CATALOGUE.get(name)
    return name if column and (column.type != "bool" or column.only) else Dimension(name)
