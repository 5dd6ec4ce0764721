"""Write a `Query` as SQL for DuckDB, over one relation `records`.

`records` has one row per record, with the columns of the service (`duckdb_views`). Values of a user are parameters and
never part of the SQL.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Set
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from amllog.insights.query import query as q
from amllog.insights.query.columns import (
    CATALOGUE,
    DEFAULT_SEVERITIES,
    DIMENSION_COLUMNS,
    LEVEL,
    SEARCHED,
)
from amllog.insights.query.tables import TABLES
from amllog.record.line_format import LEVEL_NAMES


class Statement(NamedTuple):
    """SQL, and the values of its placeholders `?` in their order."""

    text: str
    parameters: tuple[Any, ...]


def statement(query: q.Query, now: datetime) -> Statement:
    """Return the query over `records`. Relative times count back from `now`."""
    parameters: list[Any] = []
    columns = ",\n  ".join(_projected(column, query.tables, parameters) for column in query.columns)
    tests = [_items(query.tables), *_times(query, now, parameters)]
    tests += [_condition(condition, query.tables, parameters) for condition in query.conditions]
    text = f"SELECT {columns}\nFROM records\nWHERE {' AND '.join(f'({test})' for test in tests)}"
    for summary in query.summaries:
        text = _summed(summary, text)
    if query.order:
        keys = {column.key for column in query.columns if isinstance(column, q.Dimension)}
        text += f"\nORDER BY {', '.join(_ordered(name, keys) for name in [*query.order, *_ties(query)])}"
    if query.limit is not None:
        text += f"\nLIMIT {query.limit:d}"
    return Statement(text, tuple(parameters))


def quote_name(name: str) -> str:
    """Return a column name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def escape_glob(path: Path) -> str:
    """Return a path for DuckDB, with `[`, `*` and `?` escaped, which are wildcards there."""
    return glob.escape(str(path))


def literal(text: str) -> str:
    """Return a string literal, for names of files and constants of amllog."""
    return "'" + text.replace("'", "''") + "'"


def json_pointer(key: str) -> str:
    """Return a key as a JSON pointer, in which no character is a wildcard or a path."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def naive_utc(time: datetime) -> datetime:
    """Return an aware time as a naive one in UTC, which is the type of times in `records`."""
    return time.astimezone(timezone.utc).replace(tzinfo=None)


def _items(tables: tuple[str, ...]) -> str:
    return f"itemType IN ({', '.join(literal(TABLES[table].item_type) for table in tables)})"


def time_test(query: q.Query, now: datetime) -> str:
    """Return the test of the times of a query on a column of times with a time zone. "" without one."""
    tests = zip(("timestamp >=", "timestamp <"), _bounds(query, now))
    return " AND ".join(f"{test} TIMESTAMPTZ '{naive_utc(time)}+00'" for test, time in tests if time)


def _bounds(query: q.Query, now: datetime) -> tuple[datetime | None, datetime | None]:
    return (now - query.since if isinstance(query.since, timedelta) else query.since), query.until


def _times(query: q.Query, now: datetime, parameters: list[Any]) -> list[str]:
    tests = []
    for test, time in zip(("timestamp >= ?", "timestamp < ?"), _bounds(query, now)):
        if time is not None:
            parameters.append(naive_utc(time))
            tests.append(test)
    return tests


def _condition(condition: q.Condition, tables: tuple[str, ...], parameters: list[Any]) -> str:
    if isinstance(condition, q.Equals):
        return " OR ".join(_equals(column, condition, tables, parameters) for column in condition.columns)
    if isinstance(condition, q.Holds):
        return _by_table(tables, lambda table: CATALOGUE[condition.column].source(table).sql)
    if isinstance(condition, q.AtLeast):
        return _by_table(tables, lambda table: _severe(table, condition.severity))
    return _by_table(tables, lambda table: _contains(table, condition, parameters))


def _equals(
    column: str | q.Dimension, condition: q.Equals, tables: tuple[str, ...], parameters: list[Any]
) -> str:
    value = _value(column, tables, parameters)
    parameters.extend(condition.values)
    return f"{value} {'NOT ' * condition.negated}IN ({', '.join('?' * len(condition.values))})"


def _severe(table: str, severity: int) -> str:
    if table not in DEFAULT_SEVERITIES:
        return "false"
    return f"coalesce(severityLevel, {DEFAULT_SEVERITIES[table]}) >= {severity}"


def _contains(table: str, condition: q.Contains, parameters: list[Any]) -> str:
    pattern = condition.text
    for special in "\\%_":
        pattern = pattern.replace(special, "\\" + special)
    parameters.extend([f"%{pattern}%"] * len(SEARCHED[table]))
    return " OR ".join(rf"{source.sql} ILIKE ? ESCAPE '\'" for source in SEARCHED[table])


def _projected(column: str | q.Dimension | q.Alias, tables: tuple[str, ...], parameters: list[Any]) -> str:
    return f"{_value(column, tables, parameters)} AS {quote_name(q.column_name(column))}"


def _value(column: str | q.Dimension | q.Alias, tables: tuple[str, ...], parameters: list[Any]) -> str:
    if isinstance(column, q.Alias):
        column = column.column
    if isinstance(column, str):
        known = CATALOGUE[column]
        if column == LEVEL:
            return _level(tables)
        having = tuple(table for table in tables if table in known.sources) if known.only else ()
        return _by_table(having or tables, lambda table: known.source(table).sql)
    if column.key in DIMENSION_COLUMNS:
        return f"coalesce({column.key}, '')"
    parameters.append(json_pointer(column.key))
    return "coalesce(json_extract_string(customDimensions, ?), '')"


def _level(tables: tuple[str, ...]) -> str:
    names = " ".join(f"WHEN {number} THEN {literal(name)}" for number, name in enumerate(LEVEL_NAMES))
    bad = _by_table(tables, lambda table: CATALOGUE["is_bad"].source(table).sql)
    return f"CASE severityLevel {names} ELSE CASE WHEN {bad} THEN 'ERROR' ELSE 'INFO' END END"


def _by_table(tables: tuple[str, ...], expression: Callable[[str], str]) -> str:
    """Return one expression for all tables. If their expressions differ, it depends on the table of the row."""
    texts = {table: expression(table) for table in tables}
    if len(set(texts.values())) == 1 and "?" not in texts[tables[0]]:
        return texts[tables[0]]
    arms = " ".join(f"WHEN {literal(TABLES[table].item_type)} THEN ({text})" for table, text in texts.items())
    return f"CASE itemType {arms} END"


def _summed(summary: q.Summary, rows: str) -> str:
    by = [quote_name(q.column_name(column)) for column in summary.by]
    states = [
        f"CASE {' '.join(f'WHEN {test} THEN {literal(text)}' for test, text in state.cases)} "
        f"ELSE {literal(state.otherwise)} END AS {state.name}"
        for state in summary.states
    ]
    names = [quote_name(total.name) for total in summary.totals]
    inner = f"SELECT {', '.join([*by, *map(_total, summary.totals)])}\nFROM ({rows})"
    if by:
        inner += f"\nGROUP BY {', '.join(by)}"
    return f"SELECT {', '.join([*by, *states, *names])}\nFROM ({inner})" if states else inner


def _total(total: q.Total) -> str:
    of = quote_name(total.argument)
    expression = {
        "count": "count(*)",
        "countif": f"count(*) FILTER (WHERE {total.argument})",
        "last": f"arg_max({of}, timestamp)",
        "sum": f"CAST(sum({of}) AS BIGINT)",
    }.get(total.function, f"{total.function}({of})")
    return f"{expression} AS {quote_name(total.name)}"


def _ordered(name: str, keys: Set[str]) -> str:
    """Return a term of ORDER BY. Nulls are less than all values, as in KQL.

    `keys` are the names of dimensions, which may begin with `-`.
    """
    if name in keys:
        return f"{quote_name(name)} ASC NULLS FIRST"
    bare = name.lstrip("-")
    column = bare if bare.endswith(")") else quote_name(bare)
    return f"{column} {'DESC NULLS LAST' if name.startswith('-') else 'ASC NULLS FIRST'}"


def _ties(query: q.Query) -> tuple[str, ...]:
    """Return the terms that order records of one instant as they were written.

    A record id ends with a hexadecimal number, so that a longer id is a later one.
    """
    if query.summaries or query.order[0].lstrip("-") != "timestamp":
        return ()
    sign = "-" if query.order[0].startswith("-") else ""
    return (f"{sign}length(record_id)", f"{sign}record_id")
