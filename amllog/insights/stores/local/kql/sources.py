"""Compile the sources of a query that are not tables: print, datatable and range."""

from __future__ import annotations

from amllog.insights.stores.local.kql.column_names import ColumnNames
from amllog.insights.stores.local.kql.conversions import converted
from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.scopes import Definitions, NameScope
from amllog.insights.stores.local.kql.syntax import DataTable, Expression, Print, Range
from amllog.insights.stores.local.kql.typed_sql import (
    NUMBERS,
    SQL_TYPES,
    WHOLE,
    TypedSql,
    constant,
    quote,
    widen,
)


def print_row(source: Print, definitions: Definitions) -> Relation:
    """Return the row of print."""
    scope, names = NameScope({}, definitions), ColumnNames(item.name for item in source.items if item.name)
    values = {}
    for number, item in enumerate(source.items):
        if item.name and item.name in values:
            raise InvalidKql(f"two columns have the name {item.name!r}")
        values[names.unique(item.name or f"print_{number}")] = compile_expression(item.expression, scope)
    cells = ", ".join(f"{value.sql} AS {quote(name)}" for name, value in values.items())
    return Relation(f"SELECT {cells}", {name: value.type for name, value in values.items()})


def data_rows(source: DataTable, definitions: Definitions) -> Relation:
    """Return the rows of a datatable."""
    columns, scope = dict(source.columns), NameScope({}, definitions)
    if len(columns) < len(source.columns):
        raise InvalidKql("two columns of datatable have the same name")
    if len(source.values) % len(columns):
        raise InvalidKql("the values of datatable do not fill its last row")
    names = ", ".join(quote(name) for name in columns)
    if not source.values:
        cells = ", ".join(f"{constant(type_, None).sql} AS {quote(name)}" for name, type_ in columns.items())
        return Relation(f"SELECT {cells} WHERE false", columns)
    rows: list[str] = []
    types = list(columns.values())
    for start in range(0, len(source.values), len(columns)):
        row = zip(types, source.values[start : start + len(columns)])
        rows.append(f"({', '.join(_cell(value, type_, scope) for type_, value in row)}, {len(rows)})")
    casts = ", ".join(
        f"CAST({quote(name)} AS {SQL_TYPES[type_]}) AS {quote(name)}" for name, type_ in columns.items()
    )
    values = f"(VALUES {', '.join(rows)}) AS _kql_t({names}, _kql_row)"
    return Relation(f"SELECT {casts} FROM {values} ORDER BY _kql_row", columns)


def _cell(node: Expression, type_: str, scope: NameScope) -> str:
    value = compile_expression(node, scope)
    if not value.is_constant:
        raise UnsupportedKql("a value of datatable that is not a constant")
    if value.type == type_:
        return value.sql
    if value.value is None:
        return constant(type_, None).sql
    if value.type in WHOLE and type_ in NUMBERS:
        return widen(value, type_)
    if type_ == "dynamic" or (value.type == "string" and type_ != "string"):
        return converted(value, type_).sql
    raise UnsupportedKql(f"a value of datatable that is {value.type} and not {type_}")


def range_rows(source: Range, definitions: Definitions) -> Relation:
    """Return the rows of range."""
    scope = NameScope({}, definitions)
    first, last, step = (compile_expression(node, scope) for node in (source.first, source.last, source.step))
    types = (first.type, last.type, step.type)
    if {*types} <= {*WHOLE}:
        _check_step(step)
        return _series(source.name, "long", *(widen(value, "long") for value in (first, last, step)))
    if types == ("timespan",) * 3:
        _check_step(step)
        return _series(source.name, "timespan", first.sql, last.sql, step.sql)
    if types == ("datetime", "datetime", "timespan"):
        _check_step(step)
        ends = [f"epoch_us({time.sql})" for time in (first, last)]
        return _series(source.name, "datetime", ends[0], ends[1], f"({step.sql} // 10)")
    raise UnsupportedKql(f"range from {first.type} to {last.type} step {step.type}")


def _check_step(step: TypedSql) -> None:
    if step.is_constant and not step.value:
        raise UnsupportedKql("range with the step 0")


def _series(name: str, type_: str, first: str, last: str, step: str) -> Relation:
    values = f"unnest(generate_series({first}, {last}, {step}))"
    sql = f"make_timestamp({values})" if type_ == "datetime" else values
    return Relation(f"SELECT {sql} AS {quote(name)}", {name: type_})
