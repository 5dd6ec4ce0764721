"""Compile the operator mv-expand."""

from __future__ import annotations

from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.relations import ORDER, Relation
from amllog.insights.stores.local.kql.scopes import Definitions, NameScope
from amllog.insights.stores.local.kql.syntax import Expand, Name
from amllog.insights.stores.local.kql.typed_sql import TypedSql

_PAIR = {
    "bag": "json_object(_kql_e, kql_key({0}, _kql_e))",
    "array": "json_array(_kql_e, kql_key({0}, _kql_e))",
}
_ITEMS = (
    "CASE json_type({0}) WHEN 'ARRAY' THEN kql_array({0}) "
    "WHEN 'OBJECT' THEN CAST(list_transform(kql_keys({0}), lambda _kql_e: {1}) AS JSON[]) "
    "ELSE system.main.list_value(CAST({0} AS JSON)) END"
)
_NUMBER = "json_type({0}) IN ('UBIGINT', 'BIGINT', 'DOUBLE')"
_CONVERSIONS = {
    "dynamic": "{0}",
    "string": "kql_text({0})",
    "long": f"CASE WHEN {_NUMBER} THEN kql_truncated(CAST({{0}} AS DOUBLE)) END",
    "int": f"CASE WHEN {_NUMBER} THEN TRY_CAST(trunc(CAST({{0}} AS DOUBLE)) AS INTEGER) END",
    "real": f"CASE WHEN {_NUMBER} THEN CAST({{0}} AS DOUBLE) END",
    "datetime": "CASE WHEN json_type({0}) = 'VARCHAR' THEN kql_todatetime(kql_text({0})) END",
}


def apply_expand(operator: Expand, relation: Relation, definitions: Definitions) -> Relation:
    """Return one row per item of dynamic values. Shorter lists end with nulls."""
    scope = NameScope(relation.columns, definitions)
    sources: dict[str, TypedSql] = {}
    types: dict[str, str] = {}
    for item, type_ in operator.targets:
        name = item.name or (item.expression.name if isinstance(item.expression, Name) else "")
        if not name:
            raise UnsupportedKql("mv-expand of an expression without a name: write x = …")
        if type_ not in _CONVERSIONS:
            raise UnsupportedKql(f"mv-expand to typeof({type_})")
        if name in sources:
            raise InvalidKql(f"two columns have the name {name!r}")
        sources[name], types[name] = compile_expression(item.expression, scope), type_
        if sources[name].type != "dynamic":
            raise InvalidKql(f"mv-expand of {sources[name].type}: only dynamic values can be expanded")
    hidden = {name: f"_kql_m{number}" for number, name in enumerate(sources)}
    values = {
        name: TypedSql(_CONVERSIONS[types[name]].replace("{0}", f"kql_json({column})"), types[name])
        for name, column in hidden.items()
    }
    if operator.index:
        if operator.index in relation.columns or operator.index in sources:
            raise UnsupportedKql(f"mv-expand with_itemindex={operator.index}, which is a column")
        values[operator.index] = TypedSql("_kql_index", "long")
    named = ", ".join(f"{value.sql} AS {hidden[name]}" for name, value in sources.items())
    sql = _expanded(f"SELECT *, {named} FROM {relation.table}", list(hidden.values()), operator)
    if relation.is_sorted:  # the items of a row are in their order
        number = f"row_number() OVER (ORDER BY {ORDER}, _kql_index)"
        sql = f"SELECT * REPLACE ({number} AS {ORDER}) FROM ({sql})"
    return Relation(sql, relation.columns, relation.is_sorted).extended(values)


def _expanded(sql: str, columns: list[str], operator: Expand) -> str:
    """Return a SELECT with a row for each item of hidden columns, and the number of the item as `_kql_index`."""
    lists = ", ".join(f"{_items(column, operator)} AS {column}" for column in columns)
    longest = ", ".join(f"len({column})" for column in columns)
    index = f"unnest(range(CAST(0 AS BIGINT), CAST(greatest({longest}) AS BIGINT))) AS _kql_index"
    items = ", ".join(f"unnest({column}) AS {column}" for column in columns)
    inner = f"SELECT * REPLACE ({lists}) FROM ({sql})"
    return f"SELECT * EXCLUDE ({', '.join(columns)}), {items}, {index} FROM ({inner})"


def _items(column: str, operator: Expand) -> str:
    """Return the SQL of the items of a hidden column."""
    sql = _ITEMS.replace("{1}", _PAIR[operator.kind]).replace("{0}", column)
    return sql if operator.limit is None else f"list_slice({sql}, 1, {operator.limit})"
