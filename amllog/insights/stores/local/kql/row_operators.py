"""Compile the operators that have expressions only: where, extend, project, distinct, sort, take and others."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

from amllog.insights.stores.local.kql.column_names import ColumnNames, declared, implied_name
from amllog.insights.stores.local.kql.expressions import compile_expression, condition
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.relations import ORDER, Relation
from amllog.insights.stores.local.kql.scopes import Definitions, NameScope
from amllog.insights.stores.local.kql.syntax import Name, NamedExpression, RowOperator, SortKey
from amllog.insights.stores.local.kql.typed_sql import TypedSql, constant, quote, text_sql

_NET = {
    "string": "System.String", "long": "System.Int64", "int": "System.Int32", "real": "System.Double",
    "bool": "System.SByte", "datetime": "System.DateTime", "timespan": "System.TimeSpan", "guid": "System.Guid",
    "dynamic": "System.Object",
}  # fmt: skip
_SCHEMA = ("ColumnName", "ColumnOrdinal", "DataType", "ColumnType")


def apply_step(step: RowOperator, relation: Relation, definitions: Definitions) -> Relation:
    """Return the rows after one operator."""
    return _OPERATORS[step.operator](step, relation, NameScope(relation.columns, definitions))


def no_dynamic(value: TypedSql, place: str) -> TypedSql:
    """Return a value. Raises InvalidKql if it is dynamic, and cannot be a key."""
    if value.type == "dynamic":
        raise InvalidKql(f"{place} of type dynamic: convert it, as in tostring(…)")
    return value


def _where(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    return relation.filtered(condition(step.items[0].expression, scope, "where"))


def _extend(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    names, values = ColumnNames(skipped=relation.columns), {}
    for item in step.items:
        name = item.name or implied_name(item.expression) or names.numbered()
        if name in values:
            raise InvalidKql(f"two columns have the name {name!r}")
        values[name] = compile_expression(item.expression, scope)
    return relation.extended(values)


def _project(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    names = ColumnNames(declared(step.items))
    return relation.select(
        {names.name(item): compile_expression(item.expression, scope) for item in step.items}
    )


def _matches(step: RowOperator, relation: Relation) -> list[str]:
    """Return the columns that the patterns of an operator name."""
    matches: list[str] = []
    for pattern, order in step.patterns:
        if "*" in pattern:
            regex = re.compile(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")))
            names = [name for name in relation.columns if regex.fullmatch(name)]
        else:
            relation.need(pattern)
            names = [pattern]
        if order:
            names.sort(reverse=order == "desc")
        matches += [name for name in names if name not in matches]
    return matches


def _project_away(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    matches = _matches(step, relation)
    return relation.keep(name for name in relation.columns if name not in matches)


def _project_keep(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    matches = _matches(step, relation)
    return relation.keep(name for name in relation.columns if name in matches)


def _project_reorder(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    matches = _matches(step, relation)
    return relation.keep([*matches, *(name for name in relation.columns if name not in matches)])


def _project_rename(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    new = {item.expression.name: item.name for item in step.items if isinstance(item.expression, Name)}
    for name in new:
        relation.need(name)
    names = [new.get(name, name) for name in relation.columns]
    if len(set(names)) < len(names) or len(new) < len(step.items):
        raise UnsupportedKql("project-rename with a name twice")
    columns = zip(names, relation.columns.items())
    return relation.select({name: TypedSql(quote(old), type_) for name, (old, type_) in columns})


def _distinct(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    items = step.items or tuple(NamedExpression("", Name(name)) for name in relation.columns)
    names = ColumnNames(declared(items))
    values = {}
    for item in items:
        name = names.name(item)
        values[name] = no_dynamic(compile_expression(item.expression, scope), f"distinct by {name!r}")
    cells = ", ".join(f"{value.sql} AS {quote(name)}" for name, value in values.items())
    columns = {name: value.type for name, value in values.items()}
    return Relation(f"SELECT DISTINCT {cells} FROM {relation.table}", columns)


def _count(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    name = step.items[0].name if step.items else "Count"
    return Relation(f"SELECT count(*) AS {quote(name)} FROM {relation.table}", {name: "long"})


def sort_keys(keys: Sequence[SortKey], scope: NameScope) -> str:
    """Return the ORDER BY of keys. An empty text is like null."""
    parts = []
    for key in keys:
        value = no_dynamic(compile_expression(key.expression, scope), "a key to sort by")
        sql = f"nullif({value.sql}, '')" if value.type == "string" else value.sql
        parts.append(f"{sql} {key.direction.upper()} NULLS {key.nulls.upper()}")
    return ", ".join(parts)


def _sort(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    columns = ", ".join(quote(name) for name in relation.columns)
    number = f"row_number() OVER (ORDER BY {sort_keys(step.keys, scope)})"
    return Relation(
        f"SELECT {columns}, {number} AS {ORDER} FROM {relation.table}", relation.columns, is_sorted=True
    )


def _top(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    return _sort(step, relation, scope).limited(step.count)


def _take(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    return relation.limited(step.count)


def _same(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    return relation


def _getschema(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    rows = ", ".join(
        f"({text_sql(name)}, {constant('int', number).sql}, '{_NET[type_]}', '{type_}')"
        for number, (name, type_) in enumerate(relation.columns.items())
    )
    names = ", ".join(quote(name) for name in _SCHEMA)
    types = {name: "int" if name == "ColumnOrdinal" else "string" for name in _SCHEMA}
    return Relation(f"SELECT * FROM (VALUES {rows}) AS _kql_t({names})", types)


def _render(step: RowOperator, relation: Relation, scope: NameScope) -> Relation:
    for name, _ in step.patterns:
        relation.need(name)
    return relation


_OPERATORS: dict[str, Callable[[RowOperator, Relation, NameScope], Relation]] = {
    "where": _where,
    "extend": _extend,
    "project": _project,
    "project-away": _project_away,
    "project-keep": _project_keep,
    "project-reorder": _project_reorder,
    "project-rename": _project_rename,
    "distinct": _distinct,
    "count": _count,
    "sort": _sort,
    "top": _top,
    "take": _take,
    "serialize": _same,
    "render": _render,
    "getschema": _getschema,
}
