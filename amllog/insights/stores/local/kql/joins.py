"""Compile the operators join and lookup."""

from __future__ import annotations

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.row_operators import no_dynamic
from amllog.insights.stores.local.kql.syntax import Binary, Expression, Join, Member, Name
from amllog.insights.stores.local.kql.typed_sql import WHOLE, TypedSql, quote

_KINDS = {
    "innerunique": "INNER", "inner": "INNER", "leftouter": "LEFT", "rightouter": "RIGHT", "fullouter": "FULL",
    "leftsemi": "SEMI", "rightsemi": "SEMI", "leftanti": "ANTI", "rightanti": "ANTI",
}  # fmt: skip
_OTHER_NAMES = {"leftantisemi": "leftanti", "anti": "leftanti", "rightantisemi": "rightanti"}


def apply_join(operator: Join, left: Relation, right: Relation) -> Relation:
    """Return the rows of a join."""
    kind = _OTHER_NAMES.get(operator.kind, operator.kind)
    keys = [_key(key, left, right) for key in operator.keys]
    tests = [f"_kql_l.{quote(first)} IS NOT DISTINCT FROM _kql_r.{quote(second)}" for first, second in keys]
    first, second = left.table, right.table
    if kind == "innerunique":
        names = ", ".join(quote(name) for name, _ in keys)
        first = f"(SELECT DISTINCT ON ({names}) * FROM {left.table})"
    on = f"{_KINDS[kind]} JOIN"
    if kind.startswith("right") and _KINDS[kind] in ("SEMI", "ANTI"):
        source = f"{second} AS _kql_r {on} {first} AS _kql_l ON {' AND '.join(tests)}"
        return _selected("_kql_r", right, source)
    source = f"{first} AS _kql_l {on} {second} AS _kql_r ON {' AND '.join(tests)}"
    if _KINDS[kind] in ("SEMI", "ANTI"):
        return _selected("_kql_l", left, source)
    return _joined(
        left, right, source, {name for _, name in keys} if operator.operator == "lookup" else set()
    )


def _selected(side: str, relation: Relation, source: str) -> Relation:
    cells = ", ".join(f"{side}.{quote(name)}" for name in relation.columns)
    return Relation(f"SELECT {cells} FROM {source}", relation.columns)


def _joined(left: Relation, right: Relation, source: str, dropped: set[str]) -> Relation:
    """Return the columns of both sides. One of the right side that the left side has, too, has a number."""
    values = {name: _cell("_kql_l", name, type_) for name, type_ in left.columns.items()}
    for name, type_ in right.columns.items():
        if name in dropped:
            continue
        number, unique = 0, name
        while unique in values or (number and unique in right.columns):
            number += 1
            unique = f"{name}{number}"
        values[unique] = _cell("_kql_r", name, type_)
    cells = ", ".join(f"{value.sql} AS {quote(name)}" for name, value in values.items())
    return Relation(f"SELECT {cells} FROM {source}", {name: value.type for name, value in values.items()})


def _cell(side: str, name: str, type_: str) -> TypedSql:
    sql = f"{side}.{quote(name)}"
    return TypedSql(f"coalesce({sql}, '')" if type_ == "string" else sql, type_)


def _key(node: Expression, left: Relation, right: Relation) -> tuple[str, str]:
    """Return the columns of both sides that are compared."""
    if isinstance(node, Name):
        first = second = node.name
    elif isinstance(node, Binary) and node.operator == "==":
        sides = dict(map(_side, (node.left, node.right)))
        if set(sides) != {"$left", "$right"}:
            raise InvalidKql("a join needs $left.a == $right.b")
        first, second = sides["$left"], sides["$right"]
    else:
        raise UnsupportedKql("a join by other keys than names, or $left.a == $right.b")
    types = (left.need(first), right.need(second))
    for name, type_ in zip((first, second), types):
        no_dynamic(TypedSql("", type_), f"a join by {name!r}")
    if types[0] != types[1] and not {*types} <= {*WHOLE}:
        raise UnsupportedKql(
            f"a join of {types[0]} with {types[1]}: convert one of them, as in to{types[0]}(…)"
        )
    return first, second


def _side(node: Expression) -> tuple[str, str]:
    if isinstance(node, Member) and isinstance(node.base, Name) and isinstance(node.key, str):
        return node.base.name, node.key
    return "", ""
