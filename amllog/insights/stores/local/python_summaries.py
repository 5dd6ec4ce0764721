"""Compute the summaries of a query in Python: one row per group, with totals and states."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from amllog.insights.query.query import State, Summary, Total, column_name

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {">": operator.gt, "<": operator.lt}
Row = dict[str, Any]


def summarize(summary: Summary, rows: Iterable[Row]) -> list[Row]:
    """Return one row per value of the columns of a summary."""
    names = [column_name(column) for column in summary.by]
    groups: dict[tuple[Any, ...], list[Row]] = {} if names else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    result = []
    for key, members in groups.items():
        row = {**dict(zip(names, key)), **{total.name: _total(total, members) for total in summary.totals}}
        result.append({**row, **{state.name: _state(state, row) for state in summary.states}})
    return result


def _total(total: Total, rows: Sequence[Row]) -> Any:
    if total.function == "count":
        return len(rows)
    if total.function == "countif":
        return sum(_is_true(total.argument, row) for row in rows)
    if total.function == "last":
        with_value = [row for row in rows if row[total.argument] is not None]
        return max(with_value, key=lambda row: row["timestamp"])[total.argument] if with_value else None
    values = [row[total.argument] for row in rows if row[total.argument] is not None]
    if not values:
        return None
    return sum(values) if total.function == "sum" else (min if total.function == "min" else max)(values)


def _state(state: State, row: Mapping[str, Any]) -> str:
    return next((text for test, text in state.cases if _is_true(test, row)), state.otherwise)


def _is_true(test: str, row: Mapping[str, Any]) -> bool:
    """Evaluate a bool column, or a comparison such as `failed > 0` or `ended < steps`."""
    name, _, rest = test.partition(" ")
    if not rest:
        return bool(row[name])
    operator_, other = rest.split()
    return _OPERATORS[operator_](row[name], int(other) if other.isdigit() else row[other])
